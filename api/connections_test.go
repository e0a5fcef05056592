package api

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testcert"
)

const (
	showImage = "GET /v2/images/" + anID + " HTTP/1.1\r\nHost: localhost\r\n\r\n"
	download  = "GET /v2/images/" + anID + "/file HTTP/1.1\r\nHost: localhost\r\n\r\n"
)

// crowded runs fn in a bubble with a server of at most three connections. stop closes it.
func crowded(t *testing.T, fn func(t *testing.T, dial func() net.Conn, stop func() error)) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.add(image.Image{ID: anID, Owner: "p1"}, strings.Repeat("x", 4*copyPiece))
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		srv := NewServer(newHandler(t, f, func(c *Config) { c.Logger = nil }), nil, 3)
		done := make(chan error, 1)
		go func() { done <- srv.Serve(l) }()
		stop := func() error {
			srv.Close()
			err := <-done
			done <- err
			return err
		}
		defer stop()
		fn(t, l.dial, stop)
	})
}

// shows reports whether the connection answers a request at once.
func shows(c net.Conn) bool {
	started := time.Now()
	go io.WriteString(c, showImage)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, res.Body)
	return err == nil && res.StatusCode == http.StatusOK && time.Since(started) == 0
}

// closed reports whether the server has closed the connection.
func closed(c net.Conn) bool {
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	defer c.SetReadDeadline(time.Time{})
	_, err := c.Read(make([]byte, 1))
	return err == io.EOF
}

func TestNewConnectionsReplaceQuietOnes(t *testing.T) {
	crowded(t, func(t *testing.T, dial func() net.Conn, _ func() error) {
		silent := dial() // never asks
		defer silent.Close()
		synctest.Wait()
		idle := dial()
		defer idle.Close()
		busy := dial()
		defer busy.Close()
		if !shows(idle) {
			t.Fatal("no answer")
		}
		go io.WriteString(busy, download)
		synctest.Wait()
		for _, quiet := range []net.Conn{silent, idle} {
			c := dial()
			defer c.Close()
			if !shows(c) {
				t.Error("a new connection has to wait although another one is quiet")
			}
			go io.WriteString(c, download)
			synctest.Wait()
			if !closed(quiet) {
				t.Error("the longest quiet connection is still open")
			}
		}
		if closed(busy) {
			t.Error("a request under way was cut off")
		}
	})
}

// TestQuietTLSConnectionsAreReplacedAtOnce replaces a connection whose client reads nothing, not even a farewell.
func TestQuietTLSConnectionsAreReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.add(image.Image{ID: anID, Owner: "p1"}, "data")
		ca := testcert.New(t)
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		srv := NewServer(newHandler(t, f), nil, 1)
		done := make(chan error, 1)
		go func() {
			done <- srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{ca.Pair(t, "server")}}))
		}()
		dial := func() net.Conn { return tls.Client(l.dial(), &tls.Config{RootCAs: ca.Pool, ServerName: "localhost"}) }
		for range 3 {
			c := dial()
			defer c.(*tls.Conn).NetConn().Close()
			if !shows(c) {
				t.Fatal("a new connection has to wait although another one is quiet")
			}
			synctest.Wait()
		}
		srv.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
}

func TestNewConnectionsWaitForBusyOnes(t *testing.T) {
	crowded(t, func(t *testing.T, dial func() net.Conn, _ func() error) {
		var busy []net.Conn
		for range 3 {
			c := dial()
			defer c.Close()
			go io.WriteString(c, download)
			busy = append(busy, c)
		}
		synctest.Wait()
		c := dial()
		defer c.Close()
		answered := make(chan bool)
		go func() { answered <- shows(c) }()
		synctest.Wait()
		select {
		case <-answered:
			t.Fatal("there are four connections, of three that may be")
		default:
		}
		in := bufio.NewReader(busy[0])
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, res.Body); err != nil || n != 4*copyPiece {
			t.Errorf("a download while others wait: %d bytes, %v", n, err)
		}
		if _, err := in.ReadByte(); err != io.EOF { // the connection is not kept
			t.Errorf("after its request: %v", err)
		}
		if !<-answered {
			t.Error("no answer")
		}
	})
}

func TestClosingWhileConnectionsWait(t *testing.T) {
	crowded(t, func(t *testing.T, dial func() net.Conn, stop func() error) {
		for range 3 {
			c := dial()
			defer c.Close()
			go io.WriteString(c, download)
		}
		synctest.Wait()
		c := dial()
		defer c.Close()
		synctest.Wait()
		if err := stop(); err != http.ErrServerClosed {
			t.Errorf("Serve = %v", err)
		}
		if !closed(c) {
			t.Error("the connection that waited is open")
		}
	})
}

// A failingListener fails as often as told before it accepts.
type failingListener struct {
	*pipes
	errs []error
}

func (f *failingListener) Accept() (net.Conn, error) {
	if len(f.errs) == 0 {
		return f.pipes.Accept()
	}
	err := f.errs[0]
	f.errs = f.errs[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", err)}
}

func TestFailuresToAccept(t *testing.T) {
	for _, tt := range []struct {
		err  error
		ends bool
	}{{syscall.EMFILE, false}, {syscall.ENFILE, false}, {syscall.ENOBUFS, false}, {syscall.ENOMEM, false},
		{syscall.ECONNABORTED, false}, {syscall.EHOSTUNREACH, false}, {syscall.EBADF, true}, {syscall.EINVAL, true}} {
		t.Run(tt.err.Error(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.add(image.Image{ID: anID, Owner: "p1"}, "")
				var log bytes.Buffer
				srv := NewServer(newHandler(t, f), slog.New(slog.NewTextHandler(&log, nil)), 0)
				l := &failingListener{pipes: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}}
				for range 100 {
					l.errs = append(l.errs, tt.err)
				}
				done := make(chan error)
				go func() { done <- srv.Serve(l) }()
				if tt.ends {
					if err := <-done; !errors.Is(err, tt.err) {
						t.Errorf("Serve = %v, want %v", err, tt.err)
					}
					return
				}
				c := l.dial()
				defer c.Close()
				if !shows(c) {
					t.Error("no answer after the failures")
				}
				srv.Close()
				if err := <-done; err != http.ErrServerClosed {
					t.Errorf("Serve = %v", err)
				}
				if n := strings.Count(log.String(), `level=ERROR msg="connections cannot be accepted now"`); n != 2 { // in 94 seconds
					t.Errorf("the failures are logged %d times:\n%s", n, log.String())
				}
			})
		})
	}
}

func TestBoundOfConnections(t *testing.T) {
	for asked, want := range map[int]int{0: min(DefaultConnections, affordable()), -1: min(DefaultConnections, affordable()), 7: 7, 1 << 30: affordable()} {
		if got := cap(NewServer(nil, nil, asked).connections.slots); got != want {
			t.Errorf("NewServer for %d connections takes %d, want %d", asked, got, want)
		}
	}
}
