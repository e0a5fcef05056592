package api

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// connect opens a connection on which a test says what it likes. A test that hangs fails within a minute.
func connect(t *testing.T, h http.Handler) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", serve(t, h).Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	return conn.(*net.TCPConn)
}

// status reads the status of one answer.
func status(t *testing.T, in *bufio.Reader) int {
	t.Helper()
	res, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("no answer: %v", err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Errorf("the answer broke off: %v", err)
	}
	return res.StatusCode
}

const (
	putData  = "PUT /v2/images/" + anID + "/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"
	postJSON = "POST /v2/images HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
	chunked  = "Transfer-Encoding: chunked\r\n\r\n"
	getList  = "GET /v2/images HTTP/1.1\r\nHost: localhost\r\n"
)

func TestMalformedRequests(t *testing.T) {
	for _, tt := range []struct {
		name, send string
		code       int
	}{
		{"chunk size of letters", putData + chunked + "xyz\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk size of many digits", putData + chunked + "fffffffffffffffff\r\nabc", 400},
		{"chunk size negative", putData + chunked + "-3\r\nabc\r\n0\r\n\r\n", 400},
		{"chunk longer than it says", putData + chunked + "3\r\nabcdef\r\n0\r\n\r\n", 400},
		{"chunk without its end", putData + chunked + "3\r\nabc", 400},
		{"no last chunk", putData + chunked + "3\r\nabc\r\n", 400},
		{"endless chunk extension", putData + chunked + "3;" + strings.Repeat("x", 100<<10) + "\r\nabc\r\n0\r\n\r\n", 400},
		{"malformed chunk of JSON", postJSON + chunked + "2\r\n{}x\r\n", 400},
		{"chunks where no body is expected", getList + chunked + "1\r\nx\r\n0\r\n\r\n", 400},
		{"malformed chunks where no body is expected", getList + chunked + "x\r\n\r\n", 400},
		{"no chunks where no body is expected", getList + chunked + "0\r\n\r\n", 200},
		{"less than Content-Length", putData + "Content-Length: 10\r\n\r\nabc", 400},
		{"less JSON than Content-Length", postJSON + "Content-Length: 10\r\n\r\n{}", 400},
		{"Content-Length negative", putData + "Content-Length: -1\r\n\r\n", 400},
		{"Content-Length of letters", putData + "Content-Length: abc\r\n\r\n", 400},
		{"two Content-Lengths", putData + "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400},
		{"other transfer encoding", putData + "Transfer-Encoding: gzip\r\n\r\nabc", 501},
		{"header of 1 MiB", getList + "X-Long: " + strings.Repeat("x", 1<<20) + "\r\n\r\n", 431},
		{"many headers", getList + strings.Repeat("X-Many: "+strings.Repeat("x", 90)+"\r\n", 10_000) + "\r\n", 431},
		{"path of 1 MiB", "GET /v2/images/" + strings.Repeat("x", 1<<20) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431},
		{"header without colon", getList + "nonsense\r\n\r\n", 400},
		{"no Host", "GET /v2/images HTTP/1.1\r\n\r\n", 400},
		{"bad escape", "GET /v2/images/%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400},
		{"absolute address of another host", "GET http://evil.example/v2/images HTTP/1.1\r\nHost: localhost\r\n\r\n", 403},
		{"CONNECT", "CONNECT localhost:80 HTTP/1.1\r\nHost: localhost:80\r\n\r\n", 300},
		{"HTTP/1.0", "GET /v2/images HTTP/1.0\r\n\r\n", 200},
		{"no HTTP", "hello\r\n\r\n", 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake()
			f.add(image.Image{ID: anID, Owner: "p1", Status: image.Queued}, "")
			conn := connect(t, newHandler(t, f))
			go func() {
				io.WriteString(conn, tt.send) // a refusal may come before the end
				conn.CloseWrite()
			}()
			if code := status(t, bufio.NewReader(conn)); code != tt.code {
				t.Errorf("%d, want %d", code, tt.code)
			}
			if len(f.uploads) != 0 {
				t.Errorf("the upload succeeded: %+v", f.uploads)
			}
		})
	}
}

func TestLinksWithoutAHost(t *testing.T) {
	conn := connect(t, newHandler(t, newFake()))
	io.WriteString(conn, "GET /v2 HTTP/1.0\r\n\r\n")
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if got, want := res.Header.Get("Location"), "http://"+conn.RemoteAddr().String()+"/v2/"; got != want {
		t.Errorf("redirected to %q, want %q", got, want)
	}
}

func TestAClientThatGoesAwayInterrupts(t *testing.T) {
	for _, encoding := range []string{"Content-Length: 1000\r\n\r\nabc", chunked + "3\r\nabc\r\n"} {
		f := newFake()
		f.add(image.Image{ID: anID, Owner: "p1", Status: image.Queued}, "")
		conn := connect(t, newHandler(t, f, func(c *Config) { c.Logger = nil }))
		io.WriteString(conn, putData+encoding)
		conn.SetLinger(0) // closing sends a reset
		conn.Close()
		if err := <-f.broken; !errors.Is(err, image.ErrInterrupted) {
			t.Errorf("the upload failed with %v", err)
		}
	}
}

// pour writes size bytes, in chunks if asked to, and stops when the server does.
func pour(w io.Writer, size int, inChunks bool) (sent int, err error) {
	piece := make([]byte, 64<<10)
	for i := range piece {
		piece[i] = ' '
	}
	if inChunks {
		piece = append(append(fmt.Appendf(nil, "%x\r\n", len(piece)), piece...), '\r', '\n')
	}
	for sent < size && err == nil {
		var n int
		n, err = w.Write(piece)
		sent += n
	}
	return sent, err
}

// TestHugeJSON sends 100 MiB where a document is expected, all of it before it looks for an answer, as many clients do.
func TestHugeJSON(t *testing.T) {
	const size = 100 << 20
	for _, tt := range []struct{ name, head string }{
		{"with Content-Length", postJSON + fmt.Sprintf("Content-Length: %d\r\n\r\n", size)},
		{"chunked", postJSON + chunked},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn := connect(t, newHandler(t, newFake()))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			io.WriteString(conn, tt.head)
			if _, err := pour(conn, size, tt.name == "chunked"); err != nil {
				t.Fatalf("the server did not let the client finish: %v", err)
			}
			if code := status(t, bufio.NewReader(conn)); code != http.StatusRequestEntityTooLarge {
				t.Errorf("%d, want 413", code)
			}
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > 16<<20 {
				t.Errorf("%d MiB were allocated for it", used>>20)
			}
		})
	}
}

