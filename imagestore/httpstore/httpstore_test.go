package httpstore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/outbound"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A web is a server of files, which can be made a bad one.
type web struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string][]byte // by path
	noHead   bool              // HEAD is refused
	noRanges bool              // parts are not known
	untagged bool              // answers have no ETag
	busy     int               // so many requests are refused with 503
	cut      int64             // answers break off after so many bytes, once
	asked    []string          // methods and ranges
	running  atomic.Int32
	most     int32 // that ran at once
}

func newWeb(t *testing.T) *web {
	w := &web{files: map[string][]byte{}}
	w.Server = httptest.NewServer(w)
	t.Cleanup(w.Close)
	return w
}

// publish serves data under a new URL.
func (w *web) publish(data []byte) image.Location {
	w.mu.Lock()
	defer w.mu.Unlock()
	path := "/" + string(image.NewID())
	w.files[path] = data
	return image.Location{Store: "web", URL: w.URL + path}
}

// replace changes what is at a location.
func (w *web) replace(loc image.Location, data []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.files[strings.TrimPrefix(loc.URL, w.URL)] = data
}

func (w *web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	now := w.running.Add(1)
	defer w.running.Add(-1)
	w.mu.Lock()
	w.most = max(w.most, now)
	data, ok := w.files[r.URL.Path]
	w.asked = append(w.asked, r.Method+" "+r.Header.Get("Range"))
	noHead, noRanges, untagged, busy, cut := w.noHead, w.noRanges, w.untagged, w.busy > 0, w.cut
	if busy {
		w.busy--
	}
	if r.Method == http.MethodGet {
		w.cut = 0
	}
	w.mu.Unlock()
	switch {
	case busy:
		http.Error(rw, "busy", http.StatusServiceUnavailable)
		return
	case !ok || r.URL.RawQuery != "":
		http.NotFound(rw, r)
		return
	case noHead && r.Method == http.MethodHead:
		http.Error(rw, "not signed for that", http.StatusForbidden)
		return
	}
	if !untagged {
		sum := md5.Sum(data)
		rw.Header().Set("ETag", `"`+hex.EncodeToString(sum[:])+`"`)
	}
	if noRanges {
		rw.Header().Set("Content-Length", fmt.Sprint(len(data)))
		if r.Method == http.MethodGet {
			_, _ = rw.Write(data)
		}
		return
	}
	if cut > 0 && r.Method == http.MethodGet {
		rw = &cutter{ResponseWriter: rw, left: cut}
	}
	http.ServeContent(rw, r, "", time.Time{}, bytes.NewReader(data))
}

// A cutter breaks an answer off.
type cutter struct {
	http.ResponseWriter
	left int64
}

func (c *cutter) Write(p []byte) (int, error) {
	if int64(len(p)) > c.left {
		_, _ = c.ResponseWriter.Write(p[:c.left])
		panic(http.ErrAbortHandler)
	}
	c.left -= int64(len(p))
	return c.ResponseWriter.Write(p)
}

