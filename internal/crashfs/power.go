package crashfs

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"syscall"
)

// A Mode says what a power cut leaves of what was not synced.
type Mode string

// The modes.
const (
	// Drop leaves nothing of it: every write and every name since the last fsync of its file or directory is gone.
	Drop Mode = "drop"
	// Tear leaves all of it, but cuts the last write of each file in half.
	Tear Mode = "tear"
	// Scatter leaves each write, each sector of a write and each change of names or not, by chance.
	Scatter Mode = "scatter"
	// Keep leaves all of it, as when the process is killed and the machine goes on.
	Keep Mode = "keep"
)

// A Cut is a power cut: when it comes and what it leaves. From then on every operation fails with EIO.
type Cut struct {
	Mode Mode
	Seed uint64 // of the chances of Scatter
	// The power goes just before the Step-th durable step (fsync of a file or directory) from now, or just before the
	// Op-th operation of any kind that changes something; 0 is never.
	Step, Op int
}

// Counts tells how far a tree has come.
type Counts struct {
	Steps, Ops int // since it was mounted
	Cut        bool
}

// power counts operations and knows when they end.
type power struct {
	counts  Counts
	steps   []string // what each durable step was
	armed   Cut      // with absolute counts; a zero Mode is none
	lying   bool     // fsync does nothing
	gone    chan struct{}
	outcome *tree // what survived
}

func (p *power) init() { p.gone = make(chan struct{}) }

// arm plans a cut.
func (t *tree) arm(c Cut) error {
	switch {
	case !slices.Contains([]Mode{Drop, Tear, Scatter, Keep}, c.Mode):
		return fmt.Errorf("crashfs: unknown mode %q", c.Mode)
	case t.counts.Cut:
		return fmt.Errorf("crashfs: the power is off")
	}
	if c.Step > 0 {
		c.Step += t.counts.Steps
	}
	if c.Op > 0 {
		c.Op += t.counts.Ops
	}
	t.armed = c
	return nil
}

// change is called before each change of something.
func (t *tree) change() error {
	if t.counts.Cut {
		return syscall.EIO
	}
	t.counts.Ops++
	if t.armed.Mode != "" && t.armed.Op == t.counts.Ops {
		t.cut(t.armed)
		return syscall.EIO
	}
	return nil
}

// step is called before each durable step, which is a change too.
func (t *tree) step(n *inode) error {
	if err := t.change(); err != nil {
		return err
	}
	t.counts.Steps++
	t.steps = append(t.steps, t.path(n))
	if t.armed.Mode != "" && t.armed.Step == t.counts.Steps {
		t.cut(t.armed)
		return syscall.EIO
	}
	return nil
}

// cut takes the power away now.
func (t *tree) cut(c Cut) {
	if t.counts.Cut {
		return
	}
	t.counts.Cut = true
	t.outcome = t.survive(c)
	close(t.gone)
}

// survive returns what a power cut would leave, as a tree in which everything is durable.
func (t *tree) survive(c Cut) *tree {
	chance := rand.New(rand.NewPCG(c.Seed, 0))
	names := map[*inode]map[string]*inode{}
	for _, n := range t.inodes {
		if n.isDir() {
			names[n] = maps.Clone(n.keptEntries)
		}
	}
	for _, change := range t.journal {
		if c.Mode == Drop || c.Mode == Scatter && chance.IntN(2) == 0 {
			continue
		}
		for _, l := range change {
			if l.to == nil {
				delete(names[l.dir], l.name)
			} else {
				names[l.dir][l.name] = l.to
			}
		}
	}
	s := newTree()
	copied := map[*inode]*inode{t.root: s.root}
	var walk func(from, to *inode)
	walk = func(from, to *inode) {
		for _, name := range slices.Sorted(maps.Keys(names[from])) {
			child := names[from][name]
			n := copied[child]
			if n == nil {
				n = s.add(child.mode, child.uid, child.gid)
				n.device, n.target, n.mtime = child.device, child.target, child.mtime
				n.now = child.survive(c.Mode, chance)
				n.kept = n.now.clone()
				copied[child] = n
				walk(child, n)
			}
			s.relink(link{to, name, n})
		}
	}
	walk(t.root, s.root)
	for _, change := range s.journal {
		change.keep()
	}
	s.journal = nil
	return s
}

const sectorSize = 512

// survive returns what a power cut leaves of a file's bytes.
func (n *inode) survive(mode Mode, chance *rand.Rand) content {
	c := n.kept.clone()
	for i, w := range n.pending {
		switch mode {
		case Keep:
			w.apply(&c)
		case Tear:
			if i == len(n.pending)-1 && w.data != nil {
				w.data = w.data[:len(w.data)/2]
			}
			w.apply(&c)
		case Scatter:
			switch chance.IntN(4) {
			case 0, 1:
				w.apply(&c)
			case 2:
				scatter(w, &c, chance)
			}
		}
	}
	return c
}

// scatter applies some sectors of a write. What is no write of bytes happens or not, but never in part.
func scatter(w write, c *content, chance *rand.Rand) {
	for off := w.off; off < w.off+int64(len(w.data)); {
		end := min((off/sectorSize+1)*sectorSize, w.off+int64(len(w.data)))
		if chance.IntN(2) == 0 {
			c.writeAt(w.data[off-w.off:end-w.off], off)
		}
		off = end
	}
}
