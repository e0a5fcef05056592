package api

import (
	"bufio"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/internal/testcert"
)

// A halfCloser is a connection that can end what it sends, and read on.
type halfCloser interface {
	net.Conn
	CloseWrite() error
}

// onNetworks runs fn for each kind of connection, with a server for the handler.
func onNetworks(t *testing.T, handler http.Handler, fn func(t *testing.T, srv *Server, dial func() halfCloser)) {
	for _, network := range []string{"tcp", "unix", "tls"} {
		t.Run(network, func(t *testing.T) {
			kind, address := "tcp", "127.0.0.1:0"
			if network == "unix" {
				kind, address = "unix", filepath.Join(t.TempDir(), "s")
			}
			l, err := net.Listen(kind, address)
			if err != nil {
				t.Fatal(err)
			}
			address = l.Addr().String()
			if network == "tls" {
				l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{testcert.New(t).Pair(t, "server")}})
			}
			srv, done := NewServer(handler, nil, 0), make(chan error)
			go func() { done <- srv.Serve(l) }()
			defer func() {
				srv.Close()
				<-done
			}()
			fn(t, srv, func() halfCloser {
				conn, err := net.Dial(kind, address)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				if network == "tls" {
					return tls.Client(conn, &tls.Config{InsecureSkipVerify: true})
				}
				return conn.(halfCloser)
			})
		})
	}
}

// ask sends a request and closes that half of the connection.
func ask(t *testing.T, c halfCloser, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
}

type outsideKey struct{}

// untilTheEndIsSeen waits until net/http has seen that no more comes from the client, and returns the error of ctx.
func untilTheEndIsSeen(ctx context.Context) error {
	<-ctx.Value(outsideKey{}).(context.Context).Done()
	return ctx.Err()
}

// outside lets untilTheEndIsSeen see the context that net/http made.
func outside(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), outsideKey{}, r.Context())))
	})
}

// A patientSession works on until no more comes from the client.
type patientSession struct{ Session }

func (s patientSession) List(ctx context.Context, q image.Query) ([]*image.Image, error) {
	if err := untilTheEndIsSeen(ctx); err != nil {
		return nil, err
	}
	return s.Session.List(ctx, q)
}

func (s patientSession) Upload(ctx context.Context, id image.ID, up imageservice.Upload) error {
	if err := s.Session.Upload(ctx, id, up); err != nil {
		return err
	}
	return untilTheEndIsSeen(ctx)
}

// TestWhoHasAskedMayCloseThatHalf: a complete request is carried out though nothing can follow it.
func TestWhoHasAskedMayCloseThatHalf(t *testing.T) {
	f := newFake()
	handler := newHandler(t, f, func(c *Config) {
		c.Ready = untilTheEndIsSeen
		c.Images = func(caller image.Caller) Session { return patientSession{f.as(caller)} }
	})
	const upload = "PUT /v2/images/" + anID + "/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
	onNetworks(t, outside(handler), func(t *testing.T, _ *Server, dial func() halfCloser) {
		for _, tt := range []struct {
			request string
			code    int
		}{
			{"GET /healthcheck HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
			{"GET /v2/images HTTP/1.1\r\nHost: localhost\r\n\r\n", 200},
			{upload + "Content-Length: 3\r\n\r\nabc", 204},
			{upload + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 204},
			{upload + "Content-Length: 4\r\n\r\nabc", 400},
			{upload + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", 400},
		} {
			f.add(image.Image{ID: anID, Owner: "p1", Status: image.Queued}, "")
			c := dial()
			ask(t, c, tt.request)
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Errorf("%q: %v", tt.request, err)
			} else if res.StatusCode != tt.code {
				t.Errorf("%q = %s, want %d", tt.request, res.Status, tt.code)
			}
		}
	})
}

// TestContextsEndWithTheConnection: there is no use in working on for a client that is gone, or for a server that is closed.
func TestContextsEndWithTheConnection(t *testing.T) {
	const request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
	begun, ended := make(chan struct{}), make(chan error)
	onNetworks(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		attended, leave := attend(r)
		defer leave()
		if r.URL.Path == "/half" {
			<-r.Context().Done()
			if client := r.Context().Value(presenceKey{}).(presence); client.broken() {
				t.Error("a half of the connection counts for all of it")
			}
		}
		begun <- struct{}{}
		<-attended.Context().Done()
		ended <- attended.Context().Err()
	}), func(t *testing.T, srv *Server, dial func() halfCloser) {
		reset := dial()
		if _, err := io.WriteString(reset, request); err != nil {
			t.Fatal(err)
		}
		<-begun
		conn := net.Conn(reset)
		if secure, ok := conn.(*tls.Conn); ok {
			conn = secure.NetConn()
		}
		if tcp, ok := conn.(*net.TCPConn); ok {
			tcp.SetLinger(0)
		}
		conn.Close()
		<-ended

		ask(t, dial(), strings.Replace(request, "/", "/half", 1))
		<-begun
		srv.Close()
		<-ended
	})
}
