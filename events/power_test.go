package events

import (
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/internal/crashfs"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A promise is what a log and a cursor had made durable when the power went.
type promise struct {
	synced   int64 // events
	cursor   int64
	finished bool
}

// work writes, rotates and syncs until something fails.
func work(dir string) (p promise) {
	f, err := openLines(FileConfig{Path: filepath.Join(dir, "log"), MaxSize: 170, Keep: 100}, nil)
	if err != nil {
		return p
	}
	defer f.close()
	c := cursor{path: filepath.Join(dir, "a.cursor")}
	for n := int64(1); n <= 8; n++ {
		if _, err := f.write([]byte(event(n))); err != nil {
			return p
		}
		if n%2 > 0 {
			continue
		}
		if f.sync() != nil {
			return p
		}
		p.synced = n
		if c.save(n) != nil {
			return p
		}
		p.cursor = n
	}
	p.finished = true
	return p
}

// verify says what is missing in what the power cut left, after it was opened and went on.
func (p promise) verify(dir string) error {
	path := filepath.Join(dir, "log")
	c := cursor{path: filepath.Join(dir, "a.cursor")}
	if at, _, err := c.load(); err != nil || at > p.synced { // an older one is allowed
		return fmt.Errorf("the cursor says %d, %w", at, err)
	}
	f, err := openLines(FileConfig{Path: path}, nil)
	if err != nil {
		return err
	}
	defer f.close()
	last, err := lastSequence(path)
	if err != nil || last < p.synced {
		return fmt.Errorf("the last event is %d, %w", last, err)
	}
	if _, err := f.write([]byte(event(last + 1))); err != nil {
		return err
	}
	r := &reader{path: path, still: &f.mu}
	defer r.close()
	for n := int64(1); ; n++ {
		e, _, err := r.next()
		switch {
		case err == io.EOF && n == last+2:
			return nil
		case err != nil:
			return fmt.Errorf("after event %d of %d: %w", n-1, last+1, err)
		case e.Sequence > n && n <= p.synced:
			return fmt.Errorf("event %d is missing", n)
		}
		n = e.Sequence
	}
}

// cut works until the power goes at a durable step, and verifies what is left.
func cut(t *testing.T, cfg crashfs.Config, mode crashfs.Mode, step int) (p promise, broken error) {
	t.Helper()
	cfg.Mount = t.TempDir()
	fs, err := crashfs.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	err = fs.Arm(crashfs.Cut{Mode: mode, Seed: uint64(step), Step: step})
	p = work(cfg.Mount)
	left := t.TempDir()
	if err == nil {
		err = fs.Cut(mode, uint64(step))
	}
	if err == nil {
		err = fs.Survivors(left)
	}
	if closeErr := fs.Close(); err != nil || closeErr != nil {
		t.Fatal(err, closeErr)
	}
	return p, p.verify(left)
}

func TestWhatWasSyncedSurvivesAPowerCut(t *testing.T) {
	testservers.Require(t, "fuse")
	for _, mode := range []crashfs.Mode{crashfs.Drop, crashfs.Tear, crashfs.Scatter, crashfs.Keep} {
		t.Run(string(mode), func(t *testing.T) {
			for step, finished := 1, false; !finished; step++ {
				p, err := cut(t, crashfs.Config{}, mode, step)
				if err != nil {
					t.Errorf("step %d, %+v: %v", step, p, err)
				}
				finished = p.finished
			}
		})
	}
}

// A disk that does not sync must break the promise, or the other test proves nothing.
func TestALyingDiskIsNoticed(t *testing.T) {
	testservers.Require(t, "fuse")
	if p, err := cut(t, crashfs.Config{Lying: true}, crashfs.Drop, 12); err == nil {
		t.Errorf("%+v was kept", p)
	}
}
