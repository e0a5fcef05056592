package fusefs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/mounter"
)

// A journal is what a successor must know: what this process answered to the kernel's first request, which files are open and
// how, and which changes were applied. It lies in memory that outlives the process, and holds true at any instant: what is
// noted of a file is noted before the kernel gets the answer. A nil journal notes nothing.
type journal struct {
	memory []byte
	head   *journalHead

	mu    sync.Mutex
	slots map[uint64]int // of the files that are open, by handle
	free  []int
	nodes map[node]openNode
}

// An openNode is what the kernel has open, as often as it does.
type openNode struct {
	opens   int
	backing int32 // by which the kernel reads it by itself, 0 if it does not
}

// The layout is that of the machine: a successor runs on the same one. It only grows, for other versions take it over.
type journalHead struct {
	version uint32
	state   atomic.Uint32 // of the answer to the first request
	used    atomic.Uint32 // slots that were ever used
	size    uint32        // of the answer
	answer  [128]byte
	numbers [32]byte     // whose the numbers of images are
	view    [32]byte     // how the tree was shown
	applied atomic.Int64 // the last change
}

// An openFile is a slot. A handle is the number of the request that opened the file, which no two share: so it is found again
// when the request comes twice, since nobody answered it.
type openFile struct {
	node    uint64
	handle  uint64
	backing int32
	inUse   atomic.Uint32 // written last
	_       [2]uint32
}

const (
	journalVersion = 1
	headSize       = 4096
	slotSize       = int(unsafe.Sizeof(openFile{}))
	maxSlots       = (mounter.StateSize - headSize) / slotSize

	notAnswered = 0
	answering   = 1 // the answer is noted, and the kernel may have it
	answered    = 2
)

var errJournalFull = errors.New("too many files are open")

// openJournal maps the state of a mount.
func openJournal(state int) (*journal, error) {
	memory, err := unix.Mmap(state, 0, mounter.StateSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map the state of the mount: %w", err)
	}
	j := &journal{memory: memory, head: (*journalHead)(unsafe.Pointer(&memory[mounter.StateHead])), slots: make(map[uint64]int), nodes: make(map[node]openNode)}
	if v := j.head.version; v != 0 && v != journalVersion || int(j.head.used.Load()) > maxSlots {
		j.close()
		return nil, fmt.Errorf("the state of the mount has version %d, this program knows %d", v, journalVersion)
	}
	j.head.version = journalVersion
	for i := range int(j.head.used.Load()) {
		if s := j.slot(i); s.inUse.Load() != 0 {
			j.slots[s.handle] = i
			j.count(node(s.node), 1, s.backing)
		} else {
			j.free = append(j.free, i)
		}
	}
	return j, nil
}

func (j *journal) close() { unix.Munmap(j.memory) }

func (j *journal) slot(i int) *openFile {
	return (*openFile)(unsafe.Pointer(&j.memory[headSize+i*slotSize]))
}

// reply returns what was answered to the first request, nil for nothing yet.
func (j *journal) reply() []byte {
	if j.head.state.Load() == notAnswered {
		return nil
	}
	return j.head.answer[:min(int(j.head.size), len(j.head.answer))]
}

// note notes the answer to the first request: call it before the kernel gets it.
func (j *journal) note(reply []byte) error {
	if len(reply) > len(j.head.answer) {
		return fmt.Errorf("the answer to the kernel's first request has %d bytes", len(reply))
	}
	j.head.size = uint32(copy(j.head.answer[:], reply))
	j.head.state.Store(answering)
	return nil
}

// opened notes that the kernel has the node open under the handle. It is known already if the request came before, and went
// unanswered.
func (j *journal) opened(n node, handle uint64, backing int32) (known bool, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, known := j.slots[handle]; known {
		return true, nil
	}
	i := int(j.head.used.Load())
	if last := len(j.free) - 1; last >= 0 {
		i, j.free = j.free[last], j.free[:last]
	} else if i == maxSlots {
		return false, errJournalFull
	} else {
		j.head.used.Store(uint32(i + 1)) // the slot is not in use yet
	}
	s := j.slot(i)
	s.node, s.handle, s.backing = uint64(n), handle, backing
	s.inUse.Store(1)
	j.slots[handle] = i
	j.count(n, 1, backing)
	return false, nil
}

// closed notes that the kernel has closed the handle. It returns false if that was not open, and what else is open of the node.
func (j *journal) closed(handle uint64) (left openNode, ok bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	i, ok := j.slots[handle]
	if !ok {
		return left, false
	}
	s := j.slot(i)
	s.inUse.Store(0)
	delete(j.slots, handle)
	j.free = append(j.free, i)
	return j.count(node(s.node), -1, s.backing), true
}

// count counts what is open of a node; the caller has the lock.
func (j *journal) count(n node, by int, backing int32) openNode {
	now := openNode{j.nodes[n].opens + by, backing}
	if now.opens > 0 {
		j.nodes[n] = now
	} else {
		delete(j.nodes, n)
	}
	return now
}

// of returns what is open of a node.
func (j *journal) of(n node) openNode {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.nodes[n]
}

// open returns the nodes that are open.
func (j *journal) open() []node {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Collect(maps.Keys(j.nodes))
}
