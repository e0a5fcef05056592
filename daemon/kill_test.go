package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestKill kills the daemon at random moments under a mixed load, again and again on the same data. Whatever it
// acknowledged must be there afterwards, and nothing unfinished may be seen. Every record and every file is looked at in
// each round; the bytes are read of what the load touched since the last one, and of everything in some rounds.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	load := newLoad()
	load.noFailures = true
	for round := range testservers.Rounds(t, 8) {
		d, err := testdaemon.Launch(testdaemon.Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		load.verify(t, d, round%allBytesEvery == 0)
		if t.Failed() {
			t.Fatalf("in round %d; the daemon's log:\n%s", round, d.Log())
		}
		load.run(t, d, time.Duration(rand.Int64N(int64(700*time.Millisecond))))
	}
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir})
	load.verify(t, d, true)
}

// allBytesEvery is in how many rounds of TestKill the bytes of all images are read once.
const allBytesEvery = 10

// A load is several workers, each with images of its own, and what the daemon has told each of them.
type load struct {
	workers    []*worker
	noFailures bool // a status of 500 and above is wrong: nothing but the end of the daemon keeps it from answering well
}

// maxImages is how many images a worker keeps, so that looking at all of them takes no longer from round to round.
const maxImages = 30

func newLoad() *load {
	l := &load{}
	for i := range 4 {
		l.workers = append(l.workers, &worker{load: l, rng: rand.New(rand.NewPCG(uint64(i), 7)), images: make(map[image.ID]*expected)})
	}
	return l
}

// expected is what a worker knows of an image. While unsure is set the last request got no answer.
type expected struct {
	size     int64  // of the data that was sent
	uploaded bool   // acknowledged
	deleted  bool   // acknowledged
	version  string // the value of the property "version"
	next     string // what it may be instead
	unsure   string // "", create, upload, patch or delete
	touched  bool   // since it was compared last
}

type worker struct {
	load   *load
	rng    *rand.Rand
	images map[image.ID]*expected
}

// dataOf returns the bytes that are uploaded to an image: none of them could be taken for another's.
func dataOf(id image.ID, size int64) []byte {
	data := make([]byte, size)
	for i := 0; i < len(data); i += 512 {
		copy(data[i:], id)
	}
	return data
}

// run lets the workers work for the given time and kills the daemon in the middle of it.
func (l *load) run(t *testing.T, d *testdaemon.Daemon, during time.Duration) {
	ctx, stop := context.WithCancel(t.Context())
	var g sync.WaitGroup
	for _, w := range l.workers {
		g.Go(func() {
			for w.step(ctx, t, d.Client) {
			}
		})
	}
	<-time.After(during)
	if err := d.Kill(); err != nil {
		t.Error(err)
	}
	stop()
	g.Wait()
}

// step sends one request; false says that the daemon is gone.
func (w *worker) step(ctx context.Context, t *testing.T, c *client.Client) bool {
	var id image.ID
	for id = range w.images { // any one
		break
	}
	e := w.images[id]
	switch n := w.rng.IntN(10); {
	case e == nil || e.deleted || n < 4 && len(w.images) < maxImages:
		return w.create(ctx, t, c)
	case !e.uploaded && n < 6: // what the end of the daemon kept from being uploaded is tried again
		return w.upload(ctx, t, c, id, e)
	case n >= 4 && n < 8:
		return w.patch(ctx, t, c, id, e)
	default:
		e.unsure, e.touched = "delete", true
		return w.settle(t, e, c.Delete(ctx, id), func() { e.deleted = true })
	}
}

func (w *worker) create(ctx context.Context, t *testing.T, c *client.Client) bool {
	id := image.NewID()
	e := &expected{unsure: "create", version: "0", touched: true}
	w.images[id] = e
	_, err := c.Create(ctx, id, []image.Edit{
		{Op: image.EditAdd, Name: "name", Value: "disk-" + strconv.Itoa(w.rng.IntN(5))},
		{Op: image.EditAdd, Name: "version", Value: "0"},
		{Op: image.EditAdd, Name: "disk_format", Value: "raw"}, {Op: image.EditAdd, Name: "container_format", Value: "bare"}})
	return w.settle(t, e, err, func() {}) && w.upload(ctx, t, c, id, e)
}

func (w *worker) upload(ctx context.Context, t *testing.T, c *client.Client, id image.ID, e *expected) bool {
	e.size, e.unsure, e.touched = w.rng.Int64N(3<<20), "upload", true
	announced := e.size
	if w.rng.IntN(2) == 0 {
		announced = -1
	}
	body := bytes.NewReader(dataOf(id, e.size))
	return w.settle(t, e, c.Upload(ctx, id, client.Upload{Body: body, Size: announced}), func() { e.uploaded = true })
}

