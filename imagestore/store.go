// Package imagestore keeps the bytes of images. Store and Writer are the contract of a backend; the backends are the
// packages below this one, and storetest is the suite that each must pass.
package imagestore

import (
	"context"
	"os"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A Store reads image data kept in one place. It is safe for concurrent use. Its errors, and those of the interfaces below,
// name the store unless they are those of a source or a ctx.
type Store interface {
	// Open returns a Reader over the data at loc; close it. Errors: image.ErrDataMissing, also when just this data cannot
	// be read, and image.ErrStoreOffline when nothing of the store can be read now.
	Open(ctx context.Context, loc image.Location) (Reader, error)
}

// A Reader gives random access to bytes that never change. It is safe for concurrent use.
type Reader interface {
	// ReadAt fills p from offset off, as io.ReaderAt does; it stops early when ctx ends.
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Size() int64 // bytes
	Close() error
}

// A FileReader is a Reader whose bytes lie one to one in a local file: it can be sent and passed through by the kernel.
type FileReader interface {
	Reader
	File() *os.File // stays open until Close; its offset is nobody's: use ReadAt, or a descriptor of your own
}

// An ExtentReader is a Reader that knows which ranges hold data; the rest reads as zeros.
type ExtentReader interface {
	Reader
	// Extents returns the data ranges within [off, off+n), in order, clipped to it, none empty, none touching.
	Extents(ctx context.Context, off, n int64) ([]Extent, error)
}

// A LendingReader is a Reader that may have bytes in memory of its own, where who only passes them on needs no copy.
type LendingReader interface {
	Reader
	// Lend returns at least one and at most n bytes from off, which stay until release is called: soon, since others wait
	// for the memory. It returns nil if there are none now, which ReadAt then reads.
	Lend(ctx context.Context, n int, off int64) (p []byte, release func())
}

// An Extent is a range of bytes.
type Extent struct{ Offset, Length int64 }

// A Writer is a Store that takes new data.
type Writer interface {
	Store
	// Put stores all of src as the object that the upload reserved; src knows its size (or -1). When it returns nil
	// the bytes survive a power cut; when it fails, nothing is left behind. It returns src's error as it is.
	// Errors: image.ErrStoreOffline, image.ErrStoreFull, image.ErrConflict when the object exists.
	Put(ctx context.Context, obj Object, src Source) (image.Location, error)
	// Delete removes the data. Deleting what is gone is no error.
	Delete(ctx context.Context, loc image.Location) error
	// Locate returns the location that Put gives, or would have given, to the object: a sweep deletes by it what a
	// crash left of a reservation. Where others keep data too, its version is about this upload's alone, so that theirs
	// stays. It does no I/O beyond finding where the object is.
	Locate(obj Object) image.Location
}

// An Adopter is a Store of data that others put there: a location is added to an image by its URL. A store that reads this machine's
// disks must never be one, or an image could tell of every file here.
type Adopter interface {
	Store
	// Schemes returns those of the URLs that the store knows, in lower case.
	Schemes() []string
	// CheckURL judges a URL when somebody gives it, before anything is read. Error: image.ErrInvalid.
	CheckURL(ctx context.Context, url string) error
	// Adopt finds the data at a URL and returns its location, which tells the data from what may lie there later.
	// Errors: those of CheckURL and of Open.
	Adopt(ctx context.Context, url string) (image.Location, error)
}

// An Object names the data of one upload within a store. The store may derive paths from it.
type Object struct {
	ImageID image.ID
	Name    string // unique within the store: the image's id, and a suffix for what is not its first upload
	Upload  string // id of the upload, unlike any other: it tells the data from what others put there under the name
}

// A Source is a stream of bytes that one Put consumes.
type Source interface {
	// Size returns the number of bytes that will come, or -1 when that is unknown.
	Size() int64
	// Next returns the next bytes, which stay valid until the following call. It returns io.EOF after the last ones,
	// and any other error when the stream broke: then the Put must leave nothing behind.
	Next(ctx context.Context) ([]byte, error)
}

// A FileSource is a Source that lies in a local file as well, so that a store may clone it instead of copying. The
// bytes must still be consumed by Next, since others count and hash them.
type FileSource interface {
	Source
	File() *os.File
	// Spare reports whether the file is on its way here and will lose its other name soon: a store of files on the same file
	// system may give it a name of its own instead of writing its bytes once more.
	Spare() bool
}

// Space is what a store has, in bytes. Free counts what an upload may still take.
type Space struct{ Total, Free int64 }

// A Measured store knows its space.
type Measured interface {
	Space(ctx context.Context) (Space, error)
}

// A Cloneable store holds data on which others build copies without this daemon's knowledge.
type Cloneable interface {
	// Clones tells, in words for a person, what is built on the data, if it keeps Delete from removing it.
	// Errors: image.ErrStoreOffline, image.ErrDataMissing.
	Clones(ctx context.Context, loc image.Location) ([]string, error)
}

// A Cloner makes volumes outside of the store that share data of the store until they are written to.
type Cloner interface {
	Cloneable
	// Clone makes all of a volume or nothing, also when ctx ends. want is checked. Errors, with texts for a person besides the
	// first two: image.ErrStoreOffline, image.ErrDataMissing; image.ErrForbidden where the store may make none;
	// image.ErrConflict for a name that is taken; image.ErrInvalid for a size; image.ErrStoreFull.
	Clone(ctx context.Context, loc image.Location, want image.NewClone) (image.Clone, error)
	// ClonePools returns where it may make them.
	ClonePools() []string
}

// A Recurrent Sweeper may find something after writes and deletions that succeeded, and what other daemons left.
type Recurrent interface {
	Sweeper
	SweepEvery() time.Duration // after which the next sweep is due
}

// A Described store tells operators how it is configured and what it found out about itself, without secrets.
type Described interface {
	// Properties does no I/O.
	Properties() map[string]any
}

// An Auditor lists what lies in a store, so that rows without bytes and bytes without rows can be told.
type Auditor interface {
	// Audit calls found for everything below the store's directories: objects, and what is foreign there.
	Audit(ctx context.Context, found func(Finding) error) error
}

// A Finding is one thing that an Auditor met.
type Finding struct {
	Location image.Location // of an object; its Store is empty for foreign things
	Path     string         // where it lies
	Foreign  string         // "" for an object, else why it is none: "symbolic link", "device"...
	Bytes    int64
}

// A Sweeper removes what a crash left of unfinished writes that have no name yet (temporary files). Writes that are under way
// meanwhile are left alone.
type Sweeper interface {
	Sweep(ctx context.Context) (removed int, err error)
}
