package fusefs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/fusemount"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/mounter"
)

// The images of the tests of takeovers, by number. Each daemon of a test makes them anew from the same directory.
const (
	localImage  = 1 // in a file
	remoteImage = 2 // read through the daemon
	diskImage   = 3 // a disk in another format, which lies in a file while there is a file "kept"
	stuckImage  = 4 // whose reads last for ever while there is a file "stuck"
	imageSize   = 4 << 20
)

func takeoverImages(dir string) (*fake, error) {
	f := newFakeIn(dir)
	for n := int64(1); n <= stuckImage; n++ {
		img := f.image(n, fmt.Sprint("image ", n), imageSize)
		switch n {
		case remoteImage, stuckImage:
			inCluster(img)
		case diskImage:
			inCluster(img)
			img.DiskFormat, img.VirtualSize = "qcow2", new(int64(imageSize))
		}
		f.set(n, img)
	}
	for n := int64(stuckImage + 1); n <= 500; n++ { // for listings that take several requests
		f.set(n, f.image(n, fmt.Sprint("image ", n), imageSize))
	}
	f.number = 500
	return f, nil
}

// A stuckReader's reads last until they are interrupted, as long as there is a file "stuck". Each says so to who reads the pipe "reads".
type stuckReader struct {
	plainReader
	dir string
}

