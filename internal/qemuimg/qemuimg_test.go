package qemuimg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A sparse disk holds pieces at offsets.
type sparse struct {
	size   int64
	pieces map[int64][]byte
	read   func(ctx context.Context) error // before each read, unless nil
}

func (d sparse) Size() int64 { return d.size }

func (d sparse) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if d.read != nil {
		if err := d.read(ctx); err != nil {
			return 0, err
		}
	}
	clear(p)
	for at, piece := range d.pieces {
		if from, to := max(at, off), min(at+int64(len(piece)), off+int64(len(p))); from < to {
			copy(p[from-off:to-off], piece[from-at:])
		}
	}
	return len(p), nil
}

func (d sparse) DataAt(_ context.Context, off int64) (start, end int64, err error) {
	start, end = d.size, d.size
	for at, piece := range d.pieces {
		if to := at + int64(len(piece)); to > off && at < start {
			start, end = max(at, off), to
		}
	}
	return start, end, nil
}

func newConverter(t *testing.T, cfg Config) *Converter {
	t.Helper()
	cfg.Dir = t.TempDir()
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var content = bytes.Repeat([]byte("what a guest sees "), 200_000)

func disks() map[string]sparse {
	return map[string]sparse{
		"empty":     {size: 8 << 20},
		"full":      {size: int64(len(content)) / 512 * 512, pieces: map[int64][]byte{0: content[:len(content)/512*512]}},
		"odd":       {size: 3<<20 + 512, pieces: map[int64][]byte{1000: content[:100], 3 << 20: content[:512]}},
		"large":     {size: 2 << 30, pieces: map[int64][]byte{512: content[:5], 1 << 30: content, 2<<30 - 1024: content[:1024]}},
		"with zero": {size: 4 << 20, pieces: map[int64][]byte{0: make([]byte, 3<<20), 3<<20 + 7: content[:7]}},
	}
}

func TestConvert(t *testing.T) {
	testservers.Require(t, "qemu")
	c := newConverter(t, Config{})
	for name, d := range disks() {
		raw, err := c.Convert(t.Context(), d, Raw, false)
		if err != nil {
			t.Fatal(err)
		}
		defer raw.Close()
		checkRaw(t, name, raw, d)
		for _, format := range Formats() {
			t.Run(format+" "+name, func(t *testing.T) {
				f, err := c.Convert(t.Context(), d, format, false)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				cmd := exec.Command("timeout", "60", "qemu-img", "compare", "-f", drivers[format].name, "-F", "raw", "/proc/self/fd/3", "/proc/self/fd/4")
				cmd.ExtraFiles = []*os.File{f.File, raw.File}
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("%v: %s", err, out)
				}
				if info, err := f.Stat(); err != nil || info.Size() != f.Size {
					t.Errorf("%d bytes, %v, of %d", f.Size, err, info.Size())
				}
			})
		}
	}
	if left, err := os.ReadDir(c.cfg.Dir); err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

// checkRaw wants the disk's bytes at its pieces, and room for them alone.
func checkRaw(t *testing.T, name string, raw *File, d sparse) {
	t.Helper()
	if raw.Size != d.size {
		t.Errorf("%s: %d bytes, want %d", name, raw.Size, d.size)
	}
	for at, piece := range d.pieces {
		p := make([]byte, len(piece))
		if _, err := raw.ReadAt(p, at); err != nil || !bytes.Equal(p, piece) {
			t.Errorf("%s: wrong bytes at %d, %v", name, at, err)
		}
	}
	if name == "with zero" {
		if off, err := raw.Seek(0, 3); err != nil || off < 3<<20 { // SEEK_DATA
			t.Errorf("zeros were written at %d, %v", off, err)
		}
	}
}

// TestThreadsFit converts a disk within a fraction of the usual address space: each thread of qemu-img needs some of it, and how many it
// starts depends on how fast the disk is.
func TestThreadsFit(t *testing.T) {
	testservers.Require(t, "qemu")
	c := newConverter(t, Config{Memory: 192 << 20})
	long := bytes.Repeat(content, 16)
	f, err := c.Convert(t.Context(), sparse{size: int64(len(long)), pieces: map[int64][]byte{0: long}}, "vmdk", false)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

func TestUnknown(t *testing.T) {
	c := newConverter(t, Config{})
	if _, err := c.Convert(t.Context(), sparse{}, "qcow2", true); err == nil {
		t.Error("qcow2 is converted to")
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := c.Convert(t.Context(), sparse{}, "vmdk", true); !errors.Is(err, image.ErrUnsupportedContent) || !strings.Contains(err.Error(), "qemu-img") {
		t.Errorf("without qemu-img: %v", err)
	}
}

// TestBounds answers those who have no patience at once, lets the others wait, and refuses what never fits.
func TestBounds(t *testing.T) {
	d := sparse{size: 4 << 20, pieces: map[int64][]byte{0: content[:2<<20]}}
	c := newConverter(t, Config{Scratch: 3 << 20})
	first, err := c.Convert(t.Context(), d, Raw, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Convert(t.Context(), d, Raw, false); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("beyond the room: %v", err)
	}
	waiting := make(chan error)
	go func() {
		f, err := c.Convert(t.Context(), d, Raw, true)
		if err == nil {
			f.Close()
		}
		waiting <- err
	}()
	first.Close()
	if err := <-waiting; err != nil {
		t.Error(err)
	}
	d.pieces[2<<20] = content[:1<<20]
	d.pieces[3<<20] = content[:1]
	if _, err := c.Convert(t.Context(), d, Raw, false); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("more than all the room: %v", err)
	}
	alone, err := c.Convert(t.Context(), d, Raw, true)
	if err != nil {
		t.Fatal(err)
	}
	if c.scratch.TryAcquire(1) {
		t.Error("there is room beside what needs all of it")
	}
	alone.Close()
	gone, stop := context.WithCancel(t.Context())
	stop()
	if err := c.scratch.Acquire(t.Context(), 3<<20); err != nil {
		t.Fatal("room was not given back:", err)
	}
	if _, err := c.Keep(gone, 1, true, func(io.Writer) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("who does not wait any more: %v", err)
	}
	c.scratch.Release(3 << 20)
	broken := errors.New("broken")
	if _, err := c.Keep(t.Context(), 3<<20, false, func(io.Writer) error { return broken }); err != broken {
		t.Error(err)
	}
	if !c.scratch.TryAcquire(3 << 20) {
		t.Error("what failed keeps its room")
	}
}

func TestSlots(t *testing.T) {
	testservers.Require(t, "qemu")
	began, end := make(chan bool), make(chan bool)
	c := newConverter(t, Config{AtOnce: 1})
	d := sparse{size: 1 << 20, pieces: map[int64][]byte{0: content[:100]}, read: func(context.Context) error {
		began <- true
		<-end
		return nil
	}}
	done := make(chan error)
	go func() {
		f, err := c.Convert(t.Context(), d, "vdi", false)
		if err == nil {
			f.Close()
		}
		done <- err
	}()
	<-began
	if _, err := c.Convert(t.Context(), sparse{size: 512}, "vdi", false); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("a second one: %v", err)
	}
	close(end)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFailures of the disk and of whoever waits end a conversion and leave nothing.
func TestFailures(t *testing.T) {
	broken := errors.New("broken")
	for _, tt := range []struct {
		name string
		read func(stop context.CancelFunc) func(context.Context) error
		want error
	}{
		{"a disk that fails", func(context.CancelFunc) func(context.Context) error {
			return func(context.Context) error { return broken }
		}, broken},
		{"a client that leaves", func(stop context.CancelFunc) func(context.Context) error {
			return func(ctx context.Context) error {
				stop()
				<-ctx.Done()
				return ctx.Err()
			}
		}, context.Canceled},
	} {
		c := newConverter(t, Config{})
		ctx, stop := context.WithCancel(t.Context())
		d := sparse{size: int64(len(content)), pieces: map[int64][]byte{0: content}, read: tt.read(stop)}
		if _, err := c.Convert(ctx, d, "vmdk", false); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !c.scratch.TryAcquire(c.cfg.Scratch) || !c.slots.TryAcquire(c.cfg.AtOnce) {
			t.Errorf("%s: room was not given back", tt.name)
		}
		stop()
	}
}

// TestJail ends a program that takes more than it may, and shows it no network, and none of our rights.
func TestJail(t *testing.T) {
	testservers.Require(t, "qemu")
	c := newConverter(t, Config{})
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"memory", []string{"--as=67108864", "dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"}},
		{"file size", []string{"--fsize=1000", "dd", "if=/dev/zero", "of=/proc/self/fd/3", "bs=2000", "count=2"}},
		{"time", []string{"--cpu=1", "sh", "-c", "while :; do :; done"}},
	} {
		f, err := c.create(c.owner)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := c.runJailed(t.Context(), tt.args, f); !errors.As(err, new(*exec.ExitError)) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	said, err := c.runJailed(t.Context(), []string{"--core=0", "sh", "-c", "(id -u; env | wc -l; tail -n +3 /proc/net/dev | cut -d: -f1; ls /proc/self/fd | wc -l) >&2"})
	if err != nil {
		t.Fatal(err, said)
	}
	fields := strings.Fields(said)
	uid := os.Getuid()
	if c.owner != nil {
		uid = int(c.owner.Uid)
	}
	if len(fields) < 4 || fields[0] != strconv.Itoa(uid) || !slices.Equal(fields[2:len(fields)-1], []string{"lo"}) {
		t.Errorf("the child says %q", fields)
	}
	if os.Getuid() == 0 && uid == 0 {
		t.Error("the child is root")
	}
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	if _, err := c.runJailed(ctx, []string{"--core=0", "sleep", "1000"}); err == nil || ctx.Err() == nil {
		t.Errorf("a program that takes too long = %v", err)
	}
}

// TestTimeouts of qemu-img itself, which here is another program.
func TestTimeouts(t *testing.T) {
	for script, want := range map[string]error{
		"exec sleep 1000":                image.ErrTooLarge,
		"echo no such thing >&2; exit 1": image.ErrUnsupportedContent,
		"echo No space left >&2; exit 1": image.ErrStoreFull,
	} {
		dir := t.TempDir()
		for _, d := range []string{dir, filepath.Dir(dir)} {
			if err := os.Chmod(d, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(dir, "qemu-img"), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", fmt.Sprintf("%s:/usr/bin:/bin", dir))
		timeout := time.Minute
		if want == image.ErrTooLarge {
			timeout = 200 * time.Millisecond
		}
		var log bytes.Buffer
		c := newConverter(t, Config{Timeout: timeout, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if _, err := c.Convert(t.Context(), sparse{size: 512}, "vdi", false); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", script, err, want)
		}
		if complaint, ok := strings.CutPrefix(script, "echo "); ok && !strings.Contains(log.String(), complaint[:13]) {
			t.Errorf("%s: nobody learns why: %q", script, log.String())
		}
	}
}

func TestUsers(t *testing.T) {
	if _, err := New(Config{Dir: t.TempDir(), User: "nobody-of-this-name"}); err == nil {
		t.Error("a user who is not there")
	}
	if _, err := New(Config{}); err == nil {
		t.Error("no directory")
	}
}