func TestRefusedUploads(t *testing.T) {
	active := newFake()
	active.add(image.Image{ID: anID, Owner: "p1"}, "data")
	long := fmt.Sprintf("Content-Length: %d\r\n", 32<<20)
	t.Run("sent blindly", func(t *testing.T) {
		conn := connect(t, newHandler(t, active))
		io.WriteString(conn, putData+long+"\r\n")
		if _, err := pour(conn, 32<<20, false); err != nil {
			t.Fatalf("the server did not let the client finish: %v", err)
		}
		if code := status(t, bufio.NewReader(conn)); code != http.StatusConflict {
			t.Errorf("%d, want 409", code)
		}
	})
	for _, head := range []string{putData + long + "\r\n", putData + chunked + "3\r\nabc\r\n",
		strings.Replace(putData, "octet-stream", "json", 1) + chunked + "3\r\nabc\r\n"} {
		t.Run("answered before the end", func(t *testing.T) {
			conn := connect(t, newHandler(t, active))
			io.WriteString(conn, head)
			if code := status(t, bufio.NewReader(conn)); code != http.StatusConflict && code != http.StatusUnsupportedMediaType {
				t.Errorf("%d, want 409 or 415", code)
			}
		})
	}
	for _, length := range []string{long, "Content-Length: 3\r\n"} {
		t.Run("asked first", func(t *testing.T) {
			conn := connect(t, newHandler(t, active))
			in := bufio.NewReader(conn)
			io.WriteString(conn, putData+length+"Expect: 100-continue\r\n\r\n")
			if code := status(t, in); code != http.StatusConflict {
				t.Errorf("%d, want 409 and no 100", code)
			}
			if _, err := in.ReadByte(); err != io.EOF {
				t.Errorf("the connection goes on, although the body may come: %v", err)
			}
		})
	}
	t.Run("small, and the connection goes on", func(t *testing.T) {
		conn := connect(t, newHandler(t, active))
		in := bufio.NewReader(conn)
		for range 2 {
			io.WriteString(conn, putData+"Content-Length: 3\r\n\r\nabc")
			if code := status(t, in); code != http.StatusConflict {
				t.Errorf("%d, want 409", code)
			}
		}
	})
}

// What is refused for its first bytes is answered so that a client finds the answer which goes on to send, whether it
// asked before it began or not.
func TestRefusedInTheMiddle(t *testing.T) {
	for _, length := range []string{fmt.Sprintf("Content-Length: %d\r\n\r\n", 32<<20), chunked} {
		for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
			t.Run(length+expect, func(t *testing.T) {
				f := newFake()
				f.refuseAfter = 100_000
				f.add(image.Image{ID: anID, Owner: "p1", Status: image.Queued}, "")
				conn := connect(t, newHandler(t, f))
				in := bufio.NewReader(conn)
				io.WriteString(conn, putData+expect+length)
				if expect != "" && status(t, in) != http.StatusContinue {
					t.Fatal("no 100")
				}
				if _, err := pour(conn, 32<<20, length == chunked); err != nil {
					t.Fatalf("the server did not let the client finish: %v", err)
				}
				if length == chunked {
					io.WriteString(conn, "0\r\n\r\n")
				}
				if code := status(t, in); code != http.StatusUnsupportedMediaType {
					t.Errorf("%d, want 415", code)
				}
			})
		}
	}
}

func TestUploadThatAsksFirst(t *testing.T) {
	f := newFake()
	f.add(image.Image{ID: anID, Owner: "p1", Status: image.Queued}, "")
	conn := connect(t, newHandler(t, f))
	in := bufio.NewReader(conn)
	io.WriteString(conn, putData+"Content-Length: 3\r\nExpect: 100-continue\r\n\r\n")
	if code := status(t, in); code != http.StatusContinue {
		t.Fatalf("%d, want 100", code)
	}
	io.WriteString(conn, "abc")
	if code := status(t, in); code != http.StatusNoContent || string(f.data[anID]) != "abc" {
		t.Errorf("%d, stored %q", code, f.data[anID])
	}
}
