package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func testSizes(t *testing.T, s suite) {
	for _, size := range []int{0, 1, 511, 4095, 4096, 4097, 64 << 10, 256<<10 + 1, 5 << 20} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			data := Random(size)
			_, loc := s.put(t, data)
			if loc.Store != s.ID || loc.URL == "" {
				t.Errorf("Put = location %+v, want one in %s", loc, s.ID)
			}
			s.check(t, loc, data)
		})
	}
}

func testUnknownSize(t *testing.T, s suite) {
	for _, size := range []int{0, 1, 3<<20 + 5} {
		data := Random(size)
		src := NewSource(data, 10_000)
		src.Announced = -1
		loc, err := s.Put(t.Context(), NewObject(), src)
		if err != nil {
			t.Fatalf("Put of %d bytes = %v", size, err)
		}
		s.check(t, loc, data)
	}
}

// Zeros may be left out by a store, and must come back, at the end too.
func testZeros(t *testing.T, s suite) {
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"nothing else", make([]byte, 1<<20)},
		{"an odd number", make([]byte, 12345)},
		{"before data", append(make([]byte, 100_000), 1)},
		{"after data", append([]byte{1}, make([]byte, 100_000)...)},
		{"between data", bytes.Join([][]byte{Random(5000), make([]byte, 500_000), Random(5000)}, nil)},
		{"every other block", bytes.Repeat(append(make([]byte, 4096), Random(4096)...), 20)},
	} {
		for _, chunk := range []int{256 << 10, 4096, 1000} {
			t.Run(fmt.Sprint(tt.name, " in chunks of ", chunk), func(t *testing.T) {
				loc, err := s.Put(t.Context(), NewObject(), NewSource(tt.data, chunk))
				if err != nil {
					t.Fatal(err)
				}
				s.check(t, loc, tt.data)
			})
		}
	}
}

func testReadAt(t *testing.T, s suite) {
	data := Random(300_000)
	_, loc := s.put(t, data)
	r := s.open(t, loc)
	for _, tt := range []struct {
		off  int64
		n    int
		want int // bytes read
		err  error
	}{
		{0, 0, 0, nil},
		{0, 1, 1, nil},
		{1, 4096, 4096, nil},
		{123_456, 100_000, 100_000, nil},
		{299_999, 1, 1, nil},
		{299_999, 2, 1, io.EOF},
		{290_000, 20_000, 10_000, io.EOF},
		{300_000, 1, 0, io.EOF},
		{1 << 40, 10, 0, io.EOF},
	} {
		p := make([]byte, tt.n)
		n, err := r.ReadAt(t.Context(), p, tt.off)
		atEnd := tt.off+int64(tt.n) == int64(len(data)) && err == io.EOF // io.ReaderAt leaves that open
		if n != tt.want || err != tt.err && !atEnd {
			t.Errorf("ReadAt(%d bytes, %d) = %d, %v, want %d, %v", tt.n, tt.off, n, err, tt.want, tt.err)
			continue
		}
		if n > 0 && !bytes.Equal(p[:n], data[tt.off:tt.off+int64(n)]) {
			t.Errorf("ReadAt(%d bytes, %d) gives other bytes than were put", tt.n, tt.off)
		}
	}
	if n, err := r.ReadAt(t.Context(), make([]byte, 1), -1); n != 0 || err == nil || err == io.EOF {
		t.Errorf("ReadAt at -1 = %d, %v, want an error", n, err)
	}
}

func testReadInOrder(t *testing.T, s suite) {
	data := Random(7<<20 + 123)
	_, loc := s.put(t, data)
	r := s.open(t, loc)
	var got []byte
	for p := make([]byte, 100_000); len(got) < len(data); {
		n, err := r.ReadAt(t.Context(), p, int64(len(got)))
		if n == 0 || err != nil && err != io.EOF {
			t.Fatalf("ReadAt(%d) = %d, %v", len(got), n, err)
		}
		got = append(got, p[:n]...)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("the store gives %s in parts, want %s", describe(got), describe(data))
	}
}

func testReadCancelled(t *testing.T, s suite) {
	_, loc := s.put(t, Random(100))
	r := s.open(t, loc)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if n, err := r.ReadAt(ctx, make([]byte, 10), 0); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("ReadAt = %d, %v, want %v", n, err, context.Canceled)
	}
	if r, err := s.Open(ctx, loc); !errors.Is(err, context.Canceled) {
		t.Errorf("Open = %v, want %v", err, context.Canceled)
		if err == nil {
			r.Close()
		}
	}
}

func testConcurrentReads(t *testing.T, s suite) {
	data := Random(1 << 20)
	_, loc := s.put(t, data)
	r := s.open(t, loc)
	var readers sync.WaitGroup
	for i := range 8 {
		readers.Go(func() {
			p := make([]byte, 30_000)
			for off := i * 1000; off+len(p) < len(data); off += 29_989 {
				if n, err := r.ReadAt(t.Context(), p, int64(off)); n != len(p) || !bytes.Equal(p, data[off:off+n]) {
					t.Errorf("ReadAt(%d) = %d, %v, or wrong bytes", off, n, err)
				}
			}
		})
	}
	readers.Wait()
}

func testForeignLocations(t *testing.T, s suite) {
	_, loc := s.put(t, Random(10))
	urls := []string{"", "/etc/passwd", "file:///etc/passwd", "http://example.com/" + string(image.NewID()),
		loc.URL + "/", loc.URL + "/..", loc.URL + "?x=y", "%zz", "\x00"}
	if s.New != nil { // what others wrote may have a fragment, which leads to the same data
		urls = append(urls, loc.URL+"#x")
	}
	for _, url := range urls {
		r, err := s.Open(t.Context(), image.Location{Store: loc.Store, URL: url})
		if err == nil {
			r.Close()
			t.Errorf("Open(%q) succeeds", url)
		} else if !errors.Is(err, image.ErrDataMissing) {
			t.Errorf("Open(%q) = %v, want %v", url, err, image.ErrDataMissing)
		}
	}
	s.check(t, loc, Random(10))
}
