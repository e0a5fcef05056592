package outbound

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// inBubble runs the test in a bubble of its own time, with a client whose every connection the server answers.
func inBubble(t *testing.T, cfg Config, server func(conn net.Conn), test func(t *testing.T, c *Client)) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPolicy(t, PolicyConfig{}, map[string][]string{"slow.example.": {"93.184.216.34"}})
		var servers sync.WaitGroup
		p.connect = func(context.Context, netip.AddrPort) (net.Conn, error) {
			near, far := net.Pipe()
			servers.Go(func() {
				defer far.Close()
				if _, err := http.ReadRequest(bufio.NewReader(far)); err == nil {
					server(far)
				}
			})
			return near, nil
		}
		cfg.Policy = p
		c := newClient(t, cfg)
		test(t, c)
		c.Close()
		servers.Wait()
	})
}

// gone waits until the other end is closed.
func gone(conn net.Conn) { io.Copy(io.Discard, conn) }

const okHeader = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"

func TestAServerThatDoesNotAnswer(t *testing.T) {
	inBubble(t, Config{HeaderTimeout: 3 * time.Second}, gone, func(t *testing.T, c *Client) {
		start := time.Now()
		_, err := fetched(t, c, "http://slow.example/")
		if took := time.Since(start); kindOf(t, err) != ErrFetch || took != 3*time.Second {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestAServerThatStalls(t *testing.T) {
	stalls := func(conn net.Conn) {
		io.WriteString(conn, okHeader+"01234")
		time.Sleep(59 * time.Second) // not yet
		io.WriteString(conn, "5678")
		gone(conn)
	}
	inBubble(t, Config{}, stalls, func(t *testing.T, c *Client) {
		start := time.Now()
		data, err := fetched(t, c, "http://slow.example/")
		if took := time.Since(start); took != 119*time.Second {
			t.Errorf("ended after %v", took)
		}
		if data != "012345678" || !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "sent nothing for 1m0s") {
			t.Errorf("%q, %v", data, err)
		}
	})
}

func TestASlowReaderIsNoStall(t *testing.T) {
	want := strings.Repeat("0123456789", 100_000)
	whole := func(conn net.Conn) { io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+want) }
	inBubble(t, Config{}, whole, func(t *testing.T, c *Client) {
		resp, err := c.Open(t.Context(), Request{URL: "http://slow.example/"})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var data []byte
		for p := make([]byte, 100_000); err == nil; {
			time.Sleep(time.Hour)
			var n int
			n, err = resp.Body.Read(p)
			data = append(data, p[:n]...)
		}
		if string(data) != want || err != io.EOF {
			t.Errorf("%d bytes, %v", len(data), err)
		}
	})
}

func TestATransferThatTakesTooLong(t *testing.T) {
	drips := func(conn net.Conn) {
		io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
		for {
			time.Sleep(30 * time.Second)
			if _, err := io.WriteString(conn, "x"); err != nil {
				return
			}
		}
	}
	inBubble(t, Config{TotalTimeout: time.Hour}, drips, func(t *testing.T, c *Client) {
		start := time.Now()
		_, err := fetched(t, c, "http://slow.example/")
		if took := time.Since(start); took != time.Hour || !errors.Is(err, ErrFetch) || !strings.Contains(err.Error(), "longer than 1h0m0s") {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestTheCallerEndsATransfer(t *testing.T) {
	stalls := func(conn net.Conn) {
		io.WriteString(conn, okHeader+"01234")
		gone(conn)
	}
	inBubble(t, Config{}, stalls, func(t *testing.T, c *Client) {
		shutdown := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		resp, err := c.Open(ctx, Request{URL: "http://slow.example/"})
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		time.AfterFunc(time.Second, func() { cancel(shutdown) })
		if data, err := io.ReadAll(resp.Body); string(data) != "01234" || !errors.Is(err, shutdown) || errors.Is(err, ErrFetch) {
			t.Errorf("%q, %v; want the caller's reason", data, err)
		}
		if _, err := c.Open(ctx, Request{URL: "http://slow.example/"}); !errors.Is(err, shutdown) {
			t.Errorf("Open for a caller who has gone: %v", err)
		}
	})
}

func TestCloseEndsATransfer(t *testing.T) {
	closed := make(chan struct{})
	stalls := func(conn net.Conn) {
		io.WriteString(conn, okHeader+"01234")
		gone(conn)
		closed <- struct{}{}
	}
	inBubble(t, Config{}, stalls, func(t *testing.T, c *Client) {
		closed = make(chan struct{})
		resp, err := c.Open(t.Context(), Request{URL: "http://slow.example/"})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		<-closed
		if took := time.Since(start); took != 0 {
			t.Errorf("the server noticed after %v", took)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("Read after Close gives %v", err)
		}
	})
}
