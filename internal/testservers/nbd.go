package testservers

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"sync"
)

// An NBD is qemu-nbd that serves a disk, and the one connection to it. Stop it.
type NBD struct {
	*Server
	conn   net.Conn
	answer *bufio.Reader // from conn
}

// QEMUNBD serves the disk in an image of a format, read-only, on a socket in dir.
func QEMUNBD(ctx context.Context, dir, image, format string) (*NBD, error) {
	socket := filepath.Join(dir, "nbd")
	s, err := start(dir, "qemu-nbd", "--read-only", "--format="+format, "--socket="+socket, image)
	if err != nil {
		return nil, err
	}
	n := &NBD{Server: s}
	if n.Server, err = s.ready(ctx, func() bool {
		n.conn, err = net.Dial("unix", socket)
		return err == nil
	}); err != nil {
		return nil, err
	}
	n.answer = bufio.NewReaderSize(n.conn, 64<<10)
	if err := n.shakeHands(); err != nil {
		n.Stop()
		return nil, fmt.Errorf("greet qemu-nbd: %w", err)
	}
	return n, nil
}

// Stop hangs up, and waits until the server is gone.
func (n *NBD) Stop() error {
	n.conn.Close() // of which there is nothing to know
	return n.Server.Stop()
}

// shakeHands asks for the export without a name. Source: the NBD protocol, https://github.com/NetworkBlockDevice/nbd.
func (n *NBD) shakeHands() error {
	hello := make([]byte, 18) // NBDMAGIC, IHAVEOPT, flags
	if _, err := io.ReadFull(n.answer, hello); err != nil {
		return err
	}
	option := binary.BigEndian.AppendUint32(nil, 3) // fixed newstyle, no zeroes
	if _, err := n.conn.Write(append(option, "IHAVEOPT\x00\x00\x00\x01\x00\x00\x00\x00"...)); err != nil {
		return err
	}
	_, err := io.ReadFull(n.answer, make([]byte, 10)) // size, flags
	return err
}

// Read reads size bytes at each of the offsets, until there are no more, and has depth of the reads on the way.
func (n *NBD) Read(size, depth int, next func() (off int64, more bool)) (reads int, err error) {
	slots := make(chan struct{}, depth) // taken by requests, freed by their replies
	sent := make(chan struct{}, depth)
	var sender sync.WaitGroup
	var failed error
	sender.Go(func() {
		defer close(sent)
		request := make([]byte, 28)
		binary.BigEndian.PutUint32(request, 0x25609513)
		binary.BigEndian.PutUint32(request[24:], uint32(size))
		for off, more := next(); more; off, more = next() {
			slots <- struct{}{}
			binary.BigEndian.PutUint64(request[16:], uint64(off))
			if _, failed = n.conn.Write(request); failed != nil {
				return
			}
			sent <- struct{}{}
		}
	})
	data := make([]byte, size)
	for range sent {
		if err == nil {
			if err = n.reply(data); err == nil {
				reads++
			} else {
				n.conn.Close() // so that the sender ends
			}
		}
		<-slots
	}
	sender.Wait()
	if err == nil {
		err = failed
	}
	return reads, err
}

// reply reads the data of a reply.
func (n *NBD) reply(data []byte) error {
	var head [16]byte
	if _, err := io.ReadFull(n.answer, head[:]); err != nil {
		return err
	}
	if code := binary.BigEndian.Uint32(head[4:]); code != 0 {
		return fmt.Errorf("qemu-nbd answers error %d", code)
	}
	_, err := io.ReadFull(n.answer, data)
	return err
}
