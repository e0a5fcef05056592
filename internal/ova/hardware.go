package ova

import (
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An item is a part of the machine. Source: DMTF's CIM_ResourceAllocationSettingData.
type item struct {
	InstanceID      string `xml:"InstanceID"`
	ResourceType    string `xml:"ResourceType"`
	ResourceSubType string `xml:"ResourceSubType"`
	VirtualQuantity string `xml:"VirtualQuantity"`
	AllocationUnits string `xml:"AllocationUnits"`
	HostResource    string `xml:"HostResource"`
	Parent          string `xml:"Parent"`

	// What Glance keeps of a description, of CIM_ProcessorAllocationSettingData.
	Architecture   string `xml:"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ProcessorAllocationSettingData ProcessorArchitecture"`
	InstructionSet string `xml:"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ProcessorAllocationSettingData InstructionSet"`
	Extension      string `xml:"http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ProcessorAllocationSettingData InstructionSetExtensionName"`
}

// Kinds of items.
const (
	memoryItem = "4"
	ideItem    = "5"
	scsiItem   = "6"
	portItem   = "10"
	sataItem   = "20"
)

// describe returns the memory of the machine in MiB, 0 if it does not tell, and what else is known of it as properties.
func (s *system) describe(diskID string) (memory int64, properties map[string]string) {
	p := make(map[string]string)
	set := func(name, value string) {
		value = strings.TrimSpace(value)
		if value != "" && len(value) <= 255 && utf8.ValidString(value) && !strings.ContainsFunc(value, unicode.IsControl) {
			p[name] = value
		}
	}
	items := make([]item, 0, len(s.Items)+len(s.Storage)+len(s.Ports))
	items = append(append(append(items, s.Items...), s.Storage...), s.Ports...)
	controllers := make(map[string]*item)
	for i := range items {
		it := &items[i]
		switch it.ResourceType {
		case memoryItem:
			memory = max(memory, it.memory())
		case ideItem, scsiItem, sataItem:
			controllers[it.InstanceID] = it
		case portItem:
			set("hw_vif_model", portModels[strings.ToLower(it.ResourceSubType)])
		}
		set("cim_pasd_ProcessorArchitecture", it.Architecture)
		set("cim_pasd_InstructionSet", it.InstructionSet)
		set("cim_pasd_InstructionSetExtensionName", it.Extension)
	}
	for _, it := range items {
		if c := controllers[it.Parent]; c != nil && strings.HasSuffix(it.HostResource, "/disk/"+diskID) {
			set("hw_disk_bus", buses[c.ResourceType])
			if c.ResourceType == scsiItem {
				set("hw_scsi_model", scsiModels[strings.ToLower(c.ResourceSubType)])
			}
		}
	}
	for _, c := range s.Config {
		if c.Key == "firmware" && strings.EqualFold(c.Value, "efi") {
			set("hw_firmware_type", "uefi")
		}
	}
	set("vmware_ostype", s.OS.Type)
	set("os_type", s.OS.family())
	for _, product := range s.Product {
		set("ovf_product", product.Product)
		set("ovf_vendor", product.Vendor)
		set("ovf_version", product.Version)
	}
	return memory, p
}

// What VMware and VirtualBox call their devices, and Nova for machines of QEMU.
var (
	buses      = map[string]string{ideItem: "ide", scsiItem: "scsi", sataItem: "sata"}
	scsiModels = map[string]string{"lsilogic": "lsilogic", "lsilogicsas": "lsisas1068", "buslogic": "buslogic", "virtualscsi": "vmpvscsi"}
	portModels = map[string]string{"e1000": "e1000", "e1000e": "e1000e", "pcnet32": "pcnet"}
)

// family returns what Nova has to know of a guest, "" if it is not plain.
func (o guestOS) family() string {
	text := strings.ToLower(o.Type + " " + o.Description)
	for _, word := range []string{"windows", "linux"} {
		if strings.Contains(text, word) {
			return word
		}
	}
	return ""
}

// memory returns the quantity in MiB, 0 if it cannot be read.
func (it *item) memory() int64 {
	n, err := strconv.ParseUint(strings.TrimSpace(it.VirtualQuantity), 10, 40)
	if err != nil {
		return 0
	}
	units := strings.ToLower(strings.ReplaceAll(it.AllocationUnits, " ", ""))
	switch units {
	case "byte*2^30", "gigabytes", "gb":
		n <<= 10
	case "byte*2^10", "kilobytes", "kb":
		n >>= 10
	case "byte", "bytes":
		n >>= 20
	case "", "byte*2^20", "megabytes", "mb":
	default:
		return 0
	}
	if n > math.MaxInt32 {
		return 0
	}
	return int64(n)
}
