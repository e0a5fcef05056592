package daemon_test

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/internal/crashfs"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestPowerCut takes the power away under a mixed load, just before a durable step or in the middle between two, and
// starts the daemon again on what a disk would have kept: nothing, torn pieces or a random part of what was not synced.
// Whatever was acknowledged must be there, and nothing unfinished may be seen.
func TestPowerCut(t *testing.T) {
	testservers.Require(t, "fuse", "root")
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	load := newLoad()
	modes := []crashfs.Mode{crashfs.Drop, crashfs.Tear, crashfs.Scatter}
	for round := range testservers.Rounds(t, 9) {
		cut := crashfs.Cut{Mode: modes[round%len(modes)], Seed: rand.Uint64()}
		if rand.IntN(4) > 0 {
			cut.Step = 1 + rand.IntN(80)
		} else {
			cut.Op = 1 + rand.IntN(2000)
		}
		load.cutPower(t, data, cut)
		d, err := testdaemon.Launch(testdaemon.Config{Dir: t.TempDir(), Data: data})
		if err != nil {
			t.Fatalf("round %d, %+v: %v", round, cut, err)
		}
		load.verify(t, d, true)
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Fatalf("in round %d, %+v; the daemon's log:\n%s", round, cut, d.Log())
		}
	}
}

// cutPower puts a disk of that kind under the data directory, runs the load until the power goes, and leaves in the
// directory what the disk kept.
func (l *load) cutPower(t *testing.T, data string, cut crashfs.Cut) {
	t.Helper()
	dir := t.TempDir()
	before, left := filepath.Join(dir, "before"), filepath.Join(dir, "left")
	if err := os.Rename(data, before); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{data, left} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	l.untilCut(t, crashfs.Config{Mount: data, From: before}, dir, left, cut)
	if err := os.Remove(data); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(left, data); err != nil {
		t.Fatal(err)
	}
}

func (l *load) untilCut(t *testing.T, cfg crashfs.Config, dir, left string, cut crashfs.Cut) {
	t.Helper()
	disk, err := crashfs.Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if err := disk.Arm(cut); err != nil {
		t.Fatal(err)
	}
	d, err := testdaemon.Launch(testdaemon.Config{Dir: dir, Data: cfg.Mount, Faulty: true})
	if err == nil { // else the power went while it started
		ctx, stop := context.WithCancel(t.Context())
		var g sync.WaitGroup
		for _, w := range l.workers {
			g.Go(func() {
				for w.step(ctx, t, d.Client) {
				}
			})
		}
		if err := disk.Wait(t.Context()); err != nil {
			t.Error(err)
		}
		d.Kill()
		stop()
		g.Wait()
	}
	if counts, err := disk.Counts(); err != nil || !counts.Cut {
		t.Fatalf("the power did not go (%v), and the daemon did not start:\n%v", err, d)
	}
	if err := disk.Survivors(left); err != nil {
		t.Fatal(err)
	}
}
