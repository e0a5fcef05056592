package mounter

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A message goes over a socket that keeps messages apart, with the descriptors that belong to it. The daemon sends requests
// and gets an answer to each; the server also tells it, unasked, that a successor waits.
type message struct {
	Op string `json:"op,omitempty"` // of a request

	// Of attach: how to mount, unless there is a mount. Serving is the number of the mount that the daemon holds already.
	AllowOther bool   `json:"allow_other,omitempty"`
	ReadAhead  int    `json:"read_ahead,omitempty"` // KiB
	MaxRead    int    `json:"max_read,omitempty"`
	TakeOver   bool   `json:"take_over,omitempty"` // from the daemon that serves now
	Anew       bool   `json:"anew,omitempty"`      // not the mount that is there
	Serving    uint32 `json:"serving,omitempty"`

	ID int32 `json:"id,omitempty"` // of a file that the kernel reads by itself

	Node uint64 `json:"node,omitempty"` // that the kernel shall forget
	Name string `json:"name,omitempty"` // in it; "" for its attributes

	// Of answers.
	Error     string        `json:"error,omitempty"`
	Errno     syscall.Errno `json:"errno,omitempty"`
	Path      string        `json:"path,omitempty"`
	Mount     uint32        `json:"mount,omitempty"` // its minor number
	Successor bool          `json:"successor,omitempty"`
}

const (
	opAttach     = "attach"
	opRegister   = "register"
	opUnregister = "unregister"
	opForget     = "forget" // on a connection of its own: the kernel may take its time
)

const (
	maxMessage = 4096
	maxFiles   = 2
)

func send(c *net.UnixConn, m message, files ...int) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if len(files) > 0 {
		rights = unix.UnixRights(files...)
	}
	_, _, err = c.WriteMsgUnix(b, rights, nil)
	return err
}

// receive returns the next message, and the descriptors that came with it, which are the caller's to close.
func receive(c *net.UnixConn) (m message, files []int, err error) {
	b, control := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(maxFiles*4))
	n, cn, flags, _, err := c.ReadMsgUnix(b, control)
	if err != nil {
		return m, nil, err
	}
	defer func() {
		if err != nil {
			closeAll(files)
			files = nil
		}
	}()
	files, err = descriptors(control[:cn])
	switch {
	case err != nil:
	case flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0:
		err = errors.New("the message is too long")
	default:
		err = json.Unmarshal(b[:n], &m)
	}
	return m, files, err
}

func descriptors(control []byte) (files []int, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	for _, m := range messages {
		rights, wrong := unix.ParseUnixRights(&m)
		files, err = append(files, rights...), errors.Join(err, wrong)
	}
	return files, err
}

func closeAll(files []int) {
	for _, fd := range files {
		unix.Close(fd)
	}
}

// peer returns who is at the other end of the connection.
func peer(c *net.UnixConn) (cred *unix.Ucred, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	if outer := raw.Control(func(fd uintptr) {
		cred, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); outer != nil {
		return nil, outer
	}
	return cred, os.NewSyscallError("getsockopt", err)
}

// The state is a file in memory, which the server makes, keeps, and hands over with the mount. It begins with the length and
// the bytes of the kernel's first request, which it sends once; what lies behind StateHead is the daemon's.
const (
	StateSize = 64 << 20 // takes memory only where something was written
	StateHead = 512
)

func makeState(first []byte) (int, error) {
	if len(first) > StateHead-1 {
		return -1, fmt.Errorf("the kernel's first request has %d bytes", len(first))
	}
	fd, err := unix.MemfdCreate("vitrine-mount", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	if err = unix.Ftruncate(fd, StateSize); err == nil { // for good: a daemon that maps it must not find it shorter
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL)
	}
	if err == nil {
		_, err = unix.Pwrite(fd, append([]byte{byte(len(first))}, first...), 0)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("make the state of the mount: %w", err)
	}
	return fd, nil
}

// FirstRequest returns the kernel's first request from a state.
func FirstRequest(state []byte) []byte { return state[1 : 1+int(state[0])] }