func newClient(t *testing.T, cfg outbound.PolicyConfig, log *slog.Logger) *outbound.Client {
	t.Helper()
	cfg.AllowNetworks, cfg.AllowedPorts = []string{"127.0.0.0/8"}, []int{}
	policy, err := outbound.NewPolicy(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := outbound.New(outbound.Config{Policy: policy, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newStore opens a store that may ask 127.0.0.1 alone.
func newStore(t *testing.T, change ...func(*Config)) *Store {
	t.Helper()
	cfg := Config{ID: "web", Retries: 3, Client: newClient(t, outbound.PolicyConfig{AllowedHosts: []string{"127.0.0.1"}}, nil)}
	for _, f := range change {
		f(&cfg)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.pause = time.Microsecond
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	for name, change := range map[string]func(*web){
		"plain":           func(*web) {},
		"without HEAD":    func(w *web) { w.noHead = true },
		"without a tag":   func(w *web) { w.untagged = true },
		"slow to be well": func(w *web) { w.busy = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			storetest.RunRead(t, storetest.ReadFactory{ID: "web", New: func(t *testing.T) (imagestore.Store, func([]byte) image.Location) {
				w := newWeb(t)
				change(w)
				return newStore(t), w.publish
			}})
		})
	}
}

func read(t *testing.T, r imagestore.Reader, off, n int64) ([]byte, error) {
	t.Helper()
	p := make([]byte, n)
	m, err := r.ReadAt(t.Context(), p, off)
	return p[:m], err
}

// TestWithoutRanges reads what can only be read as a whole.
func TestWithoutRanges(t *testing.T) {
	w := newWeb(t)
	w.noRanges = true
	data := storetest.Random(3 << 20)
	s := newStore(t)
	r, err := s.Open(t.Context(), w.publish(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for range 2 { // a stream can begin again
		got, err := io.ReadAll(io.LimitReader(&inOrder{t, r, 0}, 1<<20))
		if err != nil || !bytes.Equal(got, data[:1<<20]) {
			t.Fatalf("the beginning is %d bytes, %v", len(got), err)
		}
	}
	if got, err := read(t, r, 2<<20, 10); !errors.Is(err, image.ErrRange) {
		t.Errorf("ReadAt from the middle = %d bytes, %v, want %v", len(got), err, image.ErrRange)
	}
	got, err := io.ReadAll(&inOrder{t, r, 0})
	if err != nil || !bytes.Equal(got, data) {
		t.Errorf("the whole is %d bytes, %v, want %d", len(got), err, len(data))
	}
}

// inOrder reads a Reader from its beginning.
type inOrder struct {
	t   *testing.T
	r   imagestore.Reader
	off int64
}

func (o *inOrder) Read(p []byte) (int, error) {
	n, err := o.r.ReadAt(o.t.Context(), p, o.off)
	o.off += int64(n)
	return n, err
}

// TestChanged replaces data of which something is known: never are bytes of both mixed.
func TestChanged(t *testing.T) {
	for _, tt := range []struct {
		name   string
		data   []byte
		change func(*web)
	}{
		{"other bytes, as many", bytes.Repeat([]byte("b"), 5<<20), func(*web) {}},
		{"more bytes", bytes.Repeat([]byte("a"), 6<<20), func(w *web) { w.untagged = true }},
		{"fewer bytes", bytes.Repeat([]byte("a"), 1<<20), func(w *web) { w.untagged = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWeb(t)
			tt.change(w)
			s := newStore(t)
			loc, err := s.Adopt(t.Context(), w.publish(bytes.Repeat([]byte("a"), 5<<20)).URL)
			if err != nil {
				t.Fatal(err)
			}
			r, err := s.Open(t.Context(), loc)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if _, err := read(t, r, 0, 10); err != nil {
				t.Fatal(err)
			}
			w.replace(loc, tt.data)
			if got, err := read(t, r, 3<<20, 1<<20); !errors.Is(err, image.ErrCorrupt) {
				t.Errorf("ReadAt = %d bytes, %v, want %v", len(got), err, image.ErrCorrupt)
			}
			again, err := s.Open(t.Context(), loc)
			if w.untagged {
				if err != nil || again.Size() != int64(len(tt.data)) { // who knows the size compares it
					t.Errorf("Open = %v", err)
				}
			} else if !errors.Is(err, image.ErrCorrupt) {
				t.Errorf("Open of other data = %v, want %v", err, image.ErrCorrupt)
			}
			if err == nil {
				again.Close()
			}
		})
	}
}

// TestStreamChanged replaces data that is read as a whole.
func TestStreamChanged(t *testing.T) {
	w := newWeb(t)
	w.noRanges = true
	loc := w.publish([]byte("old"))
	r, err := newStore(t).Open(t.Context(), loc)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.replace(loc, []byte("new"))
	if got, err := read(t, r, 0, 3); !errors.Is(err, image.ErrCorrupt) {
		t.Errorf("ReadAt = %q, %v, want %v", got, err, image.ErrCorrupt)
	}
}

// TestBrokenConnection reads on where an answer ended early.
func TestBrokenConnection(t *testing.T) {
	w := newWeb(t)
	data := storetest.Random(500_000)
	r, err := newStore(t).Open(t.Context(), w.publish(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w.mu.Lock()
	w.cut = 200_000
	w.mu.Unlock()
	if got, err := read(t, r, 0, 500_000); err != nil || !bytes.Equal(got, data) {
		t.Errorf("ReadAt = %d bytes, %v", len(got), err)
	}
	if want := "GET bytes=0-499999"; !slices.Contains(w.asked, want) || w.asked[len(w.asked)-1] == want {
		t.Errorf("the server was asked for %q, want it to be asked for the rest alone", w.asked)
	}
}

// TestErrors maps what servers say.
func TestErrors(t *testing.T) {
	down := httptest.NewServer(nil)
	down.Close()
	answer := func(code int, header ...string) string {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
		}))
		t.Cleanup(srv.Close)
		return srv.URL + "/disk?signature=secret"
	}
	for _, tt := range []struct {
		name string
		url  string
		want error
	}{
		{"nobody listens", down.URL + "/disk?signature=secret", image.ErrStoreOffline},
		{"an error of the server", answer(500), image.ErrStoreOffline},
		{"too many requests", answer(429), image.ErrStoreOffline},
		{"nothing there", answer(404), image.ErrDataMissing},
		{"not allowed", answer(403), image.ErrDataMissing},
		{"compressed", answer(200, "Content-Encoding", "gzip"), image.ErrDataMissing},
		{"a part of nothing known", answer(206, "Content-Range", "bytes 0-0/*"), image.ErrDataMissing},
		{"a forbidden redirect", answer(302, "Location", "http://169.254.169.254/latest"), image.ErrStoreOffline},
		{"redirects without end", answer(302, "Location", "/disk?signature=secret"), image.ErrStoreOffline},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			s := newStore(t, func(cfg *Config) {
				cfg.Retries, cfg.Logger, cfg.Client = 1, logger, newClient(t, outbound.PolicyConfig{}, logger)
			})
			_, err := s.Open(t.Context(), image.Location{Store: "web", URL: tt.url})
			if !errors.Is(err, tt.want) {
				t.Errorf("Open = %v, want %v", err, tt.want)
			}
			if text := fmt.Sprint(err, log.String()); strings.Contains(text, "secret") {
				t.Errorf("the signature of the URL is told: %s", text)
			}
		})
	}
}

// TestCheckURL refuses what no request may be made for.
func TestCheckURL(t *testing.T) {
	s := newStore(t)
	for _, url := range []string{"http://user:password@127.0.0.1/x", "http://169.254.169.254/x", "file:///etc/passwd",
		"http://127.1/x", "ftp://127.0.0.1/x", "", "http://example.com/"} {
		if err := s.CheckURL(t.Context(), url); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("CheckURL(%q) = %v, want %v", url, err, image.ErrInvalid)
		}
		if _, err := s.Adopt(t.Context(), url); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("Adopt(%q) = %v, want %v", url, err, image.ErrInvalid)
		}
	}
	if err := s.CheckURL(t.Context(), "http://127.0.0.1:8080/disk.qcow2"); err != nil {
		t.Errorf("CheckURL = %v", err)
	}
}

// TestRequestsAreBounded reads at many places at once.
func TestRequestsAreBounded(t *testing.T) {
	w := newWeb(t)
	data := storetest.Random(20 << 20)
	s := newStore(t, func(cfg *Config) { cfg.Requests = 3 })
	r, err := s.Open(t.Context(), w.publish(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var readers sync.WaitGroup
	for i := range int64(20) {
		readers.Go(func() {
			off := (i * 7 % 20) << 20
			if got, err := read(t, r, off, 1000); err != nil || !bytes.Equal(got, data[off:off+1000]) {
				t.Errorf("ReadAt(%d) = %d bytes, %v", off, len(got), err)
			}
		})
	}
	readers.Wait()
	if w.most > 3 {
		t.Errorf("%d requests ran at once, want 3 at most", w.most)
	}
}

// TestReadsAhead fetches what is read in order in large pieces, and the rest as it is asked for.
func TestReadsAhead(t *testing.T) {
	w := newWeb(t)
	data := storetest.Random(4 << 20)
	loc := w.publish(data)
	s := newStore(t)
	r, err := s.Open(t.Context(), loc)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, off := range []int64{3 << 20, 1 << 20, 2 << 20} {
		if _, err := read(t, r, off, 4096); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(w.asked); n != 4 { // HEAD and three parts
		t.Errorf("three reads apart made the requests %q", w.asked)
	}
	got, err := io.ReadAll(io.NewSectionReader(readerAt{t, r}, 0, r.Size()))
	if err != nil || !bytes.Equal(got, data) {
		t.Fatalf("read %d bytes, %v", len(got), err)
	}
	if n := len(w.asked); n > 12 {
		t.Errorf("reading %d bytes in order made %d requests: %q", len(data), n, w.asked)
	}
}

type readerAt struct {
	t *testing.T
	r imagestore.Reader
}

func (a readerAt) ReadAt(p []byte, off int64) (int, error) { return a.r.ReadAt(a.t.Context(), p, off) }

// TestSilentServer gives up on one that takes a request and says nothing.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
		}
	})
	defer func() {
		l.Close()
		conns.Wait()
		for _, c := range open {
			c.Close()
		}
	}()
	s := newStore(t, func(cfg *Config) { cfg.Timeout, cfg.Retries = 10*time.Millisecond, 1 })
	if _, err := s.Open(t.Context(), image.Location{Store: "web", URL: "http://" + l.Addr().String() + "/"}); !errors.Is(err, image.ErrStoreOffline) {
		t.Errorf("Open = %v, want %v", err, image.ErrStoreOffline)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Open(ctx, image.Location{Store: "web", URL: "http://" + l.Addr().String() + "/"}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v, want %v", err, context.Canceled)
	}
}
