package client

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A store serves one image, badly if told so.
type store struct {
	data     []byte
	document string // replaces the image's document
	noRanges bool
	etag     string
	cut      func(n int) int // bytes after which answer number n breaks off, -1 for none
	status   func(n int) int // of answer number n, 0 for the usual one
	ranges   []string        // that were asked for, of every request for data
	ifRange  []string
}

func (s *store) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.URL.Path, "/file") {
		sum, check := sha512.Sum512(s.data), md5.Sum(s.data)
		doc := s.document
		if doc == "" {
			doc = fmt.Sprintf(`{"id":%q,"status":"active","size":%d,"os_hash_algo":"sha512","os_hash_value":%q,"checksum":%q}`,
				testID, len(s.data), hex.EncodeToString(sum[:]), hex.EncodeToString(check[:]))
		}
		return answer(200, nil, doc), nil
	}
	n := len(s.ranges)
	s.ranges, s.ifRange = append(s.ranges, r.Header.Get("Range")), append(s.ifRange, r.Header.Get("If-Range"))
	if s.status != nil && s.status(n) != 0 {
		return answer(s.status(n), nil, "no"), nil
	}
	header, status, rest := http.Header{}, 200, s.data
	if s.etag != "" {
		header.Set("ETag", s.etag)
	}
	if from, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok && !s.noRanges {
		first, err := strconv.Atoi(strings.TrimSuffix(from, "-"))
		if err != nil {
			return nil, err
		}
		status, rest = 206, s.data[first:]
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, len(s.data)-1, len(s.data)))
	}
	resp := answer(status, header, "")
	resp.ContentLength = int64(len(rest))
	resp.Body = io.NopCloser(bytes.NewReader(rest))
	if s.cut != nil && s.cut(n) >= 0 {
		rest = rest[:min(s.cut(n), len(rest))]
		resp.Body = io.NopCloser(io.MultiReader(bytes.NewReader(rest), failing{}))
	}
	return resp, nil
}

// failing is the end of a connection that breaks.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// download reads all of the image in virtual time.
func download(t *testing.T, s *store, opts DownloadOptions) (got []byte, d *Download, err error) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Config{HTTPClient: &http.Client{Transport: s}})
		if d, err = c.Download(t.Context(), testID, opts); err != nil {
			return
		}
		defer d.Close()
		got, err = io.ReadAll(d)
	})
	return got, d, err
}

func TestDownload(t *testing.T) {
	for _, size := range []int{0, 1, 100_000} {
		s := &store{data: randomBytes(size), etag: `"e"`}
		got, d, err := download(t, s, DownloadOptions{})
		if err != nil || !bytes.Equal(got, s.data) || d.Size() != int64(size) || d.Start() != 0 || d.Algorithm() != "sha512" || len(s.ranges) != 1 {
			t.Errorf("download of %d bytes gives %d of %d from %d by %s: %v", size, len(got), d.Size(), d.Start(), d.Algorithm(), err)
		}
	}
}

func TestDownloadGoesOnWhereItBroke(t *testing.T) {
	for _, tt := range []struct {
		name      string
		noRanges  bool
		etag, ask string
	}{
		{"ranges", false, `"e"`, `"e"`}, {"no ranges", true, `"e"`, `"e"`}, {"no etag", false, "", ""}, {"weak etag", false, `W/"e"`, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cuts := 0
			s := &store{data: randomBytes(100_000), etag: tt.etag, noRanges: tt.noRanges}
			s.cut = func(n int) int {
				if n == 20 {
					return -1
				}
				cuts++
				if tt.noRanges {
					return n * 3000 // it begins anew, and must come further
				}
				return n % 3 * 3000
			}
			got, _, err := download(t, s, DownloadOptions{})
			if err != nil || !bytes.Equal(got, s.data) || cuts < 10 {
				t.Errorf("download gives %d of %d bytes after %d cuts: %v", len(got), len(s.data), cuts, err)
			}
			if got := s.ifRange[len(s.ifRange)-1]; got != tt.ask {
				t.Errorf("If-Range is %q with the etag %s, want %q", got, tt.etag, tt.ask)
			}
		})
	}
}

