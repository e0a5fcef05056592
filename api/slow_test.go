package api

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// pipes is a listener whose connections are pipes in memory, so that their deadlines follow the time of a synctest
// bubble.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

// inBubble runs fn with a server in a bubble; dial connects to it.
func inBubble(t *testing.T, f *fakeImages, fn func(t *testing.T, dial func() net.Conn)) {
	withServer(t, func(c *Config) { c.Images = f.as }, func(t *testing.T, _ *server, dial func() net.Conn) { fn(t, dial) })
}

// withServer runs fn in a bubble with a server whose inside it can see. change sets at least the images.
func withServer(t *testing.T, change func(*Config), fn func(t *testing.T, s *server, dial func() net.Conn)) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
		handler := newHandler(t, nil, func(c *Config) { c.Logger = nil }, change)
		srv := NewServer(handler, nil, 0)
		done := make(chan error)
		go func() { done <- srv.Serve(l) }()
		fn(t, handler.(*server), l.dial)
		srv.Close()
		<-done
	})
}

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// answer reads one response, and how long it took to come since started.
func answer(t *testing.T, c net.Conn, started time.Time) (code int, body string, took time.Duration) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("no answer after %s: %v", time.Since(started), err)
	}
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("the answer broke off: %v", err)
	}
	return res.StatusCode, string(text), time.Since(started)
}

func TestSlowUploads(t *testing.T) {
	const head = "PUT /v2/images/" + anID + "/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
	for _, tt := range []struct {
		name  string
		send  func(c net.Conn)
		code  int
		after time.Duration
	}{
		{"nothing comes", func(c net.Conn) { io.WriteString(c, head+"Content-Length: 100\r\n\r\nabc") }, 400, time.Minute},
		{"nothing comes in a chunk", func(c net.Conn) { io.WriteString(c, head+"Transfer-Encoding: chunked\r\n\r\n64\r\nabc") }, 400, time.Minute},
		{"a drop now and then", func(c net.Conn) {
			io.WriteString(c, head+"Content-Length: 1000\r\n\r\n")
			for range 10 {
				time.Sleep(29 * time.Second)
				if _, err := c.Write([]byte("x")); err != nil {
					return
				}
			}
		}, 400, time.Minute},
		{"slow but steady", func(c net.Conn) {
			io.WriteString(c, head+"Content-Length: 163840\r\n\r\n")
			for range 10 {
				time.Sleep(59 * time.Second)
				c.Write(make([]byte, 16<<10))
			}
		}, 204, 590 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.add(image.Image{ID: anID, Owner: "p1", Status: image.Queued}, "")
			inBubble(t, f, func(t *testing.T, dial func() net.Conn) {
				c, started := dial(), time.Now()
				var sender sync.WaitGroup
				sender.Go(func() { tt.send(c) })
				defer sender.Wait()
				defer c.Close()
				code, body, took := answer(t, c, started)
				if code != tt.code || took < tt.after || took > tt.after+time.Second {
					t.Errorf("%d %q after %s, want %d after %s", code, body, took, tt.code, tt.after)
				}
			})
		})
	}
}

// TestASlowServerIsNotTheClientsFault: the time that a store takes between two reads does not count.
func TestASlowServerIsNotTheClientsFault(t *testing.T) {
	f := newFake()
	f.add(image.Image{ID: anID, Owner: "p1", Status: image.Queued}, "")
	f.onRead = func(int) { time.Sleep(10 * time.Minute) }
	inBubble(t, f, func(t *testing.T, dial func() net.Conn) {
		c, started := dial(), time.Now()
		defer c.Close()
		go io.WriteString(c, "PUT /v2/images/"+anID+"/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"+
			"Content-Length: 20000\r\n\r\n"+strings.Repeat("x", 20000))
		if code, body, took := answer(t, c, started); code != http.StatusNoContent || took < 10*time.Minute {
			t.Errorf("%d %q after %s", code, body, took)
		}
	})
}

func TestSlowJSON(t *testing.T) {
	inBubble(t, newFake(), func(t *testing.T, dial func() net.Conn) {
		c, started := dial(), time.Now()
		defer c.Close()
		go io.WriteString(c, "POST /v2/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
		if code, body, took := answer(t, c, started); code != http.StatusBadRequest || took != time.Minute {
			t.Errorf("%d %q after %s", code, body, took)
		}
	})
}

// TestRefusalsDoNotWait: who asks first, or sends slowly, hears at once that there is no use in going on.
func TestRefusalsDoNotWait(t *testing.T) {
	const head = "PUT /v2/images/" + anID + "/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
	for _, tt := range []struct {
		name, send string
		closed     time.Duration // how long the server reads on
	}{
		{"asks first", head + "Content-Length: 3\r\nExpect: 100-continue\r\n\r\n", time.Second},
		{"asks first, much", head + "Content-Length: 30000000\r\nExpect: 100-continue\r\n\r\n", time.Second},
		{"sends chunks slowly", head + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", drainTime + time.Second},
		{"sends much slowly", head + "Content-Length: 30000000\r\n\r\nabc", drainTime + time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.add(image.Image{ID: anID, Owner: "p1"}, "data")
			inBubble(t, f, func(t *testing.T, dial func() net.Conn) {
				c, started := dial(), time.Now()
				defer c.Close()
				go io.WriteString(c, tt.send)
				if code, body, took := answer(t, c, started); code != http.StatusConflict || took != 0 {
					t.Errorf("%d %q after %s", code, body, took)
				}
				_, err := io.Copy(io.Discard, c)
				if took := time.Since(started); err != nil || took > tt.closed {
					t.Errorf("the connection was closed after %s, %v", took, err)
				}
			})
		})
	}
}

func TestSlowHeadersAndIdleConnections(t *testing.T) {
	for _, tt := range []struct {
		name, send string
		after      time.Duration
	}{
		{"nothing", "", headerTimeout},
		{"half a header", "GET /v2/images HTTP/1.1\r\nHost: local", headerTimeout},
		{"idle after a request", "GET /v2/images HTTP/1.1\r\nHost: localhost\r\n\r\n", idleTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, newFake(), func(t *testing.T, dial func() net.Conn) {
				c, started := dial(), time.Now()
				defer c.Close()
				go io.WriteString(c, tt.send)
				_, err := io.Copy(io.Discard, c)
				if took := time.Since(started); err != nil || took < tt.after || took > tt.after+time.Second {
					t.Errorf("the connection was closed after %s, %v, want %s", took, err, tt.after)
				}
			})
		})
	}
}

