// Package ovatest makes OVAs as the programs make them that export machines.
package ovatest

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
)

// A File of an archive.
type File struct {
	Name string
	Data []byte
}

// Tar returns an archive of the files.
func Tar(files ...File) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		if err := w.WriteHeader(&tar.Header{Name: f.Name, Size: int64(len(f.Data)), Mode: 0o644}); err != nil {
			panic(err)
		}
		w.Write(f.Data)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// VMware returns an OVA as VMware's ovftool writes it: with SHA-256 sums.
func VMware(disk []byte) []byte {
	ovf := []byte(fmt.Sprintf(vmware, len(disk)))
	sums := fmt.Sprintf("SHA256(vm.ovf)= %x\nSHA256(vm-disk1.vmdk)= %x\n", sha256.Sum256(ovf), sha256.Sum256(disk))
	return Tar(File{"vm.ovf", ovf}, File{"vm.mf", []byte(sums)}, File{"vm-disk1.vmdk", disk}, File{"vm.nvram", []byte("settings")})
}

// VirtualBox returns an OVA as VirtualBox writes it, with the disk at path and further attributes of its file.
func VirtualBox(disk []byte, path, attributes string) []byte {
	return Tar(File{"box.ovf", []byte(fmt.Sprintf(virtualBox, path, attributes))}, File{path, disk})
}

const vmware = `<?xml version="1.0" encoding="UTF-8"?>
<Envelope vmw:buildId="build-1" xmlns="http://schemas.dmtf.org/ovf/envelope/1" xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/common"
 xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1" xmlns:vmw="http://www.vmware.com/schema/ovf"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:vssd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_VirtualSystemSettingData">
  <References>
    <File ovf:href="vm-disk1.vmdk" ovf:id="file1" ovf:size="%d"/>
    <File ovf:href="vm.nvram" ovf:id="file2" ovf:size="8"/>
  </References>
  <DiskSection>
    <Info>Virtual disk information</Info>
    <Disk ovf:capacity="8" ovf:capacityAllocationUnits="byte * 2^20" ovf:diskId="vmdisk1" ovf:fileRef="file1"
     ovf:format="http://www.vmware.com/interfaces/specifications/vmdk.html#streamOptimized"/>
  </DiskSection>
  <VirtualSystem ovf:id="vm">
    <Name>vm</Name>
    <ProductSection><Info>About</Info><Product>Appliance</Product><Vendor>Example</Vendor><Version>1.2</Version></ProductSection>
    <OperatingSystemSection ovf:id="94" vmw:osType="ubuntu64Guest"><Info>The kind</Info><Description>Ubuntu Linux (64-bit)</Description></OperatingSystemSection>
    <VirtualHardwareSection>
      <Info>Virtual hardware requirements</Info>
      <Item><rasd:ElementName>2 virtual CPU(s)</rasd:ElementName><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType><rasd:VirtualQuantity>2</rasd:VirtualQuantity></Item>
      <Item><rasd:AllocationUnits>byte * 2^20</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>2048</rasd:VirtualQuantity></Item>
      <Item><rasd:Address>0</rasd:Address><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>VirtualSCSI</rasd:ResourceSubType><rasd:ResourceType>6</rasd:ResourceType></Item>
      <Item><rasd:AddressOnParent>0</rasd:AddressOnParent><rasd:HostResource>ovf:/disk/vmdisk1</rasd:HostResource><rasd:InstanceID>4</rasd:InstanceID><rasd:Parent>3</rasd:Parent><rasd:ResourceType>17</rasd:ResourceType></Item>
      <Item><rasd:InstanceID>5</rasd:InstanceID><rasd:ResourceSubType>E1000e</rasd:ResourceSubType><rasd:ResourceType>10</rasd:ResourceType></Item>
      <vmw:Config ovf:required="false" vmw:key="firmware" vmw:value="efi"/>
    </VirtualHardwareSection>
  </VirtualSystem>
</Envelope>
`

const virtualBox = `<?xml version="1.0"?>
<ovf:Envelope ovf:version="2.0" xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/2"
 xmlns:rasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ResourceAllocationSettingData"
 xmlns:sasd="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_StorageAllocationSettingData.xsd"
 xmlns:cim="http://schemas.dmtf.org/wbem/wscim/1/cim-schema/2/CIM_ProcessorAllocationSettingData">
  <ovf:References><ovf:File ovf:id="file1" ovf:href="%s" %s/></ovf:References>
  <ovf:DiskSection><ovf:Disk ovf:capacity="8388608" ovf:diskId="vmdisk1" ovf:fileRef="file1"/></ovf:DiskSection>
  <ovf:VirtualSystem ovf:id="box">
    <ovf:OperatingSystemSection ovf:id="103"><ovf:Description>WindowsXP</ovf:Description></ovf:OperatingSystemSection>
    <ovf:VirtualHardwareSection>
      <ovf:Item><cim:ProcessorArchitecture>x86</cim:ProcessorArchitecture><cim:InstructionSet>AMD64</cim:InstructionSet><rasd:InstanceID>1</rasd:InstanceID><rasd:ResourceType>3</rasd:ResourceType></ovf:Item>
      <ovf:Item><rasd:AllocationUnits>GigaBytes</rasd:AllocationUnits><rasd:InstanceID>2</rasd:InstanceID><rasd:ResourceType>4</rasd:ResourceType><rasd:VirtualQuantity>1</rasd:VirtualQuantity></ovf:Item>
      <ovf:Item><rasd:InstanceID>3</rasd:InstanceID><rasd:ResourceSubType>PIIX4</rasd:ResourceSubType><rasd:ResourceType>5</rasd:ResourceType></ovf:Item>
      <ovf:StorageItem><sasd:HostResource>/disk/vmdisk1</sasd:HostResource><sasd:InstanceID>4</sasd:InstanceID><sasd:Parent>3</sasd:Parent><sasd:ResourceType>17</sasd:ResourceType></ovf:StorageItem>
    </ovf:VirtualHardwareSection>
  </ovf:VirtualSystem>
</ovf:Envelope>
`