func TestDownloadGivesUp(t *testing.T) {
	s := &store{data: randomBytes(1000), cut: func(n int) int { return max(0, 10-n*10) }}
	got, _, err := download(t, s, DownloadOptions{})
	if !errors.Is(err, ErrUnreachable) || len(got) != 10 || len(s.ranges) != 1+8 {
		t.Errorf("download = %d bytes in %d requests, %v, want ErrUnreachable", len(got), len(s.ranges), err)
	}
}

func TestDownloadWaitsForAServerThatRestarts(t *testing.T) {
	s := &store{data: randomBytes(1000)}
	s.cut = func(n int) int {
		if n == 0 {
			return 10
		}
		return -1
	}
	s.status = func(n int) int { return map[int]int{1: 502, 2: 504}[n] }
	got, _, err := download(t, s, DownloadOptions{})
	if err != nil || !bytes.Equal(got, s.data) {
		t.Errorf("download = %d bytes, %v", len(got), err)
	}
}

func TestDownloadOfWrongData(t *testing.T) {
	data := randomBytes(1000)
	doc := func(size int, algo, value, checksum string) string {
		return fmt.Sprintf(`{"id":%q,"status":"active","size":%d,"os_hash_algo":%q,"os_hash_value":%q,"checksum":%q}`, testID, size, algo, value, checksum)
	}
	md5sum := md5.Sum(data)
	right := hex.EncodeToString(md5sum[:])
	for _, tt := range []struct {
		name string
		s    store
		want error
	}{
		{"other hash", store{document: doc(1000, "sha512", "00", right)}, image.ErrCorrupt},
		{"other checksum", store{document: doc(1000, "", "", "00")}, image.ErrCorrupt},
		{"checksum only", store{document: doc(1000, "", "", right)}, nil},
		{"unknown hash, known checksum", store{document: doc(1000, "whirlpool", "00", strings.ToUpper(right))}, nil},
		{"longer", store{document: doc(999, "", "", "")}, image.ErrCorrupt},
		{"shorter", store{document: doc(1001, "", "", "")}, image.ErrCorrupt},
		{"forbidden", store{status: func(int) int { return 403 }}, image.ErrForbidden},
		{"no data", store{document: `{"id":"` + string(testID) + `","status":"queued"}`, status: func(int) int { return 204 }}, image.ErrNoData},
		{"failure inside", store{status: func(int) int { return 500 }}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.data = data
			got, d, err := download(t, &tt.s, DownloadOptions{})
			if tt.name == "failure inside" {
				if err == nil || len(tt.s.ranges) != 1 {
					t.Errorf("download = %v in %d requests", err, len(tt.s.ranges))
				}
				return
			}
			if !errors.Is(err, tt.want) {
				t.Fatalf("download = %v, want %v", err, tt.want)
			}
			if tt.want == nil && (!bytes.Equal(got, data) || d.Algorithm() != "md5") {
				t.Errorf("download = %d bytes, verified by %q", len(got), d.Algorithm())
			}
		})
	}
}

func TestDownloadNoticesOtherData(t *testing.T) {
	s := &store{data: randomBytes(1000), etag: `"one"`, noRanges: true}
	s.cut = func(n int) int { s.etag = `"two"`; return 10 }
	if _, _, err := download(t, s, DownloadOptions{}); !errors.Is(err, image.ErrCorrupt) {
		t.Errorf("download = %v, want ErrCorrupt", err)
	}
}

func TestDownloadBehindWhatIsThere(t *testing.T) {
	data := randomBytes(1000)
	for _, tt := range []struct {
		have     []byte
		requests int
		want     error
	}{
		{nil, 1, nil},
		{data[:1], 1, nil},
		{data[:999], 1, nil},
		{data, 0, nil},
		{append(bytes.Clone(data), 0), 0, image.ErrInvalid},
		{make([]byte, 500), 1, image.ErrCorrupt},
		{make([]byte, 1000), 0, image.ErrCorrupt},
	} {
		s := &store{data: data}
		got, _, err := download(t, s, DownloadOptions{Have: bytes.NewReader(tt.have)})
		if !errors.Is(err, tt.want) || len(s.ranges) != tt.requests {
			t.Errorf("download behind %d bytes = %v in %d requests, want %v in %d", len(tt.have), err, len(s.ranges), tt.want, tt.requests)
		}
		if err == nil && !bytes.Equal(append(tt.have[:len(tt.have):len(tt.have)], got...), data) {
			t.Errorf("download behind %d bytes gives %d others", len(tt.have), len(got))
		}
	}
}

func TestDownloadThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{data: randomBytes(1000)}
		attempts := 0
		c := newClient(t, Config{StallTimeout: 10 * time.Second, HTTPClient: &http.Client{Transport: roundTrip(
			func(r *http.Request) (*http.Response, error) {
				resp, err := s.RoundTrip(r)
				if attempts++; attempts == 2 { // the first for data
					resp.Body = &hanging{ctx: r.Context(), first: s.data[:100]}
				}
				return resp, err
			})}})
		start := time.Now()
		d, err := c.Download(t.Context(), testID, DownloadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		got, err := io.ReadAll(d)
		if err != nil || !bytes.Equal(got, s.data) || time.Since(start) < 10*time.Second || time.Since(start) > 12*time.Second {
			t.Errorf("download = %d bytes, %v after %s", len(got), err, time.Since(start))
		}
	})
}

// TestDownloadThatStandsStillBeforeItGoesOn: a server without ranges begins anew, and stops before it is where it was.
func TestDownloadThatStandsStillBeforeItGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &store{data: randomBytes(1000), noRanges: true}
		s.cut = func(n int) int { return []int{500, -1, -1}[n] }
		c := newClient(t, Config{StallTimeout: 10 * time.Second, HTTPClient: &http.Client{Transport: roundTrip(
			func(r *http.Request) (*http.Response, error) {
				resp, err := s.RoundTrip(r)
				if len(s.ranges) == 2 && resp.ContentLength == 1000 {
					resp.Body = &hanging{ctx: r.Context(), first: s.data[:100]}
				}
				return resp, err
			})}})
		start := time.Now()
		d, err := c.Download(t.Context(), testID, DownloadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		got, err := io.ReadAll(d)
		if err != nil || !bytes.Equal(got, s.data) || len(s.ranges) != 3 || time.Since(start) > 12*time.Second {
			t.Errorf("download = %d bytes in %d requests, %v after %s", len(got), len(s.ranges), err, time.Since(start))
		}
	})
}

// hanging gives its first bytes and then nothing until the request ends.
type hanging struct {
	ctx   context.Context
	first []byte
}

func (h *hanging) Read(p []byte) (int, error) {
	if n := copy(p, h.first); n > 0 {
		h.first = h.first[n:]
		return n, nil
	}
	<-h.ctx.Done()
	return 0, context.Cause(h.ctx)
}

func (h *hanging) Close() error { return nil }

func TestDownloadCancelled(t *testing.T) {
	s := &store{data: randomBytes(1000), cut: func(int) int { return 100 }}
	c := newClient(t, Config{HTTPClient: &http.Client{Transport: s}})
	ctx, cancel := context.WithCancel(t.Context())
	d, err := c.Download(ctx, testID, DownloadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(d); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("Read = %v, want context.Canceled", err)
	}
	d.Close()
	if _, err := d.Read(make([]byte, 1)); err == nil {
		t.Error("Read after Close gives no error")
	}
}

func TestContentRange(t *testing.T) {
	for _, tt := range []struct {
		header      string
		first, size int64
		ok          bool
	}{
		{"bytes 5-9/10", 5, 10, true}, {"bytes 0-0/*", 0, -1, true}, {"bytes */10", 0, 0, false}, {"bytes 5-9", 0, 0, false},
		{"5-9/10", 0, 0, false}, {"", 0, 0, false}, {"bytes 5-9/x", 5, 0, false},
	} {
		first, size, ok := contentRange(tt.header)
		if ok != tt.ok || ok && (first != tt.first || size != tt.size) {
			t.Errorf("contentRange(%q) = %d, %d, %v", tt.header, first, size, ok)
		}
	}
}
