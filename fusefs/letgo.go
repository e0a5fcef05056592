package fusefs

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// drainTime is how long the requests under way may take when the mount is let go. What takes longer the kernel sends to the
// successor again, if it can.
const drainTime = 100 * time.Millisecond

// letGo stops reading requests, answers those under way, and leaves the mount to whoever the helper gives it to.
func (m *Mount) letGo(gone <-chan struct{}) error {
	limit := drainTime
	if !m.resends { // then who is not answered waits for ever
		limit = m.cfg.Linger
	}
	deadline := time.Now().Add(limit)
	if ended(gone) {
		return ErrUnmounted
	}
	answers, err := m.stopReading()
	if err != nil {
		return fmt.Errorf("stop reading from the mount: %w", err)
	}
	forwarded := make(chan struct{})
	go func() {
		defer close(forwarded)
		forward(answers, m.helper.Fuse)
	}()
	if !wait(gone, time.Until(deadline)) && !m.resends {
		m.log.Error("requests of the mount were cut off, their readers wait for ever", "path", m.cfg.Path)
	}
	unix.Shutdown(answers, unix.SHUT_RDWR) // what is answered from now on reaches nobody
	<-forwarded
	unix.Close(answers)
	m.leaveHelper()
	return nil
}

// leaveHelper tells the helper that this process answers nothing any more.
func (m *Mount) leaveHelper() {
	m.leave.Do(func() {
		m.helper.Close()
		unix.Close(m.helper.Fuse)
	})
}

// stopReading puts a socket in the place of /dev/fuse: there is nothing to be read from it, and at its other end all answers
// arrive. What waits in the kernel to read is told by a signal that means nothing to the Go runtime, after which the
// system call begins anew.
func (m *Mount) stopReading() (answers int, err error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	defer unix.Close(pair[0])
	defer func() {
		if err != nil {
			unix.Close(pair[1])
		}
	}()
	if err := unix.SetsockoptInt(pair[0], unix.SOL_SOCKET, unix.SO_SNDBUF, 4*maxRead); err != nil {
		return -1, os.NewSyscallError("setsockopt", err)
	}
	if err := unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 1}); err != nil {
		return -1, os.NewSyscallError("setsockopt", err)
	}
	m.stopped.Store(true)
	if err := unix.Dup3(pair[0], m.number, unix.O_CLOEXEC); err != nil {
		return -1, os.NewSyscallError("dup3", err)
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return -1, err
	}
	for _, t := range threads {
		if tid, err := strconv.Atoi(t.Name()); err == nil {
			unix.Tgkill(os.Getpid(), tid, unix.SIGURG) // it may have ended
		}
	}
	return pair[1], nil
}

// forward gives the kernel the answers that come, until there are no more.
func forward(answers, device int) {
	buf := make([]byte, maxRead+4096)
	for {
		n, err := unix.Read(answers, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			return
		}
		unix.Write(device, buf[:n]) // the kernel may not want it any more
	}
}