// TestDownloadsThatNobodyTakes: a client that stops reading is left after a minute, one that reads slowly is served.
func TestDownloadsThatNobodyTakes(t *testing.T) {
	const size = 4 * copyPiece
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	bothWays(t, func(t *testing.T, sendfile bool) { downloadSlowly(t, path, size, sendfile) })
}

func downloadSlowly(t *testing.T, path string, size int, sendfile bool) {
	f := newFake()
	f.add(image.Image{ID: anID, Owner: "p1"}, "")
	f.opened = func() (*fileReader, error) { return openFile(path) }
	ask := "GET /v2/images/" + anID + "/file HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
	change := func(c *Config) { c.Images, c.Sendfile = f.as, sendfile }
	withServer(t, change, func(t *testing.T, _ *server, dial func() net.Conn) {
		slow := dial()
		defer slow.Close()
		go io.WriteString(slow, ask)
		res, err := http.ReadResponse(bufio.NewReader(slow), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, buf := 0, make([]byte, copyPiece)
		for {
			n, err := io.ReadFull(res.Body, buf)
			got += n
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(50 * time.Second)
		}
		if got != size {
			t.Errorf("a slow client got %d bytes", got)
		}
		stuck := dial()
		defer stuck.Close()
		go io.WriteString(stuck, ask)
		res, err = http.ReadResponse(bufio.NewReader(stuck), nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute + time.Second)
		if n, err := io.Copy(io.Discard, res.Body); err == nil || n >= int64(size) {
			t.Errorf("a client that was away got %d bytes, %v", n, err)
		}
	})
}

// TestManySlowDownloads: many clients that take nothing share less than a large buffer for each of them would be.
func TestManySlowDownloads(t *testing.T) {
	f := newFake()
	f.add(image.Image{ID: anID, Owner: "p1"}, strings.Repeat("x", 4*copyPiece))
	inBubble(t, f, func(t *testing.T, dial func() net.Conn) {
		before := heap()
		for range 600 {
			c := dial()
			defer c.Close()
			go io.WriteString(c, "GET /v2/images/"+anID+"/file HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		synctest.Wait()
		if n := copies.Load(); n != 600 {
			t.Errorf("%d downloads are under way", n)
		}
		if used := heap() - before; used > 100<<20 {
			t.Errorf("%d MiB are held", used>>20)
		}
		time.Sleep(2 * time.Minute)
		if n := copies.Load(); n != 0 {
			t.Errorf("%d downloads are still under way", n)
		}
	})
}

// TestAnswersThatNobodyTakes: requests without end on one connection, whose answers are not read.
func TestAnswersThatNobodyTakes(t *testing.T) {
	inBubble(t, newFake(), func(t *testing.T, dial func() net.Conn) {
		c, started := dial(), time.Now()
		defer c.Close()
		var err error
		for err == nil {
			_, err = io.WriteString(c, "GET /v2/images HTTP/1.1\r\nHost: localhost\r\n\r\n")
		}
		if took := time.Since(started); took > 2*time.Minute {
			t.Errorf("the connection was kept for %s", took)
		}
	})
}

// TestConnectionsAreUsedAgain: deadlines of one request must not strike the next.
func TestConnectionsAreUsedAgain(t *testing.T) {
	f := newFake()
	f.add(image.Image{ID: anID, Owner: "p1", Status: image.Queued}, "")
	f.onRead = func(int) { time.Sleep(2 * time.Minute) } // the handler works on after the body has ended
	inBubble(t, f, func(t *testing.T, dial func() net.Conn) {
		c := dial()
		defer c.Close()
		in := bufio.NewReader(c)
		for i, ask := range []string{
			"POST /v2/images HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
			"PUT /v2/images/" + anID + "/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc",
			"PUT /v2/images/" + anID + "/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: 3\r\n\r\nabc",
			"GET /v2/images/" + anID + "/file HTTP/1.1\r\nHost: localhost\r\n\r\n",
		} {
			go io.WriteString(c, ask)
			res, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatalf("request %d: %v", i, err)
			}
			io.Copy(io.Discard, res.Body)
			if want := []int{201, 204, 409, 200}[i]; res.StatusCode != want {
				t.Errorf("request %d = %s, want %d", i, res.Status, want)
			}
			time.Sleep(100 * time.Second) // longer than the StallTimeout, shorter than the idle timeout
		}
	})
}
