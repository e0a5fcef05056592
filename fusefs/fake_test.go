package fusefs

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A fake is a Source over images in memory and data in files. Names and tags at the top are those of public images.
type fake struct {
	dir  string
	wrap func(*os.File, int64) Reader // how data is read; nil gives *fileReader

	mu      sync.Mutex
	images  map[int64]*image.Image
	labels  map[labelKey]Label
	order   []labelKey
	number  int64
	changes []image.Change
	dropped int64 // changes up to this one are lost
	seq     int64
	wake    chan struct{}
	open    map[int64]int
	kept    map[int64]bool // disks that lie in a file
	shut    chan struct{}  // closed when a reader is
	broken  error          // what Open returns
	deaf    int            // so many times more Changes fails
}

type labelKey struct {
	kind  LabelKind
	value string
}

func newFake(t testing.TB) *fake {
	return newFakeIn(t.TempDir())
}

func newFakeIn(dir string) *fake {
	return &fake{dir: dir, images: map[int64]*image.Image{}, labels: map[labelKey]Label{},
		wake: make(chan struct{}), shut: make(chan struct{}), open: map[int64]int{}, kept: map[int64]bool{}}
}

var created = time.Date(2026, 1, 2, 3, 4, 5, 678901000, time.UTC)

// add stores an active public image of the project p1 with the data; edit may change it first.
func (f *fake) add(t testing.TB, name string, data []byte, edit ...func(*image.Image)) *image.Image {
	t.Helper()
	f.mu.Lock()
	f.number++
	n := f.number
	f.mu.Unlock()
	path := f.path(n)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	img := f.image(n, name, int64(len(data)))
	for _, e := range edit {
		e(img)
	}
	f.set(n, img)
	return img
}

// image returns what add stores.
func (f *fake) image(n int64, name string, size int64) *image.Image {
	img := &image.Image{Number: n, ID: image.ID(fmt.Sprintf("00000000-0000-4000-8000-abcd%08d", n)), Name: &name, Owner: "p1",
		Status: image.Active, Visibility: image.Public, DiskFormat: "raw", ContainerFormat: "bare", Size: &size,
		HashAlgo: "sha512", HashValue: "cafe", CreatedAt: created.Add(time.Duration(n) * time.Second),
		Locations: []image.Location{{Store: "local", URL: "file://" + f.path(n)}}}
	img.UpdatedAt = img.CreatedAt
	return img
}

// addDisk stores an active public image as a qcow2 would be that has the disk in it.
func (f *fake) addDisk(t testing.TB, name string, disk []byte) *image.Image {
	t.Helper()
	img := f.add(t, name, []byte("qcow bytes"), func(img *image.Image) {
		size := int64(len(disk))
		img.DiskFormat, img.VirtualSize = "qcow2", &size
	})
	if err := os.WriteFile(f.diskPath(img.Number), disk, 0o600); err != nil {
		t.Fatal(err)
	}
	return img
}

func (f *fake) diskPath(n int64) string { return f.path(n) + ".disk" }

func (f *fake) path(n int64) string { return filepath.Join(f.dir, fmt.Sprintf("%d.data", n)) }

// edit changes an image and returns the sequence of the change.
func (f *fake) edit(img *image.Image, change func(*image.Image)) int64 {
	f.mu.Lock()
	c := f.images[img.Number].Clone()
	f.mu.Unlock()
	change(c)
	c.UpdatedAt = c.UpdatedAt.Add(time.Hour)
	return f.set(c.Number, c)
}

// set stores, changes or (img nil) removes an image and returns the sequence of the change.
func (f *fake) set(n int64, img *image.Image) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	c := image.Change{Sequence: f.seq, Number: n, Time: created.Add(time.Duration(f.seq) * time.Minute)}
	if old := f.images[n]; old != nil {
		c.ID, c.Before = old.ID, old.Listed()
	}
	if img != nil {
		c.ID, c.After = img.ID, img.Listed()
		f.images[n] = img
		if img.Name != nil {
			f.number1(Name, *img.Name)
		}
		for _, tag := range img.Tags {
			f.number1(Tag, tag)
		}
		f.number1(Project, img.Owner)
	} else {
		delete(f.images, n)
	}
	f.changes = append(f.changes, c)
	close(f.wake)
	f.wake = make(chan struct{})
	return f.seq
}

func (f *fake) number1(kind LabelKind, value string) {
	k := labelKey{kind, value}
	if _, ok := f.labels[k]; !ok {
		f.labels[k] = Label{Number: int64(len(f.labels) + 1), Entry: image.EntryName(value)}
		f.order = append(f.order, k)
	}
}

