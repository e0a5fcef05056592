package blockcache

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/imagestore"
)

// A remote is data that is slow to get at; it notes what is asked for.
type remote struct {
	data []byte

	mu     sync.Mutex
	calls  [][2]int64                                    // offset and length
	before func(ctx context.Context, off, n int64) error // of each call, unless nil
	closed bool
}

func newRemote(n int) *remote {
	r := &remote{data: make([]byte, n)}
	rand.NewChaCha8([32]byte{byte(n), byte(n >> 8)}).Read(r.data)
	return r
}

func (r *remote) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	r.mu.Lock()
	r.calls = append(r.calls, [2]int64{off, int64(len(p))})
	before := r.before
	r.mu.Unlock()
	if before != nil {
		if err := before(ctx, off, int64(len(p))); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (r *remote) Size() int64 { return int64(len(r.data)) }

func (r *remote) Close() error {
	r.closed = true
	return nil
}

// asked returns the calls since the last time, and their bytes.
func (r *remote) asked() (calls [][2]int64, bytes int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	calls, r.calls = r.calls, nil
	for _, c := range calls {
		bytes += c[1]
	}
	return calls, bytes
}

func open(t testing.TB, edit ...func(*Config)) *Cache {
	t.Helper()
	cfg := Config{Dir: t.TempDir(), Size: MinSize}
	for _, e := range edit {
		e(&cfg)
	}
	c, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func sized(blocks int64) func(*Config) { return func(cfg *Config) { cfg.Size = blocks * blockSize } }

// want reads and compares.
func want(t testing.TB, r imagestore.Reader, data []byte, off, n int64) {
	t.Helper()
	p := make([]byte, n)
	got, err := r.ReadAt(t.Context(), p, off)
	end := max(off, min(off+n, int64(len(data))))
	if full := int64(got) == n; full != (err == nil) || !full && err != io.EOF || int64(got) != end-off ||
		string(p[:got]) != string(data[min(off, end, int64(len(data))):][:got]) {
		t.Fatalf("ReadAt(%d bytes, %d) = %d, %v, or other bytes, want %d", n, off, got, err, end-off)
	}
}

// A broken storage fails, or gives what was not put there.
type broken struct {
	*os.File
	mu          sync.Mutex
	read, write error
	flip        bool // a bit of each byte
}

var errBroken = errors.New("input/output error")

func (b *broken) ReadAt(p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read != nil {
		return 0, b.read
	}
	n, err := b.File.ReadAt(p, off)
	if b.flip {
		p[n/2] ^= 1
	}
	return n, err
}

func (b *broken) WriteAt(p []byte, off int64) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.write != nil {
		return 0, b.write
	}
	return b.File.WriteAt(p, off)
}

// breakable lets the test break the file of a cache.
func breakable(c *Cache) *broken {
	b := &broken{File: c.file}
	c.bytes = b
	return b
}
