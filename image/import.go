package image

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// The import methods.
const (
	ImportStaged   = "glance-direct"   // of data that was staged
	ImportURL      = "web-download"    // from a URL
	ImportCopy     = "copy-image"      // of an active image into further stores
	ImportDownload = "glance-download" // from another Image API
)

// ImportMethods returns every import method.
func ImportMethods() []string { return []string{ImportStaged, ImportURL, ImportCopy, ImportDownload} }

// The properties in which an image tells of its import. Clients see them and cannot set them.
const (
	PropertyImporting    = "os_glance_importing_to_stores" // ids of the stores that are still to get the data, with commas
	PropertyFailedImport = "os_glance_failed_import"       // ids of those that did not get it
	PropertyImportTask   = "os_glance_import_task"         // id of the task; while it is there nobody else may import
)

// IsBookkeeping reports whether a property is the server's own.
func IsBookkeeping(property string) bool { return strings.HasPrefix(property, "os_glance") }

// An Import asks for the data of an image, or for further copies of it.
type Import struct {
	Method string
	URL    string // of ImportURL

	// Of ImportDownload: the image in the Image API of another region, and which of the endpoints in the catalog.
	Source    ID
	Region    string
	Interface string // public, internal or admin; "" for public

	// Of Store, Stores and AllStores one may be set; with none of them the default store gets the data.
	Store     string   // as the request's header names it
	Stores    []string // as its body names them
	AllStores bool     // every store that takes data, and for ImportCopy does not have it
	// AllowFailure makes the import a success if one of its stores gets the data.
	AllowFailure bool
}

// StoreFormats say in which disk format imports bring disks into which store, "" standing for every store that is not named. Where
// nothing is said, disks stay as they are.
type StoreFormats map[string]string

// Of returns the format for all of the stores, "" for any. Error: ErrInvalid when they want several, since an image has one.
func (f StoreFormats) Of(stores []string) (format string, err error) {
	var first string
	for _, store := range stores {
		wants := f.Wants(store)
		if format != "" && wants != "" && wants != format {
			return "", Errorf(ErrInvalid, "Store %q takes disks as %s and store %q as %s: an image has one format. Import it into one of them, and copy it into the other.",
				first, format, store, wants)
		}
		if format == "" {
			first, format = store, wants
		}
	}
	return format, nil
}

// Wants returns the format for a store, "" for any.
func (f StoreFormats) Wants(store string) string {
	if format, named := f[store]; named {
		return format
	}
	return f[""]
}

// An ImportPlan is what an importer needs to carry an import out, and to take it up again: the State of its task.
type ImportPlan struct {
	Method       string   `json:"method"`
	URL          string   `json:"url,omitempty"`     // of the data, or of the Image API that has Source
	Missing      string   `json:"missing,omitempty"` // why there is no such URL; nothing can be imported
	Source       ID       `json:"source,omitempty"`  // of ImportDownload
	Stores       []string `json:"stores"`
	AllowFailure bool     `json:"allow_failure,omitempty"`
	Roles        []string `json:"roles,omitempty"` // of who asked

	Attempts int      `json:"attempts,omitempty"` // how often the task was taken up
	Staged   bool     `json:"staged,omitempty"`   // the data lies in the staging area
	Steps    []string `json:"steps,omitempty"`    // what was done with it there
	Failed   []string `json:"failed,omitempty"`   // stores that did not get it

	Signature *ImportSignature `json:"signature,omitempty"` // that the data must have, nil once that was verified

	DiskFormat      string            `json:"disk_format,omitempty"` // of the data as it is by now, "" for that of the image
	ContainerFormat string            `json:"container_format,omitempty"`
	Properties      map[string]string `json:"properties,omitempty"` // that the image gets when it becomes active
	MinRAM          int64             `json:"min_ram,omitempty"`    // MiB, unless the image has another one by then

	Received *ContentSum `json:"received,omitempty"` // of the data, once something else was made of it

	Location *LocationPlan `json:"location,omitempty"` // of LocationMethod
}

// An ImportSignature is what there was to verify data with when its import was asked for.
type ImportSignature struct {
	Properties  map[string]string `json:"properties"`  // of the image, about its signature
	Certificate []byte            `json:"certificate"` // X.509
}

// Plan returns the plan of an import.
func (t *Task) Plan() (*ImportPlan, error) {
	plan := &ImportPlan{}
	if err := json.Unmarshal(t.State, plan); err != nil {
		return nil, fmt.Errorf("state of task %s: %w", t.ID, err)
	}
	return plan, nil
}

// SetPlan makes it the plan of the task.
func (t *Task) SetPlan(plan *ImportPlan) error {
	state, err := json.Marshal(plan)
	t.State = state
	return err
}

// Declared returns the image with the formats that its data has by now.
func (p *ImportPlan) Declared(img *Image) *Image {
	c := *img
	c.DiskFormat = cmp.Or(p.DiskFormat, img.DiskFormat)
	c.ContainerFormat = cmp.Or(p.ContainerFormat, img.ContainerFormat)
	return &c
}

// AddProperty plans to give the image a property.
func (p *ImportPlan) AddProperty(name, value string) {
	if p.Properties == nil {
		p.Properties = make(map[string]string)
	}
	p.Properties[name] = value
}

// Has reports whether the store has a copy of the image's data.
func (img *Image) Has(store string) bool {
	return slices.ContainsFunc(img.Locations, func(l Location) bool { return l.Store == store })
}

// SetProperty sets a property.
func (img *Image) SetProperty(property, value string) {
	if img.Properties == nil {
		img.Properties = make(map[string]string)
	}
	img.Properties[property] = value
}

// AddListed and DropListed change a property that lists stores.
func (img *Image) AddListed(property string, stores ...string) {
	img.DropListed(property, stores...)
	img.SetProperty(property, strings.Join(append(img.listed(property), stores...), ","))
}

// DropListed is like AddListed. The property stays, empty when no store is left.
func (img *Image) DropListed(property string, stores ...string) {
	left := slices.DeleteFunc(img.listed(property), func(id string) bool { return slices.Contains(stores, id) })
	img.SetProperty(property, strings.Join(left, ","))
}

func (img *Image) listed(property string) []string {
	if img.Properties[property] == "" {
		return nil
	}
	return strings.Split(img.Properties[property], ",")
}
