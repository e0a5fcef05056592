package fusefs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/fusemount"
	"github.com/vitrine-image/vitrine/mounter"
)

// With a helper the mount outlives this process. The helper holds the descriptor of /dev/fuse, and gives it to each process
// that serves the mount. The kernel's first request comes once, so go-fuse, which wants it first, is given what the helper read;
// and a successor answers as its predecessor did, whatever its own options are.

// The kernel's part of it. Source: include/uapi/linux/fuse.h.
const (
	notifyResend = 7
	resent       = 1 << 63 // of the number of a request that comes again
)

// capResend says that unanswered requests can be had again (Linux 6.9). Tests take it away.
var capResend uint64 = 1 << 39

// attachHelper gets the mount from the helper, a new one or that which another process served.
func (m *Mount) attachHelper(ctx context.Context) error {
	err := m.askHelper(ctx, false)
	if errors.Is(err, errOtherNumbers) {
		m.log.Warn("the mount showed another database, mounting anew: what is open there is cut off", "path", m.cfg.Path)
		err = m.askHelper(ctx, true)
	}
	return err
}

var errOtherNumbers = errors.New("the mount shows images of other numbers")

func (m *Mount) askHelper(ctx context.Context, anew bool) (err error) {
	request := mounter.Request{Socket: m.cfg.Helper, MaxRead: maxRead, AllowOther: m.cfg.AllowOther, ReadAhead: m.cfg.ReadAhead,
		TakeOver: m.cfg.TakeOver, Anew: anew, Logger: m.log}
	if m.helper, err = mounter.Attach(ctx, request); err != nil {
		return &fusemount.Error{Path: m.cfg.Path, Why: "the mounter did not give it", Err: err}
	}
	m.device = m.helper.Minor
	m.journal, err = openJournal(m.helper.State)
	unix.Close(m.helper.State)
	if err == nil {
		m.handles.had = func(n node) int { return m.journal.of(n).opens }
		if err = m.takeMount(); err != nil {
			m.journal.close()
		}
	}
	if err != nil {
		m.helper.Close()
		unix.Close(m.helper.Fuse)
	}
	return err
}

// takeMount makes the server for what the helper gave, if it is what we want.
func (m *Mount) takeMount() error {
	if path, err := fusemount.Resolve(m.cfg.Path); err != nil || path != m.helper.Path {
		return &fusemount.Error{Path: m.cfg.Path, Why: "the mounter mounts at " + m.helper.Path + ", not there"}
	}
	m.cfg.Path = m.helper.Path
	numbers := sha256.Sum256([]byte(m.cfg.Identity))
	if m.journal.reply() == nil {
		m.journal.head.numbers = numbers
	} else if m.journal.head.numbers != numbers {
		return errOtherNumbers
	}
	if err := m.newHelpedServer(m.helper.Fuse); err != nil {
		return err
	}
	m.kernel = throughHelper{m.helper, byOurselves{m.server}}
	return nil
}

// throughHelper asks the kernel with the rights of the helper.
type throughHelper struct {
	*mounter.Client
	own byOurselves
}

func (k throughHelper) Forget(node uint64, name string) error {
	err := k.Client.Forget(node, name)
	if err == mounter.ErrNotConnected && k.Lost() {
		return k.own.Forget(node, name) // which takes no rights
	}
	return err
}

