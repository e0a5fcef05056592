package client

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// A sparseServer has an image of the format vmdk and the disk in it, of which it tells the extents that are not zeros, two on a page.
type sparseServer struct {
	disk    []byte
	extents []image.Extent

	mu     sync.Mutex
	ranges []string // that were asked for, in any order
	cut    int      // answers to cut in the middle
}

func newSparseServer(extents ...image.Extent) *sparseServer {
	s := &sparseServer{extents: extents}
	for i, e := range extents {
		fill := byte(0)
		if e.Data {
			fill = byte(i + 1)
		}
		s.disk = append(s.disk, bytes.Repeat([]byte{fill}, int(e.Length))...)
	}
	return s
}

func (s *sparseServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/extents"):
		var first int64
		fmt.Sscan(r.URL.Query().Get("marker"), &first)
		at := slices.IndexFunc(s.extents, func(e image.Extent) bool { return e.Offset == first })
		fmt.Fprintf(w, `{"format":"raw","size":%d,"extents":[`, len(s.disk))
		page := s.extents[max(at, 0):]
		for i, e := range page[:min(2, len(page))] {
			fmt.Fprintf(w, `%.*s{"offset":%d,"length":%d,"data":%t}`, i, ",", e.Offset, e.Length, e.Data)
		}
		if len(page) > 2 {
			fmt.Fprintf(w, `],"next":"?marker=%d"}`, page[2].Offset)
			return
		}
		io.WriteString(w, "]}")
	case strings.HasSuffix(r.URL.Path, "/file"):
		s.mu.Lock()
		s.ranges = append(s.ranges, r.Header.Get("Range"))
		cut := s.cut > 0
		s.cut--
		s.mu.Unlock()
		w.Header().Set("Vitrine-Format", r.URL.Query().Get("format"))
		if cut {
			w = &cutWriter{w, 1000}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(s.disk))
	default:
		fmt.Fprintf(w, `{"id":"%s","status":"active","disk_format":"vmdk","container_format":"bare","size":7}`, testID)
	}
}

// A cutWriter ends the connection after so many bytes.
type cutWriter struct {
	http.ResponseWriter
	left int
}

func (c *cutWriter) Write(p []byte) (int, error) {
	n, err := c.ResponseWriter.Write(p[:min(len(p), c.left)])
	if c.left -= n; c.left == 0 {
		c.ResponseWriter.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// layout makes extents of so many bytes, one with data and one without in turn.
func layout(lengths ...int64) (list []image.Extent) {
	off := int64(0)
	for i, n := range lengths {
		if n > 0 {
			list = append(list, image.Extent{Offset: off, Length: n, Data: i%2 == 0})
		}
		off += n
	}
	return list
}

func newFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestDownloadSparse(t *testing.T) {
	for name, tt := range map[string]struct {
		lengths []int64
		want    []string // ranges
	}{
		"nothing":         {nil, nil},
		"only zeros":      {[]int64{0, 1 << 20}, nil},
		"only data":       {[]int64{1000}, []string{"bytes=0-999"}},
		"long holes":      {[]int64{0, 1 << 20, 5000, 2 << 20, 10, 3 << 20}, []string{"bytes=1048576-1053575", "bytes=3150728-3150737"}},
		"a hole in front": {[]int64{0, 100, 5000}, []string{"bytes=0-5099"}},
		"short holes":     {[]int64{10, smallHole, 10, 1000, 10, smallHole + 1, 10}, []string{"bytes=0-263173", "bytes=525319-525328"}},
		"a lot of it":     {[]int64{partSize + 10}, []string{"bytes=0-33554431", "bytes=33554432-33554441"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSparseServer(layout(tt.lengths...)...)
			c := serve(t, s.ServeHTTP, Config{})
			f := newFile(t)
			var size, done int64
			algorithm, err := c.DownloadSparse(t.Context(), testID, f, SparseOptions{Format: "raw",
				Begin: func(n int64) { size += n }, Done: func(n int64) { done += n }})
			got, readErr := os.ReadFile(f.Name())
			if err = errors.Join(err, readErr); err != nil || algorithm != "" || !bytes.Equal(got, s.disk) {
				t.Fatalf("%d bytes, %v, want %d", len(got), err, len(s.disk))
			}
			if size != int64(len(s.disk)) || done != size {
				t.Errorf("it told of %d of %d bytes, want %d", done, size, len(s.disk))
			}
			slices.Sort(s.ranges)
			slices.Sort(s.ranges)
			if !slices.Equal(s.ranges, tt.want) {
				t.Errorf("ranges %q, want %q", s.ranges, tt.want)
			}
		})
	}
}

// TestDownloadSparseGoesOn where a connection broke.
func TestDownloadSparseGoesOn(t *testing.T) {
	s := newSparseServer(layout(5000, 1<<20, 5000)...)
	s.cut = 3
	f := newFile(t)
	_, err := serve(t, s.ServeHTTP, Config{}).DownloadSparse(t.Context(), testID, f, SparseOptions{Format: "raw"})
	if got, readErr := os.ReadFile(f.Name()); errors.Join(err, readErr) != nil || !bytes.Equal(got, s.disk) || len(s.ranges) != 5 {
		t.Errorf("%d bytes, %v, after the requests %q", len(got), err, s.ranges)
	}
}

// TestDownloadSparseFails when the server does, or the file, or what the server tells does not fit together.
func TestDownloadSparseFails(t *testing.T) {
	closed := newFile(t)
	closed.Close()
	good := newSparseServer(layout(5000, 1<<20, 5000)...)
	for name, tt := range map[string]struct {
		extents func(w http.ResponseWriter, r *http.Request) // instead of the server's own, unless nil
		file    *os.File
		want    error // nil for any
	}{
		"no Vitrine": {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(300) }, nil, image.ErrInvalid},
		"no disk":    {func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(415) }, nil, image.ErrUnsupportedContent},
		"no extents": {func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, `{"size":10,"extents":[]}`) }, nil, nil},
		"another size": {func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, `{"size":5,"extents":[{"length":5,"data":true}]}`)
		}, nil, image.ErrCorrupt},
		"the file is gone": {nil, closed, os.ErrClosed},
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if tt.extents != nil && strings.HasSuffix(r.URL.Path, "/extents") {
					tt.extents(w, r)
					return
				}
				good.ServeHTTP(w, r)
			}, Config{Retries: -1})
			f := tt.file
			if f == nil {
				f = newFile(t)
			}
			if _, err := c.DownloadSparse(t.Context(), testID, f, SparseOptions{Format: "raw"}); err == nil || !errors.Is(err, cmp.Or(tt.want, err)) {
				t.Errorf("DownloadSparse = %v, want %v", err, tt.want)
			}
		})
	}
}

// TestConversionByAnotherServer that knows of none is not taken for one.
func TestConversionByAnotherServer(t *testing.T) {
	s := newSparseServer(layout(5000)...)
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		r.URL.RawQuery = ""
		s.ServeHTTP(w, r)
	}, Config{})
	if _, err := c.Download(t.Context(), testID, DownloadOptions{Format: "qcow2"}); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("Download = %v", err)
	}
	if _, err := c.Download(t.Context(), testID, DownloadOptions{Format: "raw", Have: strings.NewReader("x")}); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("Download behind what is there = %v", err)
	}
}