func (r *stuckReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if _, err := os.Stat(filepath.Join(r.dir, "stuck")); err == nil {
		if err := tell(r.dir); err != nil {
			return 0, err
		}
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return r.plainReader.ReadAt(ctx, p, off)
}

// A stuckSource never answers lookups of images while there is a file "stuck lookups". Each says so to who reads the pipe "reads".
type stuckSource struct{ *fake }

func (s stuckSource) ImageIn(ctx context.Context, dir Dir, id image.ID) (Entry, error) {
	if _, err := os.Stat(filepath.Join(s.dir, "stuck lookups")); err == nil {
		if err := tell(s.dir); err != nil {
			return Entry{}, err
		}
		<-ctx.Done()
		return Entry{}, ctx.Err()
	}
	return s.fake.ImageIn(ctx, dir, id)
}

// tell says something to who reads the pipe "reads".
func tell(dir string) error {
	pipe, err := os.OpenFile(filepath.Join(dir, "reads"), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer pipe.Close()
	_, err = pipe.Write([]byte("x"))
	return err
}

// takeHere serves the mount of a helper, in a child: the images in the directory Path2, the helper's socket beside it.
func takeHere(r request) error {
	f, err := takeoverImages(r.Path2)
	if err != nil {
		return err
	}
	_, err = os.Stat(filepath.Join(f.dir, "kept"))
	f.kept[diskImage] = err == nil
	if _, err := os.Stat(filepath.Join(r.Path2, "old kernel")); err == nil {
		capResend = 0
	}
	f.wrap = func(file *os.File, size int64) Reader {
		switch name := filepath.Base(file.Name()); {
		case name == fmt.Sprint(stuckImage, ".data"):
			return &stuckReader{plainReader{file, size}, f.dir}
		case name == fmt.Sprint(localImage, ".data"), name == fmt.Sprint(diskImage, ".data.disk") && f.kept[diskImage]:
			return &fileReader{plainReader{file, size}}
		}
		return &plainReader{file, size}
	}
	m, err := New(Config{Path: r.Path, Source: stuckSource{f}, Helper: r.Path2 + ".sock", TakeOver: r.Flags != 0, Linger: childPatience,
		AllowOther: true, FileMode: 0o444, DirMode: 0o555, Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
	if err == nil {
		ctx, stop := context.WithTimeout(context.Background(), childPatience)
		defer stop()
		err = m.Attach(ctx)
	}
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Serve(ctx) }()
	<-m.Settled()
	serving.Mount, serving.source, unserve = m, f, func() error {
		stop()
		if err := <-done; err != nil && !errors.Is(err, ErrHandedOver) && !errors.Is(err, ErrUnmounted) {
			return err
		}
		return nil
	}
	return nil
}

var serving struct {
	*Mount
	source *fake
}

// inUseHere returns how many files are open, and what the journal has, as JSON.
func inUseHere() (int64, []byte) {
	served, passed := serving.handles.inUse()
	noted := map[string]int{}
	for _, n := range serving.journal.open() {
		noted[fmt.Sprintf("%#x", uint64(n))] = serving.journal.of(n).opens
	}
	b, _ := json.Marshal(noted)
	return int64(served + passed), b
}

// A stand has a helper, and daemons that come and go.
type stand struct {
	t      *testing.T
	path   string // of the mount
	dir    string // of the images
	data   map[int64][]byte
	cancel context.CancelFunc
	done   chan error
}

// newStand starts a helper in this process, which never touches the mount.
func newStand(t *testing.T, edit ...func(*mounter.Config)) *stand {
	t.Helper()
	s := newStandAlone(t)
	cfg := mounter.Config{Path: s.path, Socket: s.dir + ".sock", Logger: slog.New(slog.NewTextHandler(t.Output(), nil))}
	for _, e := range edit {
		e(&cfg)
	}
	server, err := mounter.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var ctx context.Context
	ctx, s.cancel = context.WithCancel(context.Background())
	go func() { s.done <- server.Run(ctx) }()
	t.Cleanup(func() {
		s.cancel()
		if err := <-s.done; err != nil {
			t.Errorf("the helper ended with %v", err)
		}
	})
	return s
}

// newStandAlone makes one without a helper.
func newStandAlone(t *testing.T) *stand {
	t.Helper()
	testservers.Require(t, "fuse", "root")
	dir := t.TempDir()
	s := &stand{t: t, path: filepath.Join(dir, "mnt"), dir: filepath.Join(dir, "images"), data: make(map[int64][]byte), done: make(chan error, 1)}
	if err := os.Mkdir(s.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f := newFakeIn(s.dir)
	for n := int64(1); n <= stuckImage; n++ {
		s.data[n] = someBytes(imageSize)
		path := f.path(n)
		if n == diskImage {
			path = f.diskPath(n)
		}
		if err := os.WriteFile(path, s.data[n], 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := unix.Mkfifo(filepath.Join(s.dir, "reads"), 0o666); err != nil {
		t.Fatal(err)
	}
	// Whatever hangs below the mount would hang this machine.
	watchdog := time.AfterFunc(3*time.Minute, func() {
		if top, found, _ := fusemount.Top(s.path, "fuse.vitrine"); found {
			fusemount.Abort(top.Minor)
		}
	})
	t.Cleanup(func() {
		watchdog.Stop()
		if left, err := fusemount.At(s.path); err != nil || len(left) > 0 {
			t.Errorf("there is %v at the path, %v, want nothing", left, err)
		}
	})
	return s
}

// daemon starts one; takeOver says that another one serves.
func (s *stand) daemon(user *syscall.Credential, takeOver bool) *child {
	s.t.Helper()
	c := startChildAs(s.t, user, s.t.Output())
	r := request{Op: "take", Path: s.path, Path2: s.dir}
	if takeOver {
		r.Flags = 1
	}
	c.ok(r)
	return c
}

// kill ends a daemon that notices nothing.
func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	c.stop()
}

func (s *stand) file(n int64) string {
	return filepath.Join(s.path, "by-id", fmt.Sprintf("00000000-0000-4000-8000-abcd%08d", n), "disk.raw")
}

// TestFilesStayOpen opens files of all kinds, lets daemons end and come, and reads on in them.
func TestFilesStayOpen(t *testing.T) {
	for name, end := range map[string]func(*child){
		"killed": (*child).kill,
		"ended":  func(c *child) { c.t.Helper(); c.ok(request{Op: "unserve"}); c.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			d, c := s.daemon(nil, false), startChild(t)
			kinds := []int64{localImage, remoteImage, diskImage}
			var fds []int
			open := func() {
				for _, n := range kinds {
					fds = append(fds, int(c.ok(request{Op: "open", Path: s.file(n), Flags: unix.O_DIRECT}).N))
				}
			}
			check := func() {
				t.Helper()
				for i, fd := range fds {
					n := kinds[i%len(kinds)]
					off := int64(i+1) << 16
					if got := c.read(fd, off); got != string(s.data[n][off:off+4096]) {
						t.Errorf("file %d of image %d reads wrong", i, n)
					}
				}
			}
			open()
			check()
			for range 3 {
				end(d)
				d = s.daemon(nil, false)
				check()
				open()
				check()
			}
			s.wantOpen(d, len(kinds), map[int64]int{localImage: 4, remoteImage: 4, diskImage: 4})
			for _, fd := range fds[:len(fds)-len(kinds)] {
				c.close(fd)
			}
			s.wantOpen(d, len(kinds), map[int64]int{localImage: 1, remoteImage: 1, diskImage: 1})
			fds = fds[len(fds)-len(kinds):]
			for _, fd := range fds {
				c.close(fd)
			}
			s.wantOpen(d, 0, nil)
		})
	}
}

// TestKeptDiskStaysOpen opens a disk that lies in a file, and lets a daemon come for which it lies in none; and the other way round.
func TestKeptDiskStaysOpen(t *testing.T) {
	testservers.Require(t, "passthrough")
	s := newStand(t)
	c := startChild(t)
	kept := filepath.Join(s.dir, "kept")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d := s.daemon(nil, false)
	var fds []int
	open := func(what string) {
		t.Helper()
		fds = append(fds, int(c.ok(request{Op: "open", Path: s.file(diskImage), Flags: unix.O_DIRECT}).N))
		for i, fd := range fds {
			off := int64(len(fds)) << 16
			if got := c.read(fd, off); got != string(s.data[diskImage][off:off+4096]) {
				t.Errorf("%s: the %dth file that was opened reads wrong", what, i)
			}
			if a := c.ok(request{Op: "seek", FD: fd, Offset: off, Flags: unix.SEEK_DATA}); a.N != off {
				t.Errorf("%s: of the %dth file that was opened, data after %d is at %d", what, i, off, a.N)
			}
		}
	}
	shut := func() {
		t.Helper()
		for _, fd := range fds {
			c.close(fd)
		}
		fds = nil
		s.wantOpen(d, 0, nil)
	}
	open("in a file")
	if err := os.Remove(kept); err != nil {
		t.Fatal(err)
	}
	d.kill()
	d = s.daemon(nil, false)
	open("in none, while the kernel has the file")
	shut()
	open("in none")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	d.kill()
	d = s.daemon(nil, false)
	open("in a file, while the daemon reads")
	shut()
	open("in a file again")
	shut()
}

// wantOpen waits until the daemon has so many files open, the images so often.
func (s *stand) wantOpen(d *child, files int, opens map[int64]int) {
	s.t.Helper()
	var a answer
	for range 1000 { // the kernel tells of a close when it has time
		a = d.ok(request{Op: "in use"})
		noted := map[string]int{}
		if err := json.Unmarshal(a.Data, &noted); err != nil {
			s.t.Fatal(err)
		}
		got := map[int64]int{}
		for name, count := range noted {
			n, _ := strconv.ParseUint(name, 0, 64)
			got[node(n).number()] += count
		}
		if int(a.N) == files && fmt.Sprint(got) == fmt.Sprint(nonNil(opens)) {
			return
		}
		d.ok(request{Op: "lstat", Path: s.dir}) // a turn of others
	}
	s.t.Errorf("the daemon has %d files open, noted as %s, want %d and %v", a.N, a.Data, files, opens)
}

func nonNil(m map[int64]int) map[int64]int {
	if m == nil {
		return map[int64]int{}
	}
	return m
}

// TestReadsUnderWayAreAnswered kills the daemon while it works on reads, and its successor answers them.
func TestReadsUnderWayAreAnswered(t *testing.T) {
	for name, end := range map[string]func(*child){
		"killed": (*child).kill,
		"ended":  func(c *child) { c.t.Helper(); c.ok(request{Op: "unserve"}); c.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			stuck := filepath.Join(s.dir, "stuck")
			if err := os.WriteFile(stuck, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			d := s.daemon(nil, false)
			var answers []func() (answer, error)
			for i := range 4 {
				c := startChild(t)
				fd := int(c.ok(request{Op: "open", Path: s.file(stuckImage), Flags: unix.O_DIRECT}).N)
				answers = append(answers, c.send(request{Op: "pread", FD: fd, Offset: int64(i) << 20, Size: 8192}))
				if _, err := os.ReadFile(filepath.Join(s.dir, "reads")); err != nil { // it is being read
					t.Fatal(err)
				}
			}
			if err := os.Remove(stuck); err != nil {
				t.Fatal(err)
			}
			end(d)
			d = s.daemon(nil, false)
			for i, answer := range answers {
				a, err := answer()
				if err != nil || a.Errno != 0 || !bytes.Equal(a.Data, s.data[stuckImage][i<<20:i<<20+8192]) {
					t.Errorf("the read that was under way: %d bytes, %v, %v", len(a.Data), a.Errno, err)
				}
			}
			s.wantOpen(d, 1, map[int64]int{stuckImage: 4})
		})
	}
}

// TestKilledWhileTheKernelForgets kills a daemon that lets the kernel forget an entry, which waits for a lookup in the same directory
// that the daemon has not answered: it must die all the same, and its successor answer.
func TestKilledWhileTheKernelForgets(t *testing.T) {
	s := newStand(t)
	d, c := s.daemon(nil, false), startChild(t)
	c.stat(filepath.Dir(s.file(stuckImage + 2)))
	stuck := filepath.Join(s.dir, "stuck lookups")
	if err := os.WriteFile(stuck, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	looked := c.send(request{Op: "lstat", Path: filepath.Dir(s.file(stuckImage + 1))})
	if _, err := os.ReadFile(filepath.Join(s.dir, "reads")); err != nil { // it is being looked up
		t.Fatal(err)
	}
	d.ok(request{Op: "remove", Offset: stuckImage + 2})
	for deadline := time.Now().Add(childPatience); !isForgetting(os.Getpid()) && !isForgetting(d.cmd.Process.Pid); {
		if time.Now().After(deadline) {
			t.Fatal("nobody asks the kernel to forget what was removed")
		}
		d.ok(request{Op: "in use"}) // a turn of others
	}
	if err := os.Remove(stuck); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	d.kill()
	if took := time.Since(begun); took > childPatience {
		t.Errorf("the daemon was killed, and ended after %v", took)
	}
	s.daemon(nil, false)
	if a, err := looked(); err != nil || a.Errno != 0 {
		t.Errorf("the lookup under way: %v, %v", a.Errno, err)
	}
}

// isForgetting tells whether a thread of the process waits in the kernel for an entry to be forgotten.
func isForgetting(pid int) bool {
	stacks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stack", pid))
	return slices.ContainsFunc(stacks, func(path string) bool {
		stack, err := os.ReadFile(path) // the thread may have ended
		return err == nil && bytes.Contains(stack, []byte("fuse_reverse_inval_entry"))
	})
}

// TestSecondDaemonIsRefused unless it says that it takes over.
func TestSecondDaemonIsRefused(t *testing.T) {
	s := newStand(t)
	d, c := s.daemon(nil, false), startChild(t)
	fd := c.open(s.file(remoteImage))
	f, err := takeoverImages(s.dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(Config{Path: s.path, Source: f, Helper: s.dir + ".sock"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Attach(t.Context()); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("pid %d serves", d.cmd.Process.Pid)) {
		t.Errorf("Attach = %v, want an error that tells who serves", err)
	}
	next := s.daemon(nil, true)
	if got := c.read(fd, 4096); got != string(s.data[remoteImage][4096:8192]) {
		t.Error("after the handover the file reads wrong")
	}
	d.ok(request{Op: "unserve"}) // which it has done
	s.wantOpen(next, 1, map[int64]int{remoteImage: 1})
}

// TestDaemonWithoutRights serves with passthrough, as nobody.
func TestDaemonWithoutRights(t *testing.T) {
	testservers.Require(t, "passthrough")
	s := newStand(t, func(cfg *mounter.Config) { cfg.UID, cfg.GID = 65534, 65534 })
	for dir := s.dir; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	stranger := startChildAs(t, &syscall.Credential{Uid: 1234, Gid: 65534}, t.Output())
	if _, err := stranger.send(request{Op: "take", Path: s.path, Path2: s.dir})(); err == nil {
		t.Error("a user whom it does not serve got the mount")
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	d, c := s.daemon(nobody, false), startChild(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.cmd.Process.Pid))
	if err != nil || !strings.Contains(string(status), "CapEff:\t0000000000000000") {
		t.Fatalf("the daemon has rights: %s, %v", status, err)
	}
	fd := c.open(s.file(localImage))
	s.wantOpen(d, 1, map[int64]int{localImage: 1})
	d.kill() // and nobody is there
	if got := c.read(fd, 1<<20); got != string(s.data[localImage][1<<20:1<<20+4096]) {
		t.Error("without a daemon the file reads wrong")
	}
	d = s.daemon(nobody, false)
	c.open(s.file(localImage)) // the kernel would refuse another registration
	s.wantOpen(d, 1, map[int64]int{localImage: 2})
}

// TestNobodyComesBack lets readers wait for a daemon that never comes: they get errors after a while.
func TestNobodyComesBack(t *testing.T) {
	s := newStand(t, func(cfg *mounter.Config) { cfg.AbortAfter = 500 * time.Millisecond })
	d, c := s.daemon(nil, false), startChild(t)
	fd := int(c.ok(request{Op: "open", Path: s.file(remoteImage), Flags: unix.O_DIRECT}).N)
	d.kill()
	if a := c.do(request{Op: "pread", FD: fd, Offset: 0, Size: 4096}); a.Errno == 0 {
		t.Errorf("the read that nobody can answer gave %d bytes", len(a.Data))
	}
	d = s.daemon(nil, false) // mounts anew
	if got := c.read(c.open(s.file(remoteImage)), 0); got != string(s.data[remoteImage][:4096]) {
		t.Error("in the new mount the file reads wrong")
	}
	s.wantOpen(d, 1, map[int64]int{remoteImage: 1})
}

// TestHelperEndsWhileServed unmounts, and leaves the daemon to those who have files open.
func TestHelperEndsWhileServed(t *testing.T) {
	s := newStand(t)
	d, c := s.daemon(nil, false), startChild(t)
	fd := int(c.ok(request{Op: "open", Path: s.file(remoteImage), Flags: unix.O_DIRECT}).N)
	s.cancel()
	if err := <-s.done; err != nil {
		t.Fatal(err)
	}
	s.done <- nil
	if a := c.stat(s.file(remoteImage)); a.Errno != syscall.ENOENT {
		t.Errorf("stat below the path: %v, want ENOENT", a.Errno)
	}
	if got := c.read(fd, 4096); got != string(s.data[remoteImage][4096:8192]) {
		t.Error("the open file reads wrong")
	}
	c.close(fd)
	if a := d.do(request{Op: "unserve"}); a.Errno != 0 {
		t.Errorf("the daemon ends with %v", a.Errno)
	}
}

// hammer reads all kinds of files below Path at once, and compares them with those in Path2, until hammered.
func hammer(r request) error {
	ctx, stop := context.WithCancel(context.Background())
	load := &hammering{stop: stop, Longest: map[string]time.Duration{}}
	s := &stand{path: r.Path, dir: r.Path2, data: map[int64][]byte{}}
	f := newFakeIn(s.dir)
	for n, path := range map[int64]string{localImage: f.path(localImage), remoteImage: f.path(remoteImage), diskImage: f.diskPath(diskImage)} {
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		s.data[n] = b
	}
	for what, read := range map[string]func() error{
		"local, direct":    s.reads(localImage, unix.O_DIRECT),
		"local, buffered":  s.reads(localImage, 0),
		"remote, direct":   s.reads(remoteImage, unix.O_DIRECT),
		"remote, buffered": s.reads(remoteImage, 0),
		"remote, mapped":   s.maps(remoteImage),
		"disk, direct":     s.reads(diskImage, unix.O_DIRECT),
		"disk, opened":     s.opens(diskImage),
		"local, opened":    s.opens(localImage),
		"directory":        s.lists(),
	} {
		load.running.Go(func() { load.run(ctx, what, read) })
	}
	hammers = load
	return nil
}

// hammered returns the result of hammer.
func hammered() []byte {
	hammers.stop()
	hammers.running.Wait()
	b, _ := json.Marshal(hammers)
	return b
}

var hammers *hammering

type hammering struct {
	stop    context.CancelFunc
	running sync.WaitGroup
	mu      sync.Mutex
	Reads   int
	Errors  []string
	Longest map[string]time.Duration
}

func (h *hammering) run(ctx context.Context, what string, read func() error) {
	for ctx.Err() == nil {
		begun := time.Now()
		err := read()
		took := time.Since(begun)
		h.mu.Lock()
		h.Reads++
		if err != nil && len(h.Errors) < 10 {
			h.Errors = append(h.Errors, what+": "+err.Error())
		}
		h.Longest[what] = max(h.Longest[what], took)
		h.mu.Unlock()
	}
}

var errWrong = errors.New("wrong bytes")

// reads returns a func that reads somewhere in a file that stays open.
func (s *stand) reads(n int64, flags int) func() error {
	fd, err := unix.Open(s.file(n), unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
	buf := aligned(16 << 10)
	return func() error {
		if err != nil {
			return err
		}
		off := rand.Int64N(imageSize/4096-4) * 4096
		if flags == 0 {
			unix.Fadvise(fd, off, int64(len(buf)), unix.FADV_DONTNEED)
		}
		got, err := unix.Pread(fd, buf, off)
		if err == nil && !bytes.Equal(buf[:got], s.data[n][off:off+int64(len(buf))]) {
			err = errWrong
		}
		return err
	}
}

// maps returns a func that looks somewhere into a file that is mapped.
func (s *stand) maps(n int64) func() error {
	fd, err := unix.Open(s.file(n), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return func() error { return err }
	}
	mapped, err := unix.Mmap(fd, 0, imageSize, unix.PROT_READ, unix.MAP_SHARED)
	return func() error {
		if err != nil {
			return err
		}
		off := rand.Int64N(imageSize/4096) * 4096
		unix.Madvise(mapped, unix.MADV_DONTNEED)
		unix.Fadvise(fd, 0, imageSize, unix.FADV_DONTNEED)
		if !bytes.Equal(mapped[off:off+4096], s.data[n][off:off+4096]) {
			return errWrong
		}
		return nil
	}
}

// opens returns a func that opens a file, reads from it, and closes it.
func (s *stand) opens(n int64) func() error {
	buf := aligned(4096)
	return func() error {
		fd, err := unix.Open(s.file(n), unix.O_RDONLY|unix.O_CLOEXEC|unix.O_DIRECT, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		got, err := unix.Pread(fd, buf, 8192)
		if err == nil && !bytes.Equal(buf[:got], s.data[n][8192:8192+4096]) {
			err = errWrong
		}
		return err
	}
}

// lists returns a func that lists a directory, which has 500 entries.
func (s *stand) lists() func() error {
	return func() error {
		var a answer
		if err := list(request{Path: filepath.Join(s.path, "by-id"), Size: 4096}, &a); err != nil {
			return err
		}
		if all := len(a.Names); all != 500 || len(slices.Compact(a.Names)) != 500 {
			return fmt.Errorf("%d names", all)
		}
		return nil
	}
}

// TestTakeoverUnderLoad kills daemons, and lets others take over from living ones, while everything is read. VITRINE_ROUNDS makes it longer.
func TestTakeoverUnderLoad(t *testing.T) {
	handOver := func(s *stand, d *child) *child {
		next := s.daemon(nil, true)
		d.ok(request{Op: "unserve"})
		d.stop()
		return next
	}
	for name, tt := range map[string]struct {
		rounds  int
		replace func(s *stand, d *child) *child
		old     bool // the kernel cannot be asked for unanswered requests
	}{
		"killed":                       {10, func(s *stand, d *child) *child { d.kill(); return s.daemon(nil, false) }, false},
		"handed over":                  {3, handOver, false},
		"handed over on an old kernel": {3, handOver, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t)
			if tt.old {
				if err := os.WriteFile(filepath.Join(s.dir, "old kernel"), nil, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			d, c := s.daemon(nil, false), startChild(t)
			c.ok(request{Op: "hammer", Path: s.path, Path2: s.dir})
			seen := startChild(t)
			for range testservers.Rounds(t, tt.rounds) {
				seen.names(s.path) // the daemon has answered something
				d = tt.replace(s, d)
			}
			var got hammering
			if err := json.Unmarshal(c.ok(request{Op: "hammered"}).Data, &got); err != nil {
				t.Fatal(err)
			}
			t.Logf("%d reads, longest %v", got.Reads, got.Longest)
			if len(got.Errors) > 0 || got.Reads == 0 {
				t.Errorf("of %d reads some failed: %q", got.Reads, got.Errors)
			}
			c.stop()
			s.wantOpen(d, 0, nil)
		})
	}
}
