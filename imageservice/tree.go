package imageservice

import (
	"context"
	"errors"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
)

// A TreeConfig says what a mount shows.
type TreeConfig struct {
	// ShowPublic and ShowProjects limit the whole tree to public images and to those of the projects (by id). Neither:
	// everything is shown.
	ShowPublic   bool
	ShowProjects []string
	// TrustAll puts every image into the top-level by-name and by-tag; otherwise they hold public images and those of
	// the trusted projects, so that nobody else can take a name there.
	TrustAll        bool
	TrustedProjects []string
}

// A Tree is the service as a mount sees it: the active images, in directories that are paged by number.
type Tree struct {
	svc  *Service
	all  []metadata.Condition // of every directory
	tops []metadata.Condition // of the top-level by-name and by-tag, beside all
}

// Tree returns the view of the images that the configuration shows.
func (s *Service) Tree(cfg TreeConfig) *Tree {
	t := &Tree{svc: s}
	if cfg.ShowPublic || len(cfg.ShowProjects) > 0 {
		t.all = []metadata.Condition{{Public: cfg.ShowPublic, Owners: cfg.ShowProjects}}
	}
	if !cfg.TrustAll {
		t.tops = []metadata.Condition{{Public: true, Owners: cfg.TrustedProjects}}
	}
	return t
}

// A TreeDir names a directory of images. The zero value is by-id at the top.
type TreeDir struct {
	Kind    metadata.LabelKind // of Label
	Label   int64              // number of a name or tag, 0 for all images
	Project int64              // number of a project, 0 for the top of the tree
}

// Image returns an image that the tree shows. Errors: image.ErrNotFound.
func (t *Tree) Image(ctx context.Context, number int64) (img *image.Image, err error) {
	err = t.svc.db.View(ctx, func(tx metadata.Tx) error {
		if img, err = tx.ImageByNumber(number); err == nil {
			err = t.shown(img)
		}
		return err
	})
	return img, err
}

// ImageByID is like Image.
func (t *Tree) ImageByID(ctx context.Context, id image.ID) (img *image.Image, err error) {
	err = t.svc.db.View(ctx, func(tx metadata.Tx) error {
		if img, err = tx.Image(id); err == nil {
			err = t.shown(img)
		}
		return err
	})
	return img, err
}

func (t *Tree) shown(img *image.Image) error {
	if img.Status != image.Active || !(metadata.Scope{All: t.all}).Holds(img) {
		return image.ErrNotFound
	}
	return nil
}

// Images lists a directory by number, from above after on.
func (t *Tree) Images(ctx context.Context, dir TreeDir, after int64, limit int) (page []metadata.Entry, err error) {
	err = t.in(ctx, dir, func(tx metadata.Tx, d metadata.Dir) error {
		page, err = tx.TreeImages(d, after, limit)
		return err
	})
	return page, err
}

// ImageIn returns an image's entry if the directory holds it. Errors: image.ErrNotFound.
func (t *Tree) ImageIn(ctx context.Context, dir TreeDir, id image.ID) (e metadata.Entry, err error) {
	err = t.in(ctx, dir, func(tx metadata.Tx, d metadata.Dir) error {
		e, err = tx.TreeImage(d, id)
		return err
	})
	return e, err
}

// Latest returns the newest image of a directory that is not hidden. Errors: image.ErrNotFound.
func (t *Tree) Latest(ctx context.Context, dir TreeDir) (e metadata.Entry, err error) {
	err = t.in(ctx, dir, func(tx metadata.Tx, d metadata.Dir) error {
		e, err = tx.Latest(d)
		return err
	})
	return e, err
}

// Labels lists the names, tags or projects under which there are images, by number, from above after on.
func (t *Tree) Labels(ctx context.Context, kind metadata.LabelKind, project, after int64, limit int) (page []metadata.Label, err error) {
	err = t.in(ctx, TreeDir{Kind: kind, Label: anyLabel(kind), Project: project}, func(tx metadata.Tx, d metadata.Dir) error {
		page, err = tx.TreeLabels(kind, d.Scope, after, limit)
		return err
	})
	return page, err
}