// newHelpedServer makes the go-fuse server for a descriptor whose first request was read. go-fuse reads that again from a socket,
// whose number then becomes that of /dev/fuse.
func (m *Mount) newHelpedServer(device int) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[0])
	if _, err := unix.Write(pair[0], mounter.FirstRequest(m.journal.memory)); err != nil {
		return os.NewSyscallError("write", err)
	}
	options, noted := m.options(), slices.Clone(m.journal.reply())
	if noted != nil {
		adopt(options, initOut(noted))
	}
	if m.server, err = fuse.NewServer(m.observed(), fmt.Sprintf("/dev/fd/%d", pair[1]), options); err != nil {
		return err
	}
	if err := keepPresent(m.server); err != nil {
		return err
	}
	reply := make([]byte, 4096)
	n, err := unix.Read(pair[0], reply)
	if err != nil {
		return os.NewSyscallError("read", err)
	}
	reply = reply[:n]
	if m.fresh = noted == nil; m.fresh {
		err = m.journal.note(reply)
	} else if a, b := initOut(reply), initOut(noted); a == nil || b == nil || a.Flags64() != b.Flags64() || a.MaxWrite != b.MaxWrite {
		err = errors.New("this program cannot serve the mount as its predecessor did; stop the mounter to mount anew")
	}
	if err != nil {
		return err
	}
	if m.journal.head.state.Load() == answering {
		if _, err := unix.Write(device, m.journal.reply()); err != nil && err != unix.ENOENT { // a predecessor may have
			return os.NewSyscallError("write", err)
		}
		m.journal.head.state.Store(answered)
	}
	if err := unix.Dup3(device, pair[1], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("dup3", err)
	}
	m.number = pair[1]
	m.resends = m.server.KernelSettings().Flags64()&capResend != 0
	if noted != nil && m.resends {
		return resend(device)
	}
	return nil
}

// initOut returns the body of an answer to the first request, nil if it is none.
func initOut(reply []byte) *fuse.InitOut {
	const head = int(unsafe.Sizeof(fuse.OutHeader{}))
	if len(reply) < head+int(unsafe.Sizeof(fuse.InitOut{})) {
		return nil
	}
	return (*fuse.InitOut)(unsafe.Pointer(&reply[head]))
}

// adopt changes the options so that the answer to the first request comes out as it did.
func adopt(o *fuse.MountOptions, was *fuse.InitOut) {
	if was == nil {
		return
	}
	o.MaxWrite = int(was.MaxWrite)
	o.MaxBackground = int(was.MaxBackground)
	o.MaxStackDepth = int(was.MaxStackDepth)
	o.ExtraCapabilities = was.Flags64()
	o.DisabledCapabilities = ^was.Flags64()
}

// resend asks the kernel for the requests that a predecessor read and did not answer. They must not be in work here: a file
// would be opened twice.
func resend(device int) error {
	header := fuse.OutHeader{Length: uint32(unsafe.Sizeof(fuse.OutHeader{})), Status: notifyResend}
	b := unsafe.Slice((*byte)(unsafe.Pointer(&header)), header.Length)
	if _, err := unix.Write(device, b); err != nil {
		return fmt.Errorf("ask the kernel for unanswered requests: %w", err)
	}
	return nil
}

// takeUp finds out what the kernel knows from a predecessor, given the last change there is.
func (m *Mount) takeUp(last int64) {
	if m.helper == nil {
		m.feed.applied(last)
		return
	}
	if m.fresh {
		m.journal.head.view = m.view()
		m.applied(last)
		return
	}
	before := m.journal.head.applied.Load()
	m.outdated = m.journal.head.view != m.view() || before > last // a database from before
	if m.outdated {
		before = last
	}
	m.applied(before)
}

// had tells how the node has been open since before this process.
func (m *Mount) had(n node) openNode {
	if m.journal == nil {
		return openNode{}
	}
	return m.journal.of(n)
}

// viewVersion changes whenever this package shows the same images in another way.
const viewVersion = 1

// view tells how the tree is shown. What the kernel keeps is right as long as it stays the same.
func (m *Mount) view() [32]byte {
	c := m.cfg
	return sha256.Sum256(fmt.Appendf(nil, "%d %d %d %o %o %v %q", viewVersion, c.UID, c.GID, c.FileMode, c.DirMode, m.passes, c.View))
}

// Settled is closed once what the kernel has had open since before this process counts as in use.
func (m *Mount) Settled() <-chan struct{} { return m.settled }

// successor is closed when another process asks for the mount.
func (m *Mount) successor() <-chan struct{} {
	if m.helper == nil {
		return nil
	}
	return m.helper.Successor()
}

// reopen opens what the kernel has had open since before this process, so that it counts as in use.
func (m *Mount) reopen(ctx context.Context) {
	defer close(m.settled)
	if m.journal == nil {
		return
	}
	for _, n := range m.journal.open() {
		h, err := m.handles.acquire(ctx, n, false)
		if err != nil {
			m.log.Warn("a file that is open cannot be read now", m.subject(n), "error", err)
			continue
		}
		m.handles.release(h, false)
	}
}
