package daemon

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"sync"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/blockcache"
	"github.com/vitrine-image/vitrine/fusefs"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/rawcache"
)

// mountConfig turns the section [mount] into what fusefs needs.
func (d *daemon) mountConfig(ctx context.Context) (fusefs.Config, error) {
	m := d.cfg.Mount
	uid, err := m.ownerID()
	if err != nil {
		return fusefs.Config{}, err
	}
	gid, err := m.groupID()
	if err != nil {
		return fusefs.Config{}, err
	}
	var database string
	if err := d.db.View(ctx, func(tx metadata.Tx) error { database, err = tx.DatabaseID(); return err }); err != nil {
		return fusefs.Config{}, err
	}
	tree := imageservice.TreeConfig{TrustAll: d.cfg.Auth.Type == auth.KindNone, TrustedProjects: m.TrustedProjects}
	switch {
	case len(m.Show) == 1 && m.Show[0] == "all":
	case len(m.Show) == 1 && m.Show[0] == "public":
		tree.ShowPublic = true
	default:
		tree.ShowProjects = m.Show
	}
	shown := d.service.Tree(tree)
	source := treeSource{Tree: shown, count: d.countReads, cache: d.openBlockCache(), disks: d.openRawCache(shown), serve: sync.OnceFunc(readForTheKernel)}
	return fusefs.Config{Path: m.Path, Helper: m.Helper, Identity: database, View: fmt.Sprintf("%+v", tree), UID: uid, GID: gid, AllowOther: m.AllowOther, NoPassthrough: !m.Passthrough,
		ReadAhead: int(m.ReadAhead >> 10), Source: source, Observer: d.mountObserver(), Logger: d.log}, nil
}

func (m MountConfig) ownerID() (uint32, error) {
	return lookUpID(m.Owner, "mount.owner", func(name string) (string, error) {
		u, err := user.Lookup(name)
		if err != nil {
			return "", err
		}
		return u.Uid, nil
	})
}

func (m MountConfig) groupID() (uint32, error) {
	return lookUpID(m.Group, "mount.group", func(name string) (string, error) {
		g, err := user.LookupGroup(name)
		if err != nil {
			return "", err
		}
		return g.Gid, nil
	})
}

// lookUpID returns the number of a user or group that is given by name or number, 0 for none.
func lookUpID(name, key string, lookUp func(string) (string, error)) (uint32, error) {
	if name == "" {
		return 0, nil
	}
	number := name
	if _, err := strconv.ParseUint(name, 10, 32); err != nil {
		if number, err = lookUp(name); err != nil {
			return 0, fmt.Errorf("%s: %w", key, err)
		}
	}
	id, err := strconv.ParseUint(number, 10, 32)
	return uint32(id), err
}

// treeSource is the service's tree in the words of fusefs, which knows neither the service nor the database.
type treeSource struct {
	*imageservice.Tree
	cache *blockcache.Cache                                         // of what lies in no local file; nil for none
	disks *rawcache.Cache                                           // of what guests see of images in other formats; nil for none
	count func(imagestore.Reader, image.Location) imagestore.Reader // of what lies in no local file
	serve func()                                                    // called before something is opened whose reads pass through this process
}

var kinds = map[fusefs.LabelKind]metadata.LabelKind{
	fusefs.Name: metadata.LabelName, fusefs.Tag: metadata.LabelTag, fusefs.Project: metadata.LabelProject,
}

func treeDir(d fusefs.Dir) imageservice.TreeDir {
	return imageservice.TreeDir{Kind: kinds[d.Kind], Label: d.Label, Project: d.Project}
}

func fuseEntry(e metadata.Entry) fusefs.Entry {
	return fusefs.Entry{Number: e.Number, ID: e.ID, Created: e.CreatedAt.UnixMicro(), Updated: e.UpdatedAt.UnixMicro()}
}

func (t treeSource) Images(ctx context.Context, dir fusefs.Dir, after int64, limit int) ([]fusefs.Entry, error) {
	page, err := t.Tree.Images(ctx, treeDir(dir), after, limit)
	entries := make([]fusefs.Entry, len(page))
	for i, e := range page {
		entries[i] = fuseEntry(e)
	}
	return entries, err
}

func (t treeSource) ImageIn(ctx context.Context, dir fusefs.Dir, id image.ID) (fusefs.Entry, error) {
	e, err := t.Tree.ImageIn(ctx, treeDir(dir), id)
	return fuseEntry(e), err
}

