// Package metadata is what Vitrine knows of its images: DB and Tx are the contract of a database, metadata/sqlite is
// the one that comes with the daemon, and metadatatest is the suite that each must pass.
package metadata

import (
	"context"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

// A DB holds the records. It is safe for concurrent use.
type DB interface {
	// View calls fn with a consistent snapshot, which fn must not keep; neither here nor in Update may fn wait for another
	// View or Update, for it holds what they may need. Errors are fn's, or image.ErrUnavailable.
	View(ctx context.Context, fn func(Tx) error) error
	// Update calls fn with a transaction and commits it durably when fn returns nil: once Update has returned nil the
	// changes survive a power cut. Nothing is changed when it returns an error. Updates of several callers may share
	// one commit, and run one after the other: what fn reads cannot change under it. fn may be called more than once,
	// so it must not act on anything but the transaction and variables that it sets anew.
	// An update whose ctx ends before it has written all changes nothing; one that has written all waits for its commit, so
	// that the answer is always the truth. (Save when the disk fails in the commit itself: a crash may bring to light
	// what it kept after all, until the next update that succeeds.)
	// Errors are fn's, ctx's, or image.ErrUnavailable when the database cannot be written now.
	Update(ctx context.Context, fn func(WriteTx) error) error
	// UpdateFreeing is Update for what makes room, such as deletions and the end of failed uploads, and for what must go on
	// meanwhile. It may use what is kept for a full disk; then other updates fail with image.ErrUnavailable until there is
	// room again.
	UpdateFreeing(ctx context.Context, fn func(WriteTx) error) error
	// Ready reports why the database could not be read or not be written at all now, if so. A full disk is no reason.
	Ready(ctx context.Context) error
	// WaitChange returns once a change with a sequence above after is visible, or ctx ends.
	WaitChange(ctx context.Context, after int64) error
	Close() error
}

// A Tx reads. Images that it returns belong to the caller.
type Tx interface {
	// Image returns an image whose status is not deleted. Errors: image.ErrNotFound.
	Image(id image.ID) (*image.Image, error)
	// ImageByNumber is like Image.
	ImageByNumber(number int64) (*image.Image, error)
	// EveryImage returns up to limit images with a number above after, by number, whatever their status: of deleted ones
	// what is kept for ever.
	EveryImage(after int64, limit int) ([]*image.Image, error)
	// Images returns a page, which ends early when it reaches image.PageBytes. Errors: image.ErrInvalid for a marker that the caller cannot see.
	Images(q image.Query) ([]*image.Image, error)
	// IsMember reports whether the project is a member of the image, with whatever member status.
	IsMember(number int64, project string) (bool, error)
	// Members returns the projects that the image is shared with, by their ids.
	Members(number int64) ([]image.Member, error)
	// Member returns one of them. Errors: image.ErrNotFound.
	Member(number int64, project string) (image.Member, error)
	// Usage returns what a project ("" for images of nobody) uses, reservations included.
	Usage(project string) (image.Usage, error)

	// Task returns a task. Errors: image.ErrNotFound.
	Task(id image.ID) (*image.Task, error)
	// Tasks returns a page. Errors: image.ErrInvalid for an unknown marker.
	Tasks(q image.TaskQuery) ([]*image.Task, error)
	// ImageTasks returns the tasks of an image, the newest first.
	ImageTasks(id image.ID) ([]*image.Task, error)
	// OpenTasks returns the tasks that have not ended, the oldest first.
	OpenTasks() ([]*image.Task, error)

	// ContentSums returns what is recorded of an image's content, by the names of what it is of.
	ContentSums(number int64) ([]image.ContentSum, error)
	// Pins returns for which guests the image is pinned, by their names.
	Pins(number int64) ([]image.Pin, error)
	// Staged returns what of an image lies in the staging area. Errors: image.ErrNotFound.
	Staged(number int64) (image.Staged, error)
	// Uploads returns all reservations.
	Uploads() ([]image.Upload, error)
	// Upload returns the reservation of an image. Errors: image.ErrNotFound.
	Upload(number int64) (image.Upload, error)
	// Garbage returns up to limit entries with an id above after, in their order.
	Garbage(after int64, limit int) ([]image.Garbage, error)
	// Instances returns the process instances and when their hearts beat last.
	Instances() (map[string]time.Time, error)
	// DatabaseID returns what tells this database from others; its backups have it, too. The numbers of images mean nothing in another one.
	DatabaseID() (string, error)
	// StoreIdentity returns the UUID that the store with this id had when it was used first, "" if it never was.
	StoreIdentity(store string) (uuid string, err error)
	// LocationExists reports whether an image, an upload's object, staged data or garbage names the location's URL.
	LocationExists(store, url string) (bool, error)
	// URLExists is LocationExists for all stores, also those that are not configured any more, without what is staged.
	URLExists(url string) (bool, error)

	// Changes returns up to limit changes above after, in order. When older ones were dropped meanwhile, or the feed ends
	// before after because an older backup was restored, it returns ErrChangesLost: who followed lists anew and goes on
	// from LastChange.
	Changes(after int64, limit int) ([]image.Change, error)
	// LastChange returns the newest sequence, 0 for an empty feed.
	LastChange() (int64, error)

	TreeTx
	MetadefTx
}

// A WriteTx reads and writes.
type WriteTx interface {
	Tx
	MetadefWriteTx
	// CreateImage inserts img and sets its Number. Errors: image.ErrConflict when the id exists or ever existed.
	CreateImage(img *image.Image) error
	// SaveImage writes every field of img over the record with its Number, appends the change, and turns locations
	// that are gone from it into garbage, save those where another image has its data; new ones are garbage no more.
	// Status deleted makes it a tombstone: properties, tags, members and locations go (the latter into garbage) and
	// only its id and number stay. Errors: image.ErrNotFound.
	SaveImage(img *image.Image) error

	// SaveMember makes the project a member of the image, or changes its member status: "pending", "accepted" or "rejected".
	// Errors: image.ErrNotFound, image.ErrInvalid.
	SaveMember(number int64, project, status string, now time.Time) error
	// RemoveMember ends a membership. Errors: image.ErrNotFound.
	RemoveMember(number int64, project string) error

	// AddUpload records a reservation. Errors: image.ErrConflict when the image has one already.
	AddUpload(u image.Upload) error
	// ClaimUpload gives a reservation to another instance. Errors: image.ErrNotFound.
	ClaimUpload(id, instance string) error
	// ReserveBytes sets how many bytes a reservation counts for in its project's usage. Errors: image.ErrNotFound.
	ReserveBytes(id string, bytes int64) error
	RemoveUpload(id string) error
	RemoveGarbage(id int64) error
	// KeepData takes a location out of the garbage: what lies there is somebody else's.
	KeepData(loc image.Location) error
	// AddGarbage records data to be removed that no image names, such as what a failed upload could not delete.
	AddGarbage(g image.Garbage) error
	// SaveContentSum records a sum in the place of one of the same; deleting the image forgets all. Errors: image.ErrNotFound.
	SaveContentSum(number int64, s image.ContentSum) error
	// AddPin pins the image for a guest; it has no effect when it is pinned for that already. Deleting the image removes its pins:
	// who deletes looks for them. Errors: image.ErrNotFound, image.ErrInvalid.
	AddPin(number int64, guest string, now time.Time) error
	// RemovePin ends a pin. Errors: image.ErrNotFound.
	RemovePin(number int64, guest string) error
	// SaveStaged records what lies in the staging area for an image; what was there before becomes garbage.
	SaveStaged(s image.Staged) error
	// RemoveStaged forgets it and makes it garbage. Removing what is gone is no error; deleting the image does the same.
	RemoveStaged(number int64) error
	// SaveTask inserts a task or writes every field of it over the one with its id.
	SaveTask(t *image.Task) error
	// DropTasks removes the tasks that expired before now, the first ones up to limit, and returns them.
	DropTasks(now time.Time, limit int) ([]*image.Task, error)
	// Beat registers the instance and sets its last heartbeat. RemoveInstance forgets it.
	Beat(instance string, now time.Time) error
	RemoveInstance(instance string) error
	// SaveStoreIdentity remembers a store's UUID.
	SaveStoreIdentity(store, uuid string) error
	// DropChanges removes the oldest changes up to and including the sequence through, but no more than limit of them at
	// once, and reports whether there are more to remove.
	DropChanges(through int64, limit int) (more bool, err error)
	// DropLabels looks at up to limit labels with a number above after, but for those that the newest keep numbers were given
	// to, and removes those without images. It returns the number of the last one, 0 when there was none to look at.
	DropLabels(after, keep int64, limit int) (last int64, err error)
}

// MetadefTx reads metadata definitions. Names are found without regard to the case of ASCII letters. There are few of them,
// and only admins write them: filtering and paging is left to those who ask.
type MetadefTx interface {
	// Namespaces returns the namespaces by their numbers; if any resource types are given, those that are about one of them.
	Namespaces(resourceTypes ...string) ([]metadef.Namespace, error)
	// Namespace returns one. Errors: image.ErrNotFound.
	Namespace(name string) (metadef.Namespace, error)
	// ResourceTypes returns all of them by their names.
	ResourceTypes() ([]metadef.ResourceType, error)
	// Associations returns what a namespace is about, by the types' names.
	Associations(namespace int64) ([]metadef.Association, error)
	// Entries returns the properties, objects or tags of a namespace by their names.
	Entries(namespace int64, kind metadef.Kind) ([]metadef.Entry, error)
	// Entry returns one of them. Errors: image.ErrNotFound.
	Entry(namespace int64, kind metadef.Kind, name string) (metadef.Entry, error)
}

// MetadefWriteTx writes metadata definitions.
type MetadefWriteTx interface {
	// CreateNamespace inserts n and sets its Number. Errors: image.ErrConflict when the name is taken.
	CreateNamespace(n *metadef.Namespace) error
	// SaveNamespace writes every field of n over the record with its Number. Errors: image.ErrNotFound, image.ErrConflict.
	SaveNamespace(n *metadef.Namespace) error
	// DeleteNamespace removes a namespace with all that belongs to it. Errors: image.ErrNotFound.
	DeleteNamespace(number int64) error
	// AddAssociation says what a namespace is about; an unknown resource type comes into being. Errors: image.ErrConflict,
	// image.ErrNotFound when there is no such namespace.
	AddAssociation(namespace int64, a metadef.Association) error
	// RemoveAssociation takes it back. Errors: image.ErrNotFound.
	RemoveAssociation(namespace int64, resourceType string) error
	// AddEntry inserts a property, object or tag. Errors: image.ErrConflict when there is one of that kind and name,
	// image.ErrNotFound when there is no such namespace.
	AddEntry(namespace int64, e metadef.Entry) error
	// SaveEntry writes e over the entry of that name, which it may rename; when it was made stays as it is.
	// Errors: image.ErrNotFound, image.ErrConflict.
	SaveEntry(namespace int64, name string, e metadef.Entry) error
	// RemoveEntry removes one. Errors: image.ErrNotFound.
	RemoveEntry(namespace int64, kind metadef.Kind, name string) error
	// RemoveEntries removes all of a kind.
	RemoveEntries(namespace int64, kind metadef.Kind) error
}

// TreeTx answers for directories of the mount: pages in a stable order, by numbers that never change their meaning.
type TreeTx interface {
	// TreeImages returns the active images of a directory with a number above after, by number.
	TreeImages(dir Dir, after int64, limit int) ([]Entry, error)
	// TreeLabels returns the labels of one kind with a number above after, by number, under which the scope has
	// active images.
	TreeLabels(kind LabelKind, scope Scope, after int64, limit int) ([]Label, error)
	// TreeLabel finds a label by its directory entry, and tells whether the scope has an active image under it.
	// Errors: image.ErrNotFound when the value was never used or nothing is under it.
	TreeLabel(kind LabelKind, scope Scope, entry string) (Label, error)
	// LabelByNumber returns a label whether or not images are under it, until it is dropped. Errors: image.ErrNotFound.
	LabelByNumber(kind LabelKind, number int64) (Label, error)
	// TreeImage returns one active image if the directory holds it. Errors: image.ErrNotFound.
	TreeImage(dir Dir, id image.ID) (Entry, error)
	// Latest returns the newest active image of the directory that is not hidden. Errors: image.ErrNotFound.
	Latest(dir Dir) (Entry, error)
}

// A Dir is a directory of the mount that lists images: those of the scope, and if Label is set those under it.
type Dir struct {
	Scope Scope
	Kind  LabelKind // of Label
	Label int64     // 0 for all images of the scope
}

// A Scope is a set of images: those that match all of its conditions.
type Scope struct {
	All   []Condition // none: every image
	Owner string      // project id, "" for all
}

// A Condition matches an image if it is public and Public is set, or if its owner is among Owners.
type Condition struct {
	Public bool
	Owners []string
}

// An Entry is what a directory shows of an image.
type Entry struct {
	Number    int64
	ID        image.ID
	CreatedAt time.Time
	UpdatedAt time.Time
}

// A LabelKind says what a label is the value of.
type LabelKind int

// The kinds of labels. The numbers are stored.
const (
	LabelName    LabelKind = 1
	LabelTag     LabelKind = 2
	LabelProject LabelKind = 3
)

// A Label is a value that images were named, tagged or owned by, with a number that is no other's for ever, and its own as
// long as it is not dropped.
type Label struct {
	Number int64 // counted per database, not per kind
	Value  string
	Entry  string // image.EntryName(Value)
}
