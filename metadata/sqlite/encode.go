package sqlite

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/vitrine-image/vitrine/image"
)

// Tags, properties and locations lie in the row of their image as JSON, so that a list reads one row for each image. They
// are read far more often than written, mostly without escapes: those forms are decoded here, the others by encoding/json.

func encodeStrings(list []string) string {
	b := []byte{'['}
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, s)
	}
	return string(append(b, ']'))
}

func encodeMap(m map[string]string) string {
	b := []byte{'{'}
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(b, key)
		b = append(b, ':')
		b = appendJSON(b, m[key])
	}
	return string(append(b, '}'))
}

// appendJSON appends s, which is valid UTF-8, as a JSON string.
func appendJSON(b []byte, s string) []byte {
	b = append(b, '"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < 0x20:
			b = append(b, `\u00`...)
			b = append(b, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

type storedLocation struct {
	Store    string            `json:"store"`
	URL      string            `json:"url"`
	Metadata map[string]string `json:"metadata"`
}

func encodeLocations(locations []image.Location) string {
	b := []byte{'['}
	for i, l := range locations {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSON(append(b, `{"store":`...), l.Store)
		b = appendJSON(append(b, `,"url":`...), l.URL)
		if len(l.Metadata) > 0 {
			b = append(b, `,"metadata":`...)
			b = append(b, encodeMap(l.Metadata)...)
		}
		b = append(b, '}')
	}
	return string(append(b, ']'))
}

func decodeLocations(s string) ([]image.Location, error) {
	if s == "[]" {
		return nil, nil
	}
	if one, ok := decodeLocation(s); ok {
		return []image.Location{one}, nil
	}
	var stored []storedLocation
	if err := json.Unmarshal([]byte(s), &stored); err != nil {
		return nil, fmt.Errorf("decode locations: %w", err)
	}
	locations := make([]image.Location, len(stored))
	for i, l := range stored {
		locations[i] = image.Location(l)
	}
	return locations, nil
}

// decodeLocation decodes what most images have: one location without metadata.
func decodeLocation(s string) (l image.Location, ok bool) {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return l, false
	}
	list, ok := splitPlain(s[1:len(s)-1], '{', '}')
	if !ok || len(list) != 4 || list[0] != "store" || list[2] != "url" {
		return l, false
	}
	return image.Location{Store: list[1], URL: list[3]}, true
}

func decodeStrings(s string) ([]string, error) {
	if s == "[]" {
		return nil, nil
	}
	if list, ok := splitPlain(s, '[', ']'); ok {
		return list, nil
	}
	var list []string
	if err := json.Unmarshal([]byte(s), &list); err != nil {
		return nil, fmt.Errorf("decode tags: %w", err)
	}
	return list, nil
}

func decodeMap(s string) (map[string]string, error) {
	if s == "{}" {
		return nil, nil
	}
	if list, ok := splitPlain(s, '{', '}'); ok && len(list)%2 == 0 {
		m := make(map[string]string, len(list)/2)
		for i := 0; i < len(list); i += 2 {
			m[list[i]] = list[i+1]
		}
		return m, nil
	}
	var m map[string]string
	if err := json.Unmarshal([]byte(s), &m); err != nil {
		return nil, fmt.Errorf("decode properties: %w", err)
	}
	return m, nil
}

// splitPlain returns the strings of a JSON array, or the keys and values of an object, as encodeStrings and encodeMap write
// them. ok is false when there is an escape, white space or anything that is no string.
func splitPlain(s string, first, last byte) (list []string, ok bool) {
	if len(s) < 2 || s[0] != first || s[len(s)-1] != last || strings.IndexByte(s, '\\') >= 0 {
		return nil, false
	}
	list = make([]string, 0, strings.Count(s, `"`)/2)
	rest := s[1 : len(s)-1]
	for i := 0; rest != ""; i++ {
		if i > 0 {
			separator := byte(',')
			if first == '{' && i%2 == 1 {
				separator = ':'
			}
			if rest[0] != separator {
				return nil, false
			}
			rest = rest[1:]
		}
		if rest == "" || rest[0] != '"' {
			return nil, false
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return nil, false
		}
		list = append(list, rest[1:1+end])
		rest = rest[2+end:]
	}
	return list, true
}

// checkText refuses what JSON cannot hold.
func checkText(img *image.Image) error {
	texts := []string{img.Owner, string(img.Status), string(img.Visibility), img.DiskFormat, img.ContainerFormat, img.Checksum,
		img.HashAlgo, img.HashValue}
	if img.Name != nil {
		texts = append(texts, *img.Name)
	}
	texts = append(texts, img.Tags...)
	for name, value := range img.Properties {
		texts = append(texts, name, value)
	}
	for _, l := range img.Locations {
		texts = append(texts, l.Store, l.URL)
		for key, value := range l.Metadata {
			texts = append(texts, key, value)
		}
	}
	for _, s := range texts {
		if !utf8.ValidString(s) {
			return image.Errorf(image.ErrInvalid, "The text %s is not valid UTF-8", strconv.Quote(s[:min(len(s), 40)]))
		}
	}
	return nil
}
