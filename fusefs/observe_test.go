package fusefs

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// notes is an Observer.
type notes struct {
	mu     sync.Mutex
	seen   []Observation
	opened []bool
}

func (n *notes) Observe(o Observation) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seen = append(n.seen, o)
}

func (n *notes) Opened(passed bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.opened = append(n.opened, passed)
}

// An observer of a mount that is read hears of each way to a byte, and of names that are not there.
func TestObserver(t *testing.T) {
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			f, n := newFake(t), &notes{}
			f.wrap = way.wrap
			img := f.add(t, "x", someBytes(1<<20))
			s := serve(t, f, way.edit, func(cfg *Config) { cfg.Observer = n })
			path := filepath.Join(s.path, "by-id", string(img.ID))
			got, err := os.ReadFile(filepath.Join(path, "disk.raw"))
			if err != nil || int64(len(got)) != *img.Size {
				t.Fatalf("read %d bytes, %v", len(got), err)
			}
			if _, err := os.Stat(filepath.Join(path, "none")); !os.IsNotExist(err) {
				t.Errorf("a name that is not there: %v", err)
			}
			if _, err := os.ReadDir(path); err != nil {
				t.Error(err)
			}
			if _, err := os.Readlink(filepath.Join(s.path, "by-name/x/latest")); err != nil {
				t.Error(err)
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			passed := way.name == "passthrough" && s.passes
			if !slices.Equal(n.opened, []bool{passed}) {
				t.Errorf("opened are %v, want one, passed through: %t", n.opened, passed)
			}
			bytes, missing, times := 0, 0, map[string]int{}
			for _, o := range n.seen {
				times[o.Operation]++
				bytes += o.Bytes
				if o.Operation == opLookup && o.Status == fuse.ENOENT {
					missing++
				}
				if o.Took <= 0 || !slices.Contains(Operations(), o.Operation) {
					t.Errorf("odd: %+v", o)
				}
			}
			want := len(got)
			if passed {
				want = 0
			}
			if bytes != want || missing != 1 {
				t.Errorf("%d bytes and %d names that are not there, want %d and 1", bytes, missing, want)
			}
			for _, op := range []string{opLookup, opOpen, opReaddir, opReadlink} {
				if times[op] == 0 {
					t.Errorf("no %s among %v", op, times)
				}
			}
		})
	}
}
