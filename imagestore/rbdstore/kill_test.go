//go:build ceph

package rbdstore

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// uploadVariable makes this program a child that dies in a Put, after some chunks. It holds the configuration file, the
// image's id, and their number.
const uploadVariable = "RBDSTORE_TEST_UPLOAD"

func upload() {
	var conf, id string
	var chunks int
	if _, err := fmt.Sscan(os.Getenv(uploadVariable), &conf, &id, &chunks); err != nil {
		panic(err)
	}
	s, err := Open(Config{ID: "ceph", Conf: conf, User: "images", Pool: "images"})
	if err != nil {
		panic(err)
	}
	src := storetest.NewSource(storetest.Random(32<<20), 4<<20)
	src.Before = func() {
		if chunks--; chunks < 0 {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
	_, err = s.Put(context.Background(), imagestore.Object{ImageID: image.ID(id), Name: id, Upload: "of-" + id}, src)
	panic(fmt.Sprint("the Put came to its end: ", err))
}

// What a killed daemon has left stays while its watch lives on, for it could be one that writes. The sweep removes it then.
func TestKilledInAPut(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	for range testservers.Rounds(t, 4) {
		id := image.NewID()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d", uploadVariable, c.Conf, id, rand.IntN(9)))
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(err.Error(), "signal: killed") {
			t.Fatalf("child: %v: %s", err, out)
		}
		loc := s.Locate(imagestore.Object{ImageID: id, Name: string(id), Upload: "of-" + string(id)})
		must(t, s.Delete(t.Context(), loc)) // as the daemon does that finds the reservation
		if removed, err := s.Sweep(t.Context()); removed != 0 || err != nil {
			t.Errorf("Sweep while the dead daemon's watch lives = %d, %v", removed, err)
		}
		wantSweptEvery(t, s, time.Minute)
		restarted, err := Open(config(c)) // which knows of it by its sweep alone
		must(t, err)
		if removed, err := restarted.Sweep(t.Context()); removed != 0 || err != nil {
			t.Errorf("Sweep after a restart while the watch lives = %d, %v", removed, err)
		}
		wantSweptEvery(t, restarted, time.Minute)
		must(t, restarted.Close())
		_, err = s.Open(t.Context(), loc)
		wantError(t, "Open of what was never finished", err, image.ErrDataMissing)
		shutOutWatcher(t, c, uploadPrefix+"of-"+string(id))
		for removed := 0; removed == 0; { // the OSD may hear of it later
			var err error
			if removed, err = s.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		wantNothing(t, s)
		wantSweptEvery(t, s, time.Hour)
	}
}

func wantSweptEvery(t *testing.T, s *Store, want time.Duration) {
	t.Helper()
	if got := s.SweepEvery(); got != want {
		t.Errorf("the store is swept every %s, want %s", got, want)
	}
}

// shutOutWatcher shuts out the only client that watches an image.
func shutOutWatcher(t *testing.T, c *testservers.Ceph, name string) {
	t.Helper()
	address, err := c.Watcher(t.Context(), name)
	must(t, err)
	must(t, c.ShutOut(t.Context(), address))
}

func wantNothing(t *testing.T, s *Store) {
	t.Helper()
	names, err := s.pool.List(t.Context())
	must(t, err)
	trashed, err := s.pool.Trashed(t.Context())
	if err != nil || len(names)+len(trashed) != 0 {
		t.Errorf("the pool holds %v and in the trash %v, %v, want nothing", names, trashed, err)
	}
}

// gate is called before a chunk of a source; it lets the test do something in the middle of an upload.
func gate(src *storetest.Source, at int, do func()) {
	src.Before = func() {
		if at--; at == 0 {
			do()
		}
	}
}

// An OSD that is killed and comes back in the middle only makes uploads and reads slower.
func TestKilledOSD(t *testing.T) {
	c := testservers.OwnCeph(t)
	cfg := config(c)
	cfg.Timeout = 60 * time.Second
	s := openStore(t, cfg)
	data := storetest.Random(24 << 20)
	restart := func() {
		c.KillOSD()
		must(t, c.StartOSD())
	}
	for range testservers.Rounds(t, 1) {
		src := storetest.NewSource(data, 1<<20)
		gate(src, 1+rand.IntN(24), restart)
		loc, err := s.Put(t.Context(), storetest.NewObject(), src)
		must(t, err)
		r := openReader(t, s, loc)
		killed := rand.Int64N(r.Size()) / (1 << 20)
		p := make([]byte, 1<<20)
		for i := int64(0); i*(1<<20) < r.Size(); i++ {
			if i == killed {
				restart()
			}
			if _, err := r.ReadAt(t.Context(), p, i<<20); err != nil || !bytes.Equal(p, data[i<<20:][:1<<20]) {
				t.Fatalf("ReadAt(%d) around the death of the OSD = %v, or other bytes", i<<20, err)
			}
		}
	}
}

// Without a monitor the store opens, says that it is offline, and works as soon as there is one.
func TestClusterAwayAtTheStart(t *testing.T) {
	c := testservers.SharedCeph(t)
	known := config(c)
	loc := put(t, openStore(t, known), storetest.Random(100))
	must(t, c.StopMon())
	known.Timeout, known.FSID = 2*time.Second, c.FSID
	s := openStore(t, known)
	obj := storetest.NewObject()
	if got, want := s.Locate(obj).URL, "rbd://"+c.FSID+"/images/"+obj.Name+"/snap"; got != want {
		t.Errorf("Locate = %s, want %s", got, want)
	}
	_, err := s.Put(t.Context(), obj, storetest.NewSource(nil, 1))
	wantError(t, "Put", err, image.ErrStoreOffline)
	_, err = s.Open(t.Context(), loc)
	wantError(t, "Open", err, image.ErrStoreOffline)
	wantError(t, "Delete", s.Delete(t.Context(), loc), image.ErrStoreOffline)
	_, err = s.Sweep(t.Context())
	wantError(t, "Sweep", err, image.ErrStoreOffline)
	_, err = s.Space(t.Context())
	wantError(t, "Space", err, image.ErrStoreOffline)
	known.FSID = ""
	if got := openStore(t, known).Locate(obj); got.URL != "" {
		t.Errorf("Locate in a cluster that was never seen = %v, want no URL", got)
	}
	must(t, c.StartMon(t.Context()))
	for { // until the monitor has a quorum
		if _, err = s.Check(t.Context()); err == nil {
			break
		}
		wantError(t, "Check", err, image.ErrStoreOffline)
	}
	wantData(t, openReader(t, s, loc), storetest.Random(100))
}

// An OSD that stands still for some seconds makes nothing fail, and a cluster that stays away ends uploads.
func TestPausedOSD(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	data := storetest.Random(8 << 20)
	r := openReader(t, s, put(t, s, data))
	stand := func(resumed func()) {
		resume, err := c.PauseOSD()
		must(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		_, err = r.ReadAt(ctx, make([]byte, 10), 5)
		resume()
		wantError(t, "ReadAt while the OSD stands still", err, context.DeadlineExceeded)
		resumed()
	}
	done := make(chan struct{})
	src := storetest.NewSource(data, 1<<20)
	gate(src, 5, func() { go stand(func() { close(done) }) })
	loc, err := s.Put(t.Context(), storetest.NewObject(), src)
	must(t, err)
	<-done
	wantData(t, openReader(t, s, loc), data)

	cfg := config(c)
	cfg.Timeout = 3 * time.Second
	hasty := openStore(t, cfg)
	src = storetest.NewSource(data, 1<<20)
	resume := func() {}
	gate(src, 5, func() {
		resume, err = c.PauseOSD()
		must(t, err)
	})
	_, err = hasty.Put(t.Context(), storetest.NewObject(), src)
	resume()
	wantError(t, "Put into a cluster that went away", err, image.ErrStoreOffline)
	if _, err := hasty.Sweep(t.Context()); err != nil {
		t.Error(err)
	}
	names, err := s.pool.List(t.Context())
	if err != nil || len(names) != 2 {
		t.Errorf("the pool holds %v, %v, want the two images", names, err)
	}
}

// A connection that the cluster has shut out is replaced under the reader.
func TestBlocklisted(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	data := storetest.Random(100_000)
	loc, other, third := put(t, s, data), put(t, s, data), put(t, s, data)
	r := openReader(t, s, loc)
	holes := openReader(t, s, other).(imagestore.ExtentReader)
	o, err := s.get(t.Context(), imageOf(third)) // it is open, and nobody has looked whose it is
	must(t, err)
	s.images.put(o)
	shutOutWatcher(t, c, imageOf(loc))
	first := r.(*reader).image
	for r.(*reader).image == first { // until the OSD has heard of it
		wantData(t, r, data)
	}
	wantData(t, openReader(t, s, loc), data)
	if extents, err := holes.Extents(t.Context(), 0, 1<<62); err != nil || len(extents) != 1 {
		t.Errorf("Extents of an image that was open = %v, %v", extents, err)
	}
	again, err := s.Open(t.Context(), third) // through the connection that is broken
	if err != nil {
		again, err = s.Open(t.Context(), third)
	}
	must(t, err)
	wantData(t, again, data)
	must(t, again.Close())
}

// Of two reads that meet a broken connection, one may close the image after the other has taken it.
func TestReadOfWhatAnotherReadReopened(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	data := storetest.Random(1000)
	r := openReader(t, s, put(t, s, data)).(*reader)
	var asked []*opened
	p := make([]byte, len(data))
	err := r.ask(t.Context(), func(o *opened) error {
		if asked = append(asked, o); len(asked) == 1 {
			must(t, r.reopen(t.Context(), o))
			must(t, o.img.Close(t.Context()))
		}
		_, err := o.img.ReadAt(t.Context(), p, 0)
		return err
	})
	if err != nil || !bytes.Equal(p, data) || len(asked) != 2 {
		t.Errorf("the read = %v after %d times, want the data at the second time", err, len(asked))
	}
}

// Who waits patiently for a cluster that stands still keeps nobody waiting whose time is up.
func TestPatience(t *testing.T) {
	c := testservers.SharedCeph(t)
	s := emptyStore(t, config(c))
	data := storetest.Random(1000)
	loc := put(t, s, data)
	o, err := s.get(t.Context(), imageOf(loc)) // open for all who come
	must(t, err)
	s.images.put(o)
	resume, err := c.PauseOSD()
	must(t, err)
	t.Cleanup(resume)
	var patient, begun sync.WaitGroup
	for range 8 {
		begun.Add(1)
		patient.Go(func() {
			begun.Done()
			wantStored(t, s, loc, data)
		})
	}
	begun.Wait()
	start := time.Now()
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		_, err := s.Open(ctx, loc)
		wantError(t, "Open while the OSD stands still", err, context.DeadlineExceeded)
		cancel()
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("three times 0.3 s took %s", d)
	}
	resume()
	patient.Wait()
}

// A pool that is full takes no more, nothing of it is left, and nothing hangs.
func TestFullPool(t *testing.T) {
	c := testservers.SharedCeph(t)
	cfg := config(c)
	cfg.Pool = "small"
	cfg.Logger = slog.New(slog.NewTextHandler(t.Output(), nil))
	s := emptyStore(t, cfg)
	_, err := c.Ceph(t.Context(), "osd", "pool", "set-quota", "small", "max_bytes", "1000000")
	must(t, err)
	t.Cleanup(func() { c.Ceph(context.Background(), "osd", "pool", "set-quota", "small", "max_bytes", "0") })
	data := storetest.Random(200_000)
	for err == nil { // the cluster notices some seconds later
		_, err = s.Put(t.Context(), storetest.NewObject(), storetest.NewSource(data, 1<<20))
	}
	wantError(t, "Put", err, image.ErrStoreFull)
	names, err := s.pool.List(t.Context())
	must(t, err)
	for _, name := range names { // what fitted
		loc := s.Locate(imagestore.Object{ImageID: image.ID(name), Name: name})
		wantStored(t, s, loc, data)
		must(t, s.Delete(t.Context(), loc))
	}
	if space, err := s.Space(t.Context()); err != nil || space.Total != 1_000_000 {
		t.Errorf("Space = %+v, %v, want the quota", space, err)
	}
	wantNothing(t, s)
}
