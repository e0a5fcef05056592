package wire

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// TimeLayout is how the API writes times, always in UTC.
const TimeLayout = "2006-01-02T15:04:05Z"

// Paths of the API that documents refer to.
const (
	ImagesPath   = "/v2/images"
	ImageSchema  = "/v2/schemas/image"
	ImagesSchema = "/v2/schemas/images"
)

// Options decide which of the optional fields a document shows.
type Options struct {
	MultiStore bool // stores, once there is data
	DirectURL  bool // direct_url: the URL of the first location
	Locations  bool // locations; their URLs may carry credentials
	// MayLocate tells of which images the reader may know DirectURL and Locations; nil for all.
	MayLocate func(*image.Image) bool
}

// baseFields are the names that no property can have; hidden ones are properties that the API never shows.
var (
	baseFields = []string{"id", "name", "status", "visibility", "protected", "os_hidden", "owner", "checksum",
		"os_hash_algo", "os_hash_value", "size", "virtual_size", "container_format", "disk_format", "min_ram",
		"min_disk", "tags", "created_at", "updated_at", "self", "file", "schema", "direct_url", "locations", "stores"}
	hidden = []string{"os_glance_stage_host", "os_glance_hash_op_host"}
)

// AppendImage appends the document of an image, with every base field and its properties in their order.
func AppendImage(dst []byte, img *image.Image, opts Options) []byte {
	id := string(img.ID)
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, id)
	dst = append(dst, `,"name":`...)
	if img.Name == nil {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, *img.Name)
	}
	dst = appendField(dst, "status", string(img.Status))
	dst = appendField(dst, "visibility", string(img.Visibility))
	dst = append(dst, `,"protected":`...)
	dst = strconv.AppendBool(dst, img.Protected)
	dst = append(dst, `,"os_hidden":`...)
	dst = strconv.AppendBool(dst, img.Hidden)
	dst = appendNullable(dst, "owner", img.Owner)
	dst = appendNullable(dst, "checksum", img.Checksum)
	dst = appendNullable(dst, "os_hash_algo", img.HashAlgo)
	dst = appendNullable(dst, "os_hash_value", img.HashValue)
	dst = appendSize(dst, "size", img.Size)
	dst = appendSize(dst, "virtual_size", img.VirtualSize)
	dst = appendNullable(dst, "container_format", img.ContainerFormat)
	dst = appendNullable(dst, "disk_format", img.DiskFormat)
	dst = append(dst, `,"min_ram":`...)
	dst = strconv.AppendInt(dst, img.MinRAM, 10)
	dst = append(dst, `,"min_disk":`...)
	dst = strconv.AppendInt(dst, img.MinDisk, 10)
	dst = append(dst, `,"tags":[`...)
	for i, tag := range img.Tags {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, tag)
	}
	dst = append(dst, `],"created_at":"`...)
	dst = appendTime(dst, img.CreatedAt)
	dst = append(dst, `","updated_at":"`...)
	dst = appendTime(dst, img.UpdatedAt)
	dst = append(dst, `","self":"`+ImagesPath+`/`...)
	dst = append(dst, id...)
	dst = append(dst, `","file":"`+ImagesPath+`/`...)
	dst = append(dst, id...)
	dst = append(dst, `/file","schema":"`+ImageSchema+`"`...)
	if opts.MayLocate != nil && !opts.MayLocate(img) {
		opts.DirectURL, opts.Locations = false, false
	}
	if len(img.Locations) > 0 {
		dst = appendPlaces(dst, img, opts)
	} else if opts.Locations {
		dst = append(dst, `,"locations":[]`...)
	}
	dst = appendProperties(dst, img.Properties)
	return append(dst, '}')
}

// appendPlaces appends the fields that tell where the data is.
func appendPlaces(dst []byte, img *image.Image, opts Options) []byte {
	if opts.MultiStore {
		var stores []string
		for _, loc := range img.Locations {
			if loc.Store != "" && !slices.Contains(stores, loc.Store) {
				stores = append(stores, loc.Store)
			}
		}
		dst = appendField(dst, "stores", strings.Join(stores, ","))
	}
	if opts.DirectURL {
		dst = appendField(dst, "direct_url", img.Locations[0].URL)
	}
	if opts.Locations {
		dst = append(dst, `,"locations":`...)
		dst = AppendLocations(dst, img.Locations)
	}
	return dst
}

// AppendLocations appends an array of locations.
func AppendLocations(dst []byte, locations []image.Location) []byte {
	dst = append(dst, '[')
	for i, loc := range locations {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"url":`...)
		dst = appendString(dst, loc.URL)
		dst = append(dst, `,"metadata":{`...)
		dst = appendLocationMetadata(dst, loc)
		dst = append(dst, `}}`...)
	}
	return append(dst, ']')
}

// appendLocationMetadata appends the members of a location's metadata, of which the store is one.
func appendLocationMetadata(dst []byte, loc image.Location) []byte {
	start := len(dst)
	if loc.Store != "" {
		dst = appendField(dst, "store", loc.Store)
	}
	for _, key := range sortedKeys(loc.Metadata) {
		if key != "store" && !image.IsBookkeeping(key) {
			dst = appendField(dst, key, loc.Metadata[key])
		}
	}
	if len(dst) == start {
		return dst
	}
	return slices.Delete(dst, start, start+1) // the comma before the first
}

func appendProperties(dst []byte, properties map[string]string) []byte {
	for _, key := range sortedKeys(properties) {
		value := properties[key]
		switch {
		case slices.Contains(baseFields, key), slices.Contains(hidden, key):
		case value == "" && image.NullProperty(key):
			dst = appendNullable(dst, key, value)
		default:
			dst = appendField(dst, key, value)
		}
	}
	return dst
}

func sortedKeys(m map[string]string) []string {
	if len(m) == 0 {
		return nil
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// appendField appends a comma, the name and a string.
func appendField(dst []byte, name, value string) []byte {
	dst = append(dst, ',')
	dst = appendString(dst, name)
	dst = append(dst, ':')
	return appendString(dst, value)
}

// appendNullable appends null for the empty string.
func appendNullable(dst []byte, name, value string) []byte {
	if value != "" {
		return appendField(dst, name, value)
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	return append(dst, `":null`...)
}

func appendSize(dst []byte, name string, value *int64) []byte {
	if value == nil {
		return appendNullable(dst, name, "")
	}
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return strconv.AppendInt(dst, *value, 10)
}

func appendTime(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, TimeLayout) }
