package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// document has the base fields as they are written.
type document struct {
	id, stores, createdAt, updatedAt string
	locations                        []location
	image                            image.Image // the other fields
}

// fields says where each base field of a document goes; those that follow from others go nowhere. Names are compared
// exactly, which encoding/json does not do with the fields of a struct: "Name" and "SIZE" are properties.
func (doc *document) fields() map[string]any {
	img := &doc.image
	return map[string]any{
		"id": &doc.id, "name": &img.Name, "status": &img.Status, "visibility": &img.Visibility, "protected": &img.Protected,
		"os_hidden": &img.Hidden, "owner": &img.Owner, "checksum": &img.Checksum, "os_hash_algo": &img.HashAlgo,
		"os_hash_value": &img.HashValue, "size": &img.Size, "virtual_size": &img.VirtualSize,
		"container_format": &img.ContainerFormat, "disk_format": &img.DiskFormat, "min_ram": &img.MinRAM,
		"min_disk": &img.MinDisk, "tags": &img.Tags, "created_at": &doc.createdAt, "updated_at": &doc.updatedAt,
		"stores": &doc.stores, "locations": &doc.locations,
	}
}

type location struct {
	URL      string         `json:"url"`
	Metadata map[string]any `json:"metadata"`
}

// ParseImage reads a document, of this server or of another one. Its Locations are those that the document shows, or,
// when it shows only stores, one for each store that has the data. Number is 0.
func ParseImage(data []byte) (*image.Image, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, fmt.Errorf("parse an image: %w", err)
	}
	var doc document
	for name, field := range doc.fields() {
		if raw, ok := members[name]; ok {
			if err := json.Unmarshal(raw, field); err != nil {
				return nil, fmt.Errorf("parse %s of an image: %w", name, err)
			}
		}
	}
	img := &doc.image
	var ok bool
	if img.ID, ok = image.ParseID(doc.id); !ok {
		return nil, fmt.Errorf("parse an image: %q is no image id", doc.id)
	}
	var err error
	if img.CreatedAt, err = parseTime(doc.createdAt); err != nil {
		return nil, err
	}
	if img.UpdatedAt, err = parseTime(doc.updatedAt); err != nil {
		return nil, err
	}
	slices.Sort(img.Tags)
	img.Locations = doc.places()
	img.Properties = properties(members)
	return img, nil
}

func (doc *document) places() []image.Location {
	var locations []image.Location
	for _, l := range doc.locations {
		loc := image.Location{URL: l.URL}
		for key, value := range l.Metadata {
			text, ok := value.(string)
			switch {
			case ok && key == "store":
				loc.Store = text
			case ok:
				if loc.Metadata == nil {
					loc.Metadata = make(map[string]string)
				}
				loc.Metadata[key] = text
			}
		}
		locations = append(locations, loc)
	}
	if locations == nil && doc.stores != "" {
		for store := range strings.SplitSeq(doc.stores, ",") {
			locations = append(locations, image.Location{Store: store})
		}
	}
	return locations
}

// parseTime reads a time of the API; fractions, which other servers may send, are accepted. "" is the zero time.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("parse a time: %w", err)
	}
	return t.UTC(), nil
}

// properties collects the members that are no base fields. Null, which old servers show, is an empty string.
func properties(members map[string]json.RawMessage) map[string]string {
	var properties map[string]string
	for name, raw := range members {
		if slices.Contains(baseFields, name) {
			continue
		}
		var value string
		if err := json.Unmarshal(raw, &value); err != nil {
			value = string(bytes.TrimSpace(raw)) // some servers show numbers and objects that they add themselves
		}
		if properties == nil {
			properties = make(map[string]string)
		}
		properties[name] = value
	}
	return properties
}
