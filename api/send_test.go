package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// bothWays runs fn for each way to send a file.
func bothWays(t *testing.T, fn func(t *testing.T, sendfile bool)) {
	for _, sendfile := range []bool{false, true} {
		t.Run(fmt.Sprintf("sendfile=%v", sendfile), func(t *testing.T) { fn(t, sendfile) })
	}
}

// TestSendingFiles sends a file over each kind of connection, whole and in parts, one after the other on the same
// connection, after its name is gone. The kernel sends it where it can.
func TestSendingFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	data := strings.Repeat("0123456789abcdef", (4<<20+copyPiece)/16)
	bothWays(t, func(t *testing.T, sendfile bool) {
		f := newFake()
		f.add(image.Image{ID: anID, Owner: "p1"}, "")
		var last *fileReader
		f.opened = func() (_ *fileReader, err error) {
			if err = os.WriteFile(path, []byte(data), 0o600); err == nil {
				last, err = openFile(path)
				os.Remove(path)
			}
			return last, err
		}
		handler := newHandler(t, f, func(c *Config) { c.Sendfile = sendfile })
		onNetworks(t, handler, func(t *testing.T, _ *Server, dial func() halfCloser) {
			c := dial()
			in := bufio.NewReader(c)
			for _, tt := range []struct{ part, want string }{
				{"", data},
				{"Range: bytes=5-\r\n", data[5:]},
				{"Range: bytes=4194300-4194310\r\n", data[4194300:4194311]},
				{"Range: bytes=-1\r\n", data[len(data)-1:]},
				{"", data},
			} {
				fmt.Fprintf(c, "GET /v2/images/%s/file HTTP/1.1\r\nHost: localhost\r\n%s\r\n", anID, tt.part)
				res, err := http.ReadResponse(in, nil)
				if err != nil {
					t.Fatalf("%q: %v", tt.part, err)
				}
				got, err := io.ReadAll(res.Body)
				if err != nil || string(got) != tt.want || res.ContentLength != int64(len(tt.want)) {
					t.Errorf("%q: %d bytes of %d, %v, want %d", tt.part, len(got), res.ContentLength, err, len(tt.want))
				}
				if _, plain := c.(*net.TCPConn); last.lent.Load() != (sendfile && plain) {
					t.Errorf("%q: sent by the kernel: %v", tt.part, last.lent.Load())
				}
			}
		})
	})
}

// TestFilesThatEndEarly: the answer is cut where the data ends, and nothing takes the place of what is missing.
func TestFilesThatEndEarly(t *testing.T) {
	const size, left = 3 << 20, 1<<20 + 12345
	path := filepath.Join(t.TempDir(), "data")
	bothWays(t, func(t *testing.T, sendfile bool) {
		f := newFake()
		f.add(image.Image{ID: anID, Owner: "p1"}, "")
		f.opened = func() (*fileReader, error) {
			if err := os.WriteFile(path, []byte(strings.Repeat("x", size)), 0o600); err != nil {
				return nil, err
			}
			r, err := openFile(path)
			if err == nil {
				err = os.Truncate(path, left)
			}
			return r, err
		}
		handler := newHandler(t, f, func(c *Config) { c.Logger, c.Sendfile = nil, sendfile })
		onNetworks(t, handler, func(t *testing.T, _ *Server, dial func() halfCloser) {
			c := dial()
			io.WriteString(c, "GET /v2/images/"+anID+"/file HTTP/1.1\r\nHost: localhost\r\n\r\n")
			res, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			if res.ContentLength != size || err == nil || len(got) > left || strings.Trim(string(got), "x") != "" {
				t.Errorf("%d bytes of %d, %v, want no more than %d and an error", len(got), res.ContentLength, err, left)
			}
		})
	})
}

// TestFilesThatCannotBeRead are answered with an error when not even the first bytes can be.
func TestFilesThatCannotBeRead(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		code       int
	}{
		{"a bad sector", "/proc/self/mem", http.StatusInternalServerError}, // nothing is mapped at 0: EIO
		{"empty", "/dev/null", http.StatusServiceUnavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, sendfile bool) {
				f := newFake()
				f.add(image.Image{ID: anID, Owner: "p1"}, "")
				f.opened = func() (*fileReader, error) {
					r, err := openFile(tt.path)
					if err == nil {
						r.size = 1 << 20
					}
					return r, err
				}
				handler := newHandler(t, f, func(c *Config) { c.Logger, c.Sendfile = nil, sendfile })
				onNetworks(t, handler, func(t *testing.T, _ *Server, dial func() halfCloser) {
					c := dial()
					io.WriteString(c, "GET /v2/images/"+anID+"/file HTTP/1.1\r\nHost: localhost\r\n\r\n")
					res, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := io.ReadAll(res.Body); err != nil || res.StatusCode != tt.code {
						t.Errorf("%s, %v, want %d", res.Status, err, tt.code)
					}
				})
			})
		})
	}
}

// TestReadsThatComeShort are of damaged data, whoever found the end, unless there is another reason.
func TestReadsThatComeShort(t *testing.T) {
	for _, err := range []error{nil, io.EOF, io.ErrUnexpectedEOF, fmt.Errorf("a disk: %w", io.ErrUnexpectedEOF)} {
		if got := readError(err, 5); !errors.Is(got, image.ErrCorrupt) {
			t.Errorf("after %v: %v", err, got)
		}
	}
	if got := readError(image.ErrStoreOffline, 5); !errors.Is(got, image.ErrStoreOffline) || errors.Is(got, image.ErrCorrupt) {
		t.Errorf("of a store that is offline: %v", got)
	}
}

// TestFilesThatNobodyTakes: a client on a real connection that stops reading is left, by each way of sending.
func TestFilesThatNobodyTakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 1<<30); err != nil { // more than both ends of a connection hold
		t.Fatal(err)
	}
	bothWays(t, func(t *testing.T, sendfile bool) {
		f := newFake()
		f.add(image.Image{ID: anID, Owner: "p1"}, "")
		f.opened = func() (*fileReader, error) { return openFile(path) }
		handler := newHandler(t, f, func(c *Config) { c.Logger, c.Sendfile, c.StallTimeout = nil, sendfile, 100*time.Millisecond })
		ended := make(chan struct{}, 1)
		onNetworks(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			defer func() { ended <- struct{}{} }()
			handler.ServeHTTP(w, r)
		}), func(t *testing.T, _ *Server, dial func() halfCloser) {
			c := dial()
			io.WriteString(c, "GET /v2/images/"+anID+"/file HTTP/1.1\r\nHost: localhost\r\n\r\n")
			<-ended
			if n, err := io.Copy(io.Discard, c); n == 0 || n >= 1<<30 {
				t.Errorf("a client that was away got %d bytes, %v", n, err)
			}
		})
	})
}
