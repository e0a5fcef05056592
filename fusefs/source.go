package fusefs

import (
	"context"
	"os"

	"github.com/vitrine-image/vitrine/image"
)

// A Source answers what the mount shows. Every method may be called concurrently. Only active images appear; those
// that the mount does not show are image.ErrNotFound. Labels are the values of directories: names, tags and projects.
type Source interface {
	// Image and ImageByID return one image of by-id.
	Image(ctx context.Context, number int64) (*image.Image, error)
	ImageByID(ctx context.Context, id image.ID) (*image.Image, error)
	// Images lists a directory of images by number, from above after on.
	Images(ctx context.Context, dir Dir, after int64, limit int) ([]Entry, error)
	// ImageIn returns the image's entry if the directory holds it.
	ImageIn(ctx context.Context, dir Dir, id image.ID) (Entry, error)
	// Latest returns the newest image of a directory by name.
	Latest(ctx context.Context, dir Dir) (Entry, error)
	// Labels lists the labels of a kind that have images, by number, from above after on. Project is the number of a
	// project to keep to, or 0. LabelByEntry finds one of them by its directory entry.
	Labels(ctx context.Context, kind LabelKind, project, after int64, limit int) ([]Label, error)
	LabelByEntry(ctx context.Context, kind LabelKind, project int64, entry string) (Label, error)

	// Open returns the image's bytes and marks it as in use until Close. The bytes stay readable until then, whatever
	// becomes of the image. Errors: image.ErrNotFound, image.ErrDataMissing, image.ErrStoreOffline.
	Open(ctx context.Context, number int64) (Reader, error)
	// OpenDisk is like Open for the disk that a guest sees of an image with a raw view. Errors beside those of Open:
	// image.ErrUnsupportedContent, image.ErrCorrupt.
	OpenDisk(ctx context.Context, number int64) (Reader, error)
	// DiskInFile tells whether OpenDisk would, most likely, return a FileReader now. Mount.DiskMoved must be called when that changes.
	DiskInFile(img *image.Image) bool
	// Document returns metadata.json, as the API shows the image.
	Document(img *image.Image) ([]byte, error)
	// Space returns the bytes of the stores, for statfs.
	Space(ctx context.Context) (total, free int64, err error)

	// Changes returns changes above after, in order. lost says that older ones were dropped, and then that the caller
	// must forget all that it knows; it goes on from the sequence returned last.
	Changes(ctx context.Context, after int64, limit int) (changes []image.Change, last int64, lost bool, err error)
	LastChange(ctx context.Context) (int64, error)
	// WaitChange returns once there is a change above after, or ctx ends.
	WaitChange(ctx context.Context, after int64) error
}

// A Reader reads an image's bytes at random. It may also have File() *os.File (the bytes lie one to one in that file,
// which stays open until Close) and Extents (where the data is).
type Reader interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Size() int64
	Close() error
}

// A FileReader is a Reader that the kernel can read by itself.
type FileReader interface {
	Reader
	File() *os.File
}

// An ExtentReader is a Reader that knows its holes.
type ExtentReader interface {
	Reader
	// DataAt returns the first range of data at or after off: [start, end); start is Size() when there is none.
	DataAt(ctx context.Context, off int64) (start, end int64, err error)
}

// A Dir is a directory that lists images: all of them, those of a project, or those under a label.
type Dir struct {
	Kind    LabelKind // of Label
	Label   int64     // number, 0 for none
	Project int64     // number, 0 for the top of the tree
}

// A LabelKind says what a label is the value of.
type LabelKind int

// The kinds of labels.
const (
	Name LabelKind = iota + 1
	Tag
	Project
)

// A Label is a value that becomes a directory; its number is its for ever.
type Label struct {
	Number int64
	Entry  string // the directory entry: image.EntryName of the value
}

// An Entry is an image as a directory lists it.
type Entry struct {
	Number  int64
	ID      image.ID
	Created int64 // Unix microseconds
	Updated int64
}