// LabelByEntry finds a name, tag or project by its directory entry. Errors: image.ErrNotFound.
func (t *Tree) LabelByEntry(ctx context.Context, kind metadata.LabelKind, project int64, entry string) (l metadata.Label, err error) {
	err = t.in(ctx, TreeDir{Kind: kind, Label: anyLabel(kind), Project: project}, func(tx metadata.Tx, d metadata.Dir) error {
		l, err = tx.TreeLabel(kind, d.Scope, entry)
		return err
	})
	return l, err
}

// anyLabel makes in apply the rule for the top-level by-name and by-tag, which does not hold for by-project.
func anyLabel(kind metadata.LabelKind) int64 {
	if kind == metadata.LabelProject {
		return 0
	}
	return 1
}

// in calls fn with the directory as the database knows it.
func (t *Tree) in(ctx context.Context, dir TreeDir, fn func(metadata.Tx, metadata.Dir) error) error {
	return t.svc.db.View(ctx, func(tx metadata.Tx) error {
		d := metadata.Dir{Scope: metadata.Scope{All: t.all}, Kind: dir.Kind, Label: dir.Label}
		switch {
		case dir.Project != 0:
			project, err := tx.LabelByNumber(metadata.LabelProject, dir.Project)
			if err != nil {
				return err
			}
			d.Scope.Owner = project.Value
		case dir.Label != 0 && len(t.tops) > 0:
			d.Scope.All = append(t.tops[:len(t.tops):len(t.tops)], t.all...)
		}
		return fn(tx, d)
	})
}

// Open returns an image's bytes, those at the location, and marks it as in use until they are closed. Whatever becomes of the image, they stay
// readable until then. Errors: image.ErrNotFound, image.ErrDataMissing, image.ErrStoreOffline, image.ErrForbidden for what would not be
// safe to open.
func (t *Tree) Open(ctx context.Context, number int64) (imagestore.Reader, image.Location, error) {
	_, r, loc, err := t.svc.openHeld(ctx, number, t.svc.keepToItself)
	return r, loc, err
}

// OpenDisk is like Open for the disk that a guest sees of the image. It reads through what over returns for the data and the location
// of it. It opens no other files, and so takes no harm from data that others may change. Errors: image.ErrUnsupportedContent, image.ErrCorrupt,
// those of Open but for image.ErrForbidden.
func (t *Tree) OpenDisk(ctx context.Context, number int64, over func(imagestore.Reader, image.Location) imagestore.Reader) (*Disk, error) {
	anywhere := func(*image.Image) error { return nil }
	img, r, loc, err := t.svc.openHeld(ctx, number, anywhere)
	if err != nil {
		return nil, err
	}
	return t.svc.openDisk(ctx, img, over(r, loc))
}

// CopyDisk is like OpenDisk for who copies the disk, in his own time: it keeps nobody from deleting the image. It reads the store itself, and
// returns the location of the data as well.
func (t *Tree) CopyDisk(ctx context.Context, id image.ID) (*Disk, image.Location, error) {
	img, err := t.ImageByID(ctx, id)
	if err != nil {
		return nil, image.Location{}, err
	}
	r, loc, err := t.svc.openData(ctx, img, nil)
	if err != nil {
		return nil, loc, err
	}
	disk, err := t.svc.openDisk(ctx, img, r)
	return disk, loc, err
}

// Changes returns changes above after, in order, and the sequence to go on from. lost says that older ones were
// dropped: who followed must look at everything anew.
func (t *Tree) Changes(ctx context.Context, after int64, limit int) (changes []image.Change, last int64, lost bool, err error) {
	last = after
	err = t.svc.db.View(ctx, func(tx metadata.Tx) error {
		changes, err = tx.Changes(after, limit)
		if errors.Is(err, metadata.ErrChangesLost) {
			lost = true
			last, err = tx.LastChange()
		} else if len(changes) > 0 {
			last = changes[len(changes)-1].Sequence
		}
		return err
	})
	return changes, last, lost, err
}

// LastChange returns the newest sequence of the feed.
func (t *Tree) LastChange(ctx context.Context) (last int64, err error) {
	err = t.svc.db.View(ctx, func(tx metadata.Tx) error {
		last, err = tx.LastChange()
		return err
	})
	return last, err
}

// WaitChange returns once there is a change above after, or ctx ends.
func (t *Tree) WaitChange(ctx context.Context, after int64) error {
	return t.svc.db.WaitChange(ctx, after)
}
