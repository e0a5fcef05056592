package ingest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/filestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newIngester(t testing.TB, cfg Config) *Ingester {
	t.Helper()
	in, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return in
}

func newStore(t testing.TB) *filestore.Store {
	t.Helper()
	s, err := filestore.Open(filestore.Config{ID: "local", Dirs: []filestore.Dir{{Path: t.TempDir()}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// upload is a request to store raw data of unknown size in the store.
func upload(store imagestore.Writer, body io.Reader) Request {
	return Request{Body: body, Size: -1, Store: store, Object: storetest.NewObject(), DiskFormat: "raw", ContainerFormat: "bare"}
}

func TestCopy(t *testing.T) {
	in, store := newIngester(t, Config{}), newStore(t)
	for _, size := range []int{0, 1, 4096, bufferSize - 1, bufferSize, bufferSize + 1, 40*bufferSize + 77} {
		data := storetest.Random(size)
		for name, body := range map[string]io.Reader{
			"at once":       bytes.NewReader(data),
			"in pieces":     iotest.HalfReader(bytes.NewReader(data)),
			"EOF with data": iotest.DataErrReader(bytes.NewReader(data)),
		} {
			t.Run(fmt.Sprint(size, " ", name), func(t *testing.T) {
				req := upload(store, body)
				req.Size, req.MaxSize = int64(size), int64(size)
				got, err := in.Copy(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				want := Result{Location: store.Locate(req.Object), Size: int64(size), Checksum: fmt.Sprintf("%x", md5.Sum(data)),
					HashAlgo: "sha512", HashValue: fmt.Sprintf("%x", sha512.Sum512(data)), Format: "raw"}
				if got.VirtualSize == nil || *got.VirtualSize != want.Size {
					t.Errorf("virtual size = %v, want %d", got.VirtualSize, want.Size)
				}
				got.VirtualSize = nil
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("Copy = %+v, want %+v", got, want)
				}
				checkStored(t, store, got.Location, data)
			})
		}
	}
}

func TestCopyWithoutSums(t *testing.T) {
	store, data := newStore(t), storetest.Random(3*bufferSize+1)
	req := upload(store, bytes.NewReader(data))
	req.NoSums = true
	got, err := newIngester(t, Config{}).Copy(t.Context(), req)
	if err != nil || got.Size != int64(len(data)) || got.Checksum+got.HashAlgo+got.HashValue != "" {
		t.Errorf("Copy = %+v, %v", got, err)
	}
	checkStored(t, store, got.Location, data)
}

func checkStored(t *testing.T, store imagestore.Store, loc image.Location, data []byte) {
	t.Helper()
	r, err := store.Open(t.Context(), loc)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if stored, err := storetest.ReadAll(t.Context(), r); err != nil || !bytes.Equal(stored, data) {
		t.Errorf("the store holds other bytes (%d instead of %d, error %v)", len(stored), len(data), err)
	}
}

func TestCopyRefuses(t *testing.T) {
	broken := errors.New("connection reset")
	for _, tt := range []struct {
		name      string
		body      io.Reader
		size, max int64
		want      error
	}{
		{"too large", bytes.NewReader(make([]byte, 1001)), -1, 1000, image.ErrTooLarge},
		{"announced too large", iotest.ErrReader(errors.New("was read")), 1001, 1000, image.ErrTooLarge},
		{"endless", endless{}, -1, 10 << 20, image.ErrTooLarge},
		{"more than announced", bytes.NewReader(make([]byte, 1001)), 1000, 5000, image.ErrInvalid},
		{"more than nothing", bytes.NewReader(make([]byte, 1)), 0, 5000, image.ErrInvalid},
		{"much more than announced", endless{}, 10 << 20, 0, image.ErrInvalid},
		{"less than announced", bytes.NewReader(make([]byte, 999)), 1000, 5000, image.ErrInvalid},
		{"nothing of what was announced", bytes.NewReader(nil), 1, 0, image.ErrInvalid},
		{"broken", io.MultiReader(bytes.NewReader(make([]byte, 400_000)), iotest.ErrReader(broken)), 1 << 20, 0, image.ErrInterrupted},
		{"broken at once", iotest.ErrReader(broken), -1, 0, broken},
		{"cut short", iotest.ErrReader(io.ErrUnexpectedEOF), -1, 0, image.ErrInterrupted},
		{"refused by the body", iotest.ErrReader(image.Errorf(image.ErrTooLarge, "quota")), -1, 0, image.ErrTooLarge},
		{"giving nothing", bodyFunc(func([]byte) (int, error) { return 0, nil }), -1, 0, io.ErrNoProgress},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store := newStore(t)
			req := upload(store, tt.body)
			req.Size, req.MaxSize = tt.size, tt.max
			in := newIngester(t, Config{})
			if _, err := in.Copy(t.Context(), req); !errors.Is(err, tt.want) {
				t.Errorf("Copy = %v, want %v", err, tt.want)
			}
			checkNothingLeft(t, in, store)
		})
	}
}

// checkNothingLeft makes sure that the store is empty and all buffers are back.
func checkNothingLeft(t *testing.T, in *Ingester, store *filestore.Store) {
	t.Helper()
	err := store.Audit(t.Context(), func(f imagestore.Finding) error {
		t.Errorf("the store still holds %s", f.Path)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	checkAllFree(t, in.pool)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

type bodyFunc func([]byte) (int, error)

func (f bodyFunc) Read(p []byte) (int, error) { return f(p) }

// Every hostile image is refused, and nothing of it is left; every good one is taken with its size.
func TestFormats(t *testing.T) {
	store, in := newStore(t), newIngester(t, Config{})
	for _, s := range formattest.Hostile() {
		req := upload(store, bytes.NewReader(s.Data))
		req.DiskFormat = s.Declared
		_, err := in.Copy(t.Context(), req)
		if !errors.Is(err, image.ErrUnsupportedContent) || s.Check != "" && !strings.Contains(err.Error(), s.Check) {
			t.Errorf("%s as %s: Copy = %v, want %v with %q", s.Name, s.Declared, err, image.ErrUnsupportedContent, s.Check)
		}
	}
	checkNothingLeft(t, in, store)
	for _, s := range formattest.Good() {
		req := upload(store, bytes.NewReader(s.Data))
		req.DiskFormat = cmp.Or(s.Declared, s.Format)
		got, err := in.Copy(t.Context(), req)
		if err != nil {
			t.Errorf("%s as %s: %v", s.Name, req.DiskFormat, err)
			continue
		}
		inspected := s.Format != diskformat.Parallels
		if got.Format != s.Format || (got.VirtualSize != nil) != inspected || inspected && *got.VirtualSize != s.VirtualSize {
			t.Errorf("%s as %s: %+v, want %s of %d bytes", s.Name, req.DiskFormat, got, s.Format, s.VirtualSize)
		}
	}
}

func TestFormatRules(t *testing.T) {
	qcow2, backing := formattest.QCOW2(5<<30), formattest.QCOW2Backing("/etc/passwd")
	anything := diskformat.Rules{AnyFormat: true}
	for _, tt := range []struct {
		name            string
		data            []byte
		disk, container string
		encrypted       bool
		rules           diskformat.Rules
		virtual         int64 // -1 for none
		refused         bool
	}{
		{name: "kernel", data: backing, disk: "aki", container: "aki", virtual: -1},
		{name: "compressed", data: backing, disk: "qcow2", container: "compressed", virtual: -1},
		{name: "encrypted", data: formattest.LUKS(1), disk: "raw", container: "bare", encrypted: true, virtual: 3 << 19},
		{name: "LUKS without a key", data: formattest.LUKS(1), disk: "raw", container: "bare", refused: true},
		{name: "mismatch allowed", data: qcow2, disk: "raw", container: "bare", rules: anything, virtual: int64(len(qcow2))},
		{name: "no qcow2, allowed", data: []byte("raw"), disk: "qcow2", container: "bare", rules: anything, virtual: -1},
		{name: "unsafe, mismatch allowed", data: backing, disk: "raw", container: "bare", rules: anything, refused: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, in := newStore(t), newIngester(t, Config{Formats: tt.rules})
			req := upload(store, bytes.NewReader(tt.data))
			req.DiskFormat, req.ContainerFormat, req.Encrypted = tt.disk, tt.container, tt.encrypted
			got, err := in.Copy(t.Context(), req)
			if errors.Is(err, image.ErrUnsupportedContent) != tt.refused || err != nil && !tt.refused {
				t.Fatalf("Copy = %v, want a refusal: %v", err, tt.refused)
			}
			if tt.refused {
				return
			}
			virtual := int64(-1)
			if got.VirtualSize != nil {
				virtual = *got.VirtualSize
			}
			if virtual != tt.virtual {
				t.Errorf("virtual size %d, want %d", virtual, tt.virtual)
			}
		})
	}
}

// A wrong format and unsafe content are refused as soon as they are known, and not when all came.
func TestRefusedEarly(t *testing.T) {
	for disk, head := range map[string][]byte{"qcow2": formattest.QCOW2Backing("/etc/passwd"), "vmdk": nil, "raw": formattest.QCOW2(1)} {
		req := upload(newStore(t), io.MultiReader(bytes.NewReader(head), endless{}))
		req.DiskFormat = disk
		if _, err := newIngester(t, Config{}).Copy(t.Context(), req); !errors.Is(err, image.ErrUnsupportedContent) {
			t.Errorf("Copy as %s = %v, want %v", disk, err, image.ErrUnsupportedContent)
		}
	}
}

func TestCancelledWhileTheClientIsSilent(t *testing.T) {
	store, in := newStore(t), newIngester(t, Config{})
	server, client := net.Pipe()
	defer server.Close()
	defer client.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("the image was deleted")
	go func() {
		client.Write(make([]byte, 1000))
		cancel(stop)
	}()
	if _, err := in.Copy(ctx, upload(store, server)); err != stop {
		t.Errorf("Copy = %v, want %v", err, stop)
	}
	checkNothingLeft(t, in, store)
}

func TestConfig(t *testing.T) {
	if _, err := New(Config{HashAlgo: "crc32"}); err == nil {
		t.Error("New takes an unknown algorithm")
	}
	if _, err := New(Config{Budget: -1}); err == nil {
		t.Error("New takes a negative budget")
	}
	if _, err := New(Config{Formats: diskformat.Rules{NonfatalPartitionChecks: []string{"x"}}}); err == nil {
		t.Error("New takes an unknown check")
	}
}
