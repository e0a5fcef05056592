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
	ID              string     `json:"id"`
	Name            *string    `json:"name"`
	Status          string     `json:"status"`
	Visibility      string     `json:"visibility"`
	Protected       bool       `json:"protected"`
	Hidden          bool       `json:"os_hidden"`
	Owner           string     `json:"owner"`
	Checksum        string     `json:"checksum"`
	HashAlgo        string     `json:"os_hash_algo"`
	HashValue       string     `json:"os_hash_value"`
	Size            *int64     `json:"size"`
	VirtualSize     *int64     `json:"virtual_size"`
	ContainerFormat string     `json:"container_format"`
	DiskFormat      string     `json:"disk_format"`
	MinRAM          int64      `json:"min_ram"`
	MinDisk         int64      `json:"min_disk"`
	Tags            []string   `json:"tags"`
	CreatedAt       string     `json:"created_at"`
	UpdatedAt       string     `json:"updated_at"`
	Stores          string     `json:"stores"`
	Locations       []location `json:"locations"`
}

type location struct {
	URL      string         `json:"url"`
	Metadata map[string]any `json:"metadata"`
}

// ParseImage reads a document, of this server or of another one. Its Locations are those that the document shows, or,
// when it shows only stores, one for each store that has the data. Number is 0.
func ParseImage(data []byte) (*image.Image, error) {
	var doc document
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("parse an image: %w", err)
	}
	id, ok := image.ParseID(doc.ID)
	if !ok {
		return nil, fmt.Errorf("parse an image: %q is no image id", doc.ID)
	}
	img := &image.Image{
		ID: id, Name: doc.Name, Owner: doc.Owner, Status: image.Status(doc.Status),
		Visibility: image.Visibility(doc.Visibility), Protected: doc.Protected, Hidden: doc.Hidden,
		DiskFormat: doc.DiskFormat, ContainerFormat: doc.ContainerFormat, MinDisk: doc.MinDisk, MinRAM: doc.MinRAM,
		Size: doc.Size, VirtualSize: doc.VirtualSize, Checksum: doc.Checksum, HashAlgo: doc.HashAlgo,
		HashValue: doc.HashValue, Tags: doc.Tags, Locations: doc.locations(),
	}
	slices.Sort(img.Tags)
	var err error
	if img.CreatedAt, err = parseTime(doc.CreatedAt); err != nil {
		return nil, err
	}
	if img.UpdatedAt, err = parseTime(doc.UpdatedAt); err != nil {
		return nil, err
	}
	img.Properties, err = parseProperties(data)
	return img, err
}

func (doc *document) locations() []image.Location {
	var locations []image.Location
	for _, l := range doc.Locations {
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
	if locations == nil && doc.Stores != "" {
		for store := range strings.SplitSeq(doc.Stores, ",") {
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
		return time.Time{}, fmt.Errorf("parse an image: %w", err)
	}
	return t.UTC(), nil
}

// parseProperties collects the members that are no base fields. Null, which old servers show, is an empty string.
func parseProperties(data []byte) (map[string]string, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, fmt.Errorf("parse an image: %w", err)
	}
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
	return properties, nil
}