// lose changes images in a way that the feed lost, and wakes up who follows it. It returns the sequence to go on from.
func (f *fake) lose(change func(images map[int64]*image.Image)) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f.images)
	f.seq += 100
	f.dropped, f.changes = f.seq, nil
	close(f.wake)
	f.wake = make(chan struct{})
	return f.seq
}

// opened returns how often the image is open, and a channel that is closed when one is closed.
func (f *fake) opened(img *image.Image) (int, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open[img.Number], f.shut
}

func (f *fake) value(kind LabelKind, number int64) (string, bool) {
	for k, l := range f.labels {
		if k.kind == kind && l.Number == number {
			return k.value, true
		}
	}
	return "", false
}

// list returns the images of a directory by number; the caller has the lock.
func (f *fake) list(d Dir) []*image.Image {
	var found []*image.Image
	owner, _ := f.value(Project, d.Project)
	label, known := f.value(d.Kind, d.Label)
	for _, img := range f.images {
		switch {
		case img.Status != image.Active,
			d.Project != 0 && img.Owner != owner,
			d.Project == 0 && d.Label != 0 && img.Visibility != image.Public,
			d.Label != 0 && !known,
			d.Label != 0 && d.Kind == Name && (img.Name == nil || *img.Name != label),
			d.Label != 0 && d.Kind == Tag && !slices.Contains(img.Tags, label),
			d.Label != 0 && d.Kind == Project && img.Owner != label:
			continue
		}
		found = append(found, img)
	}
	slices.SortFunc(found, func(a, b *image.Image) int { return cmp.Compare(a.Number, b.Number) })
	return found
}

func entryOf(img *image.Image) Entry {
	return Entry{Number: img.Number, ID: img.ID, Created: img.CreatedAt.UnixMicro(), Updated: img.UpdatedAt.UnixMicro()}
}

func (f *fake) Image(_ context.Context, number int64) (*image.Image, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if img := f.images[number]; img != nil && img.Status == image.Active {
		return img.Clone(), nil
	}
	return nil, image.ErrNotFound
}

func (f *fake) ImageByID(ctx context.Context, id image.ID) (*image.Image, error) {
	e, err := f.ImageIn(ctx, Dir{}, id)
	if err != nil {
		return nil, err
	}
	return f.Image(ctx, e.Number)
}

func (f *fake) Images(_ context.Context, d Dir, after int64, limit int) ([]Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page []Entry
	for _, img := range f.list(d) {
		if img.Number > after && len(page) < limit {
			page = append(page, entryOf(img))
		}
	}
	return page, nil
}

func (f *fake) ImageIn(_ context.Context, d Dir, id image.ID) (Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, img := range f.list(d) {
		if img.ID == id {
			return entryOf(img), nil
		}
	}
	return Entry{}, image.ErrNotFound
}

func (f *fake) Latest(_ context.Context, d Dir) (Entry, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := slices.DeleteFunc(f.list(d), func(img *image.Image) bool { return img.Hidden })
	if len(list) == 0 {
		return Entry{}, image.ErrNotFound
	}
	return entryOf(list[len(list)-1]), nil
}

func (f *fake) Labels(_ context.Context, kind LabelKind, project, after int64, limit int) ([]Label, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var page []Label
	for _, k := range f.order {
		l := f.labels[k]
		if k.kind == kind && l.Number > after && len(page) < limit &&
			len(f.list(Dir{Kind: kind, Label: l.Number, Project: project})) > 0 {
			page = append(page, l)
		}
	}
	return page, nil
}

func (f *fake) LabelByEntry(ctx context.Context, kind LabelKind, project int64, entry string) (Label, error) {
	page, _ := f.Labels(ctx, kind, project, 0, 1<<30)
	for _, l := range page {
		if l.Entry == entry {
			return l, nil
		}
	}
	return Label{}, image.ErrNotFound
}

func (f *fake) Document(img *image.Image) ([]byte, error) {
	return json.Marshal(map[string]any{"id": img.ID, "name": img.Name, "tags": img.Tags})
}

func (f *fake) Space(context.Context) (total, free int64, err error) { return 10 << 30, 3 << 30, nil }

func (f *fake) Changes(_ context.Context, after int64, limit int) ([]image.Change, int64, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.deaf > 0 {
		f.deaf--
		return nil, after, false, image.ErrUnavailable
	}
	if after < f.dropped {
		return nil, f.seq, true, nil
	}
	var page []image.Change
	for _, c := range f.changes {
		if c.Sequence > after && len(page) < limit {
			page, after = append(page, c), c.Sequence
		}
	}
	return page, after, false, nil
}