func (t treeSource) Latest(ctx context.Context, dir fusefs.Dir) (fusefs.Entry, error) {
	e, err := t.Tree.Latest(ctx, treeDir(dir))
	return fuseEntry(e), err
}

func (t treeSource) Labels(ctx context.Context, kind fusefs.LabelKind, project, after int64, limit int) ([]fusefs.Label, error) {
	page, err := t.Tree.Labels(ctx, kinds[kind], project, after, limit)
	labels := make([]fusefs.Label, len(page))
	for i, l := range page {
		labels[i] = fusefs.Label{Number: l.Number, Entry: l.Entry}
	}
	return labels, err
}

func (t treeSource) LabelByEntry(ctx context.Context, kind fusefs.LabelKind, project int64, entry string) (fusefs.Label, error) {
	l, err := t.Tree.LabelByEntry(ctx, kinds[kind], project, entry)
	return fusefs.Label{Number: l.Number, Entry: l.Entry}, err
}

func (t treeSource) Open(ctx context.Context, number int64) (fusefs.Reader, error) {
	r, loc, err := t.Tree.Open(ctx, number)
	if err != nil {
		return nil, err
	}
	if _, inFile := r.(imagestore.FileReader); !inFile {
		t.serve()
	}
	return fuseReader(t.cached(number, r, loc)), nil
}

func (t treeSource) OpenDisk(ctx context.Context, number int64) (fusefs.Reader, error) {
	disk, err := t.Tree.OpenDisk(ctx, number, func(r imagestore.Reader, loc image.Location) imagestore.Reader {
		return t.cached(number, r, loc)
	})
	if err != nil {
		return nil, err
	}
	img, ok := rawDisk(disk.Image())
	if !ok || t.disks == nil {
		t.serve()
		return disk, nil
	}
	r := t.disks.Reader(img, disk)
	if r.File() == nil {
		t.serve()
	}
	return r, nil
}

func (t treeSource) DiskInFile(img *image.Image) bool {
	disk, ok := rawDisk(img)
	return ok && t.disks != nil && t.disks.Has(disk)
}

// Changes tells the cache of disks, too.
func (t treeSource) Changes(ctx context.Context, after int64, limit int) (changes []image.Change, last int64, lost bool, err error) {
	changes, last, lost, err = t.Tree.Changes(ctx, after, limit)
	if t.disks == nil {
		return changes, last, lost, err
	}
	if lost {
		t.disks.ChangedAny()
	}
	for _, c := range changes {
		t.disks.Changed(c.ID)
	}
	return changes, last, lost, err
}

// cached returns r with the cache in front, unless that would be slower. What is read of r is counted, unless the kernel may do it.
func (t treeSource) cached(number int64, r imagestore.Reader, loc image.Location) imagestore.Reader {
	if _, inFile := r.(imagestore.FileReader); inFile {
		return r
	}
	r = t.count(r, loc)
	if t.cache == nil {
		return r
	}
	return t.cache.Reader(copyNumber(number, loc), r)
}

// Document is what the API shows of the image.
func (t treeSource) Document(img *image.Image) ([]byte, error) {
	return append(wire.AppendImage(nil, img, wire.Options{}), '\n'), nil
}

func (t treeSource) Space(ctx context.Context) (total, free int64, err error) {
	space, err := t.Tree.Space(ctx)
	return space.Total, space.Free, err
}

// fuseReader adds to a reader that knows its extents the question that fusefs asks.
func fuseReader(r imagestore.Reader) fusefs.Reader {
	extents, ok := r.(imagestore.ExtentReader)
	if !ok {
		return r
	}
	e := extentReader{extents}
	if file, ok := r.(imagestore.FileReader); ok {
		return struct {
			extentReader
			filer
		}{e, file}
	}
	return e
}

type extentReader struct{ imagestore.ExtentReader }

// DataAt returns the first range of data at or after off.
func (r extentReader) DataAt(ctx context.Context, off int64) (start, end int64, err error) {
	return imageservice.DataAt(ctx, r.ExtentReader, off)
}

// filer is what a FileReader adds to a Reader.
type filer interface{ File() *os.File }

// mountProcs is how many goroutines run at once at least, when reads of the mount pass through this process.
const mountProcs = 8

// readForTheKernel lets more goroutines run than there are processors, unless the environment says how many: those that
// read for the kernel are in system calls most of the time, and with few of them requests wait for each other. On two
// processors it serves half as many reads again at depth 16, of local files and of Ceph, and costs the API a tenth.
func readForTheKernel() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < mountProcs {
		runtime.GOMAXPROCS(mountProcs)
	}
}
