package image

import (
	"cmp"
	"encoding/hex"
	"strings"
)

// A NewLocation asks for an image to get data that lies in some place already.
type NewLocation struct {
	URL      string
	Metadata map[string]string // that is shown with it, nil for nothing
	Sums     Sums
}

// Sums are what data is said to hash to.
type Sums struct {
	Checksum  string `json:"checksum,omitempty"` // MD5 in hex
	HashAlgo  string `json:"os_hash_algo,omitempty"`
	HashValue string `json:"os_hash_value,omitempty"` // hex
}

// Check refuses sums that cannot be true. Error: ErrInvalid.
func (s Sums) Check() error {
	if (s.HashAlgo == "") != (s.HashValue == "") {
		return Errorf(ErrInvalid, "os_hash_algo and os_hash_value belong together.")
	}
	for _, value := range []string{s.Checksum, s.HashValue} {
		if _, err := hex.DecodeString(value); err != nil {
			return Errorf(ErrInvalid, "%q is no hash: it must be hexadecimal.", value)
		}
	}
	if s.Checksum != "" && len(s.Checksum) != 32 {
		return Errorf(ErrInvalid, "The checksum must be an MD5 of 32 characters.")
	}
	return nil
}

// LocationMethod is the Method of plans that add a location or examine its data.
const LocationMethod = "location"

// A LocationPlan is what is to be done about a location: the one of the plan's URL, in the only one of its Stores.
type LocationPlan struct {
	Sums   Sums `json:"sums"`             // that the data must have
	Trust  bool `json:"trust,omitempty"`  // the sums of the image are not to be compared, as the older API has it
	Added  bool `json:"added,omitempty"`  // the image has it
	Verify bool `json:"verify,omitempty"` // the data is to be read, hashed and judged as a whole
}

// EditLocations is the Name of edits of locations, of which Item says which one. Apply refuses them: they need more than the image.
const EditLocations = "locations"

// maxURLLength is how many bytes a location may have.
const maxURLLength = 8 << 10

// ParseLocation reads a location as clients write it, of which value is what Edit.Value would be. Error: ErrInvalid.
func ParseLocation(value any) (add NewLocation, err error) {
	doc, ok := value.(map[string]any)
	if !ok {
		return add, wrongType("locations", "an object for each location")
	}
	if add.URL, ok = doc["url"].(string); !ok || add.URL == "" || len(add.URL) > maxURLLength {
		return add, wrongType("url", "the URL of a location")
	}
	if metadata, have := doc["metadata"]; have {
		if add.Metadata, err = locationMetadata(metadata); err != nil {
			return add, err
		}
	}
	if sums, have := doc["validation_data"]; have {
		add.Sums, err = parseSums(sums)
	}
	return add, err
}

func locationMetadata(value any) (map[string]string, error) {
	doc, ok := value.(map[string]any)
	if !ok {
		return nil, wrongType("metadata", "an object of strings")
	}
	metadata := make(map[string]string, len(doc))
	for name, v := range doc {
		text, ok := v.(string)
		if !ok || IsBookkeeping(name) {
			return nil, wrongType("metadata", "an object of strings, whose names do not begin with os_glance")
		}
		if err := cmp.Or(checkText("The name of metadata", name, MaxNameLength), checkText("The value of metadata", text, MaxPropertyLength)); err != nil {
			return nil, err
		}
		metadata[name] = text
	}
	return metadata, nil
}

// parseSums reads validation_data.
func parseSums(value any) (s Sums, err error) {
	doc, ok := value.(map[string]any)
	if !ok {
		return s, wrongType("validation_data", "an object")
	}
	for name, v := range doc {
		field := map[string]*string{"checksum": &s.Checksum, "os_hash_algo": &s.HashAlgo, "os_hash_value": &s.HashValue}[name]
		text, ok := v.(string)
		if field == nil || !ok {
			return s, wrongType("validation_data", "checksum, os_hash_algo and os_hash_value, which are strings")
		}
		*field = text
	}
	if s.HashAlgo == "" {
		return s, wrongType("validation_data", "an object with os_hash_algo and os_hash_value")
	}
	s.Checksum, s.HashValue = strings.ToLower(s.Checksum), strings.ToLower(s.HashValue)
	return s, s.Check()
}