func (f *fake) LastChange(context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seq, nil
}

func (f *fake) WaitChange(ctx context.Context, after int64) error {
	for {
		f.mu.Lock()
		seq, wake := f.seq, f.wake
		f.mu.Unlock()
		if seq > after {
			return nil
		}
		select {
		case <-wake:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (f *fake) Open(_ context.Context, number int64) (Reader, error) {
	inFile := func(file *os.File, size int64) Reader { return &fileReader{plainReader{file: file, size: size}} }
	return f.openFile(number, f.path(number), inFile, func(img *image.Image) int64 { return *img.Size })
}

func (f *fake) OpenDisk(_ context.Context, number int64) (Reader, error) {
	kept := f.DiskInFile(&image.Image{Number: number})
	disk := func(file *os.File, size int64) Reader {
		if kept {
			return &fileReader{plainReader{file, size}}
		}
		return &plainReader{file, size}
	}
	return f.openFile(number, f.diskPath(number), disk, func(img *image.Image) int64 { return *img.VirtualSize })
}

func (f *fake) DiskInFile(img *image.Image) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept[img.Number]
}

// keep puts the disk of an image into a file, or takes it away.
func (f *fake) keep(img *image.Image, kept bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept[img.Number] = kept
}

// openFile opens the bytes of an image in a file, which are read by what wrap makes, unless the fake has its own.
func (f *fake) openFile(number int64, path string, wrap func(*os.File, int64) Reader, size func(*image.Image) int64) (Reader, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	img := f.images[number]
	switch {
	case f.broken != nil:
		return nil, f.broken
	case img == nil || img.Status != image.Active:
		return nil, image.ErrNotFound
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, image.ErrDataMissing
	}
	if f.wrap != nil {
		wrap = f.wrap
	}
	r := wrap(file, size(img))
	f.open[number]++
	c := counted{r, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.open[number]--
		close(f.shut)
		f.shut = make(chan struct{})
	}}
	if e, ok := r.(ExtentReader); ok {
		return &countedExtents{counted: c, ExtentReader: e}, nil
	}
	return &c, nil
}

// counted tells the fake when a reader is closed, and shows what the reader can.
type counted struct {
	Reader
	closed func()
}

func (c *counted) Close() error {
	defer c.closed()
	return c.Reader.Close()
}

// File returns nil, which is as good as none, for a reader that has no file.
func (c *counted) File() *os.File {
	if r, ok := c.Reader.(FileReader); ok {
		return r.File()
	}
	return nil
}

// countedExtents is counted for a reader that knows its holes.
type countedExtents struct {
	ExtentReader
	counted counted
}

func (c *countedExtents) Close() error { return c.counted.Close() }

// A plainReader has no more than ReadAt.
type plainReader struct {
	file *os.File
	size int64
}

func (r *plainReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return r.file.ReadAt(p, off)
}
func (r *plainReader) Size() int64  { return r.size }
func (r *plainReader) Close() error { return r.file.Close() }

type fileReader struct{ plainReader }

func (r *fileReader) File() *os.File { return r.file }

// A blockedReader's reads last until they are interrupted.
type blockedReader struct {
	plainReader
	started chan struct{}
}

func (r *blockedReader) ReadAt(ctx context.Context, _ []byte, _ int64) (int, error) {
	r.started <- struct{}{}
	<-ctx.Done()
	return 0, ctx.Err()
}

// A badReader cannot read the byte at bad.
type badReader struct {
	plainReader
	bad int64
}

func (r *badReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if off <= r.bad && r.bad < off+int64(len(p)) {
		return 0, syscall.EIO
	}
	return r.plainReader.ReadAt(ctx, p, off)
}

// An extentReader has data in some ranges of [start, end).
type extentReader struct {
	size   int64
	ranges [][2]int64
}

func (r *extentReader) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return bytes.NewReader(make([]byte, r.size)).ReadAt(p, off)
}
func (r *extentReader) Size() int64  { return r.size }
func (r *extentReader) Close() error { return nil }
func (r *extentReader) DataAt(_ context.Context, off int64) (int64, int64, error) {
	for _, e := range r.ranges {
		if off < e[1] {
			return max(off, e[0]), e[1], nil
		}
	}
	return r.size, r.size, nil
}

// slowExtents looks whether anybody waits before it tells of a hole of 4 KiB.
type slowExtents struct{ plainReader }

func (r *slowExtents) DataAt(ctx context.Context, off int64) (int64, int64, error) {
	return max(off, 4096), r.size, ctx.Err()
}