func (w *worker) patch(ctx context.Context, t *testing.T, c *client.Client, id image.ID, e *expected) bool {
	e.next, e.unsure, e.touched = strconv.Itoa(w.rng.Int()), "patch", true
	_, err := c.Edit(ctx, id, []image.Edit{{Op: image.EditReplace, Name: "version", Value: e.next},
		{Op: image.EditReplace, Name: "tags", Value: []any{"t" + e.next}}})
	return w.settle(t, e, err, func() { e.version = e.next })
}

// settle notes the outcome of a request: acknowledged, or unsure because the daemon went away.
func (w *worker) settle(t *testing.T, e *expected, err error, acknowledged func()) bool {
	if err != nil {
		var refused *client.Error
		if errors.As(err, &refused) && refused.Status != 0 && (refused.Status < 500 || w.load.noFailures) {
			t.Errorf("a request that should work was refused: %v", err)
		}
		return false
	}
	acknowledged()
	e.unsure = ""
	return true
}

// verify compares what a restarted daemon says with what was acknowledged, and its directories with what it says. It
// reads the bytes of all images, or of those that were touched.
func (l *load) verify(t *testing.T, d *testdaemon.Daemon, all bool) {
	t.Helper()
	objects := map[string]bool{}
	for _, w := range l.workers {
		for id, e := range w.images {
			img, err := d.Client.Get(t.Context(), id)
			switch {
			case errors.Is(err, image.ErrNotFound):
				if !e.deleted && e.unsure != "create" && e.unsure != "delete" {
					t.Errorf("image %s is gone (uploaded %v, unsure %q)", id, e.uploaded, e.unsure)
				}
				delete(w.images, id)
				continue
			case err != nil:
				t.Fatal(err)
			}
			problem := e.compare(img)
			if problem == "" && img.Status == image.Active && (all || e.touched) {
				problem = e.compareBytes(t.Context(), d.Client, id)
			}
			if problem != "" {
				t.Errorf("image %s: %s (unsure %q)", id, problem, e.unsure)
			}
			if img.Status == image.Active {
				objects[string(id)] = true
			}
			e.uploaded, e.unsure, e.version, e.touched = img.Status == image.Active, "", img.Properties["version"], false
		}
	}
	wantObjects(t, filepath.Join(d.Data, "images"), objects)
}

// compare returns what is wrong with the record.
func (e *expected) compare(img *image.Image) string {
	version := img.Properties["version"]
	switch {
	case e.deleted:
		return "it was deleted and is there"
	case version != e.version && !(e.unsure == "patch" && version == e.next):
		return fmt.Sprintf("version is %s, want %s", version, e.version)
	case version != "0" && (len(img.Tags) != 1 || img.Tags[0] != "t"+version):
		return fmt.Sprintf("version %s and tags %q come from two requests", version, img.Tags)
	case e.uploaded && img.Status != image.Active:
		return "its upload was acknowledged and it is " + string(img.Status)
	case img.Status == image.Queued:
		if img.Size != nil || img.Checksum != "" {
			return "it is queued and has data"
		}
		return ""
	case img.Status != image.Active:
		return "it is " + string(img.Status) + ", and nobody works on it"
	case !e.uploaded && e.unsure != "upload":
		return "it is active, and nobody uploaded it"
	case img.Size == nil || *img.Size != e.size:
		return fmt.Sprintf("it is not of %d bytes as what was sent", e.size)
	}
	return ""
}

// compareBytes returns what is wrong with the data.
func (e *expected) compareBytes(ctx context.Context, c *client.Client, id image.ID) string {
	down, err := c.Download(ctx, id, client.DownloadOptions{})
	if err != nil {
		return err.Error()
	}
	defer down.Close()
	data, err := io.ReadAll(down) // compares the hash as well
	if err != nil {
		return err.Error()
	}
	if !bytes.Equal(data, dataOf(id, e.size)) {
		return "its bytes are others than those that were sent"
	}
	return ""
}

// wantObjects checks that a store's directory holds the objects and nothing else that has bytes.
func wantObjects(t *testing.T, dir string, want map[string]bool) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasPrefix(entry.Name(), ".vitrine") {
			return err
		}
		if !want[entry.Name()] {
			t.Errorf("%s is left over", path)
		}
		delete(want, entry.Name())
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for name := range want {
		t.Errorf("there is no file of image %s", name)
	}
}
