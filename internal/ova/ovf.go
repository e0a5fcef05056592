package ova

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
)

// An envelope is what is read of a description, whatever the prefixes of its names are. Source: DMTF's DSP0243, versions 1.1 and 2.1.
type envelope struct {
	Files   []file   `xml:"References>File"`
	Disks   []disk   `xml:"DiskSection>Disk"`
	Systems []system `xml:"VirtualSystem"`
	Several *struct {
	} `xml:"VirtualSystemCollection"`
}

type file struct {
	ID          string `xml:"id,attr"`
	Href        string `xml:"href,attr"`
	Compression string `xml:"compression,attr"`
	ChunkSize   string `xml:"chunkSize,attr"`
}

type disk struct {
	ID        string `xml:"diskId,attr"`
	FileRef   string `xml:"fileRef,attr"`
	ParentRef string `xml:"parentRef,attr"`
}

type system struct {
	OS      guestOS   `xml:"OperatingSystemSection"`
	Product []product `xml:"ProductSection"`
	// Of the hardware: what was described in OVF 1, and further kinds of it in OVF 2.
	Items   []item   `xml:"VirtualHardwareSection>Item"`
	Storage []item   `xml:"VirtualHardwareSection>StorageItem"`
	Ports   []item   `xml:"VirtualHardwareSection>EthernetPortItem"`
	Config  []config `xml:"VirtualHardwareSection>Config"`
}

type guestOS struct {
	Type        string `xml:"osType,attr"` // VMware's name
	Description string `xml:"Description"`
}

type product struct {
	Product string `xml:"Product"`
	Vendor  string `xml:"Vendor"`
	Version string `xml:"Version"`
}

type config struct {
	Key   string `xml:"key,attr"`
	Value string `xml:"value,attr"`
}

const (
	maxDepth    = 32     // how deep elements may lie in each other
	maxElements = 20_000 // each takes some hundred bytes of memory; large descriptions have thousands
)

// A guarded source of tokens lets no declaration of a document's type through, and so no entities, no deep nesting, and not too much.
type guarded struct {
	*xml.Decoder
	depth, elements int
}

func (g *guarded) Token() (xml.Token, error) {
	t, err := g.RawToken()
	switch t.(type) {
	case xml.Directive:
		return nil, refuse("its description declares types or entities")
	case xml.StartElement:
		if g.depth++; g.depth > maxDepth {
			return nil, refuse("its description is nested too deeply")
		}
		if g.elements++; g.elements > maxElements {
			return nil, refuse("its description has more than %d elements", maxElements)
		}
	case xml.EndElement:
		g.depth--
	}
	return t, err
}

func parse(text []byte) (*envelope, error) {
	e := &envelope{}
	d := xml.NewTokenDecoder(&guarded{Decoder: xml.NewDecoder(bytes.NewReader(text))})
	if err := d.Decode(e); err != nil {
		if errors.Is(err, ErrRefused) {
			return nil, err
		}
		return nil, refuse("its description cannot be read: %v", err)
	}
	for { // a second document would be another description for others
		t, err := d.Token()
		if err == io.EOF {
			return e, nil
		}
		if _, element := t.(xml.StartElement); element || err != nil {
			return nil, refuse("its description goes on behind its end")
		}
	}
}

// disk returns the only disk, and the name of its file.
func (e *envelope) disk(members []member) (*Disk, string, error) {
	switch {
	case e.Several != nil || len(e.Systems) > 1:
		return nil, "", refuse("it describes several machines: an image is one disk")
	case len(e.Systems) == 0:
		return nil, "", refuse("it describes no machine")
	case len(e.Disks) > 1:
		return nil, "", refuse("it describes %d disks: an image is one disk, so unpack it and import each of them", len(e.Disks))
	case len(e.Disks) == 0 || e.Disks[0].FileRef == "":
		return nil, "", refuse("it describes no disk")
	case e.Disks[0].ParentRef != "":
		return nil, "", refuse("its disk needs another one")
	}
	var of *file
	for i, f := range e.Files {
		if f.ID == e.Disks[0].FileRef {
			if of != nil {
				return nil, "", refuse("two files have the id %q", f.ID)
			}
			of = &e.Files[i]
		}
	}
	switch {
	case of == nil:
		return nil, "", refuse("its description tells no file of the disk")
	case of.ChunkSize != "":
		return nil, "", refuse("its disk is split into several files")
	case of.Compression != "" && of.Compression != "gzip" && of.Compression != "identity":
		return nil, "", refuse("its disk is packed with %q", of.Compression)
	}
	names := []string{strings.TrimPrefix(of.Href, "./")} // as VirtualBox writes it
	if name, err := url.PathUnescape(names[0]); err == nil {
		names = append(names, name) // it is a URL: "my%20disk.vmdk"
	}
	for _, name := range names {
		if i := slices.IndexFunc(members, func(m member) bool { return m.name == name }); i >= 0 {
			d := &Disk{Offset: members[i].offset, Length: members[i].length, Gzip: of.Compression == "gzip"}
			d.MemoryMiB, d.Properties = e.Systems[0].describe(e.Disks[0].ID)
			return d, name, nil
		}
	}
	return nil, "", refuse("the file of its disk, %.300q, is not in there", of.Href)
}
