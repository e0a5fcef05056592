package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

// convert takes any data for that of a qcow2 of the disk in disk, unless that is nil.
func (s *fakeSession) convert(data *imageservice.Data, format string) error {
	if s.disk == nil {
		return image.Errorf(image.ErrUnsupportedContent, "It has a backing file.")
	}
	data.Format, data.Reader = format, s.disk
	if format == "qcow2" {
		data.Stream = fakeStream{s.disk}
	}
	return nil
}

// A fakeDisk has data where its bytes are 1, and else 0. It fails at what should not be read.
type fakeDisk struct {
	memoryReader
	file   *os.File // has the same bytes from fileAt on, but for the first copied; nil for no file
	copied int64
	reads  int64         // bytes
	failAt int64         // 0 for nowhere
	closed chan struct{} // receives when it is closed, unless nil

	prepare error // of a stream that it becomes
}

func (d *fakeDisk) Close() error {
	if d.closed != nil {
		d.closed <- struct{}{}
	}
	return nil
}

var errDisk = errors.New("the disk is damaged")

func (d *fakeDisk) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	if d.failAt > 0 && off+int64(len(p)) > d.failAt {
		return 0, errDisk
	}
	d.reads += int64(len(p))
	return d.memoryReader.ReadAt(ctx, p, off)
}

func (d *fakeDisk) DataAt(_ context.Context, off int64) (start, end int64, err error) {
	next := func(b byte, from int64) int64 {
		if i := bytes.IndexByte(d.memoryReader[from:], b); i >= 0 {
			return from + int64(i)
		}
		return d.Size()
	}
	start = next(1, off)
	end = next(0, start)
	return start, end, nil
}

const fileAt = 12345

func (d *fakeDisk) Stored(_ context.Context, off, n int64) (f *os.File, at, length int64, err error) {
	if d.file == nil || off < d.copied {
		return d.file, 0, 0, nil
	}
	return d.file, fileAt + off, min(n, d.Size()-off), nil
}

type fakeStream struct{ disk *fakeDisk }

const fakeHead = "qcow2:"

func (s fakeStream) Prepare(context.Context) error { return s.disk.prepare }

func (s fakeStream) Size() int64 { return int64(len(fakeHead)) + s.disk.Size() }

func (s fakeStream) Stream(ctx context.Context, w io.Writer) error {
	if _, err := io.WriteString(w, fakeHead); err != nil {
		return err
	}
	p := make([]byte, 512<<10)
	for off := int64(0); off < s.disk.Size(); off += int64(len(p)) {
		p = p[:min(int64(len(p)), s.disk.Size()-off)]
		if _, err := s.disk.ReadAt(ctx, p, off); err != nil {
			return err
		}
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// newDisk returns pieces of so many bytes, one with data and one without in turn.
func newDisk(pieces ...int) *fakeDisk {
	d := &fakeDisk{}
	for i, n := range pieces {
		d.memoryReader = append(d.memoryReader, bytes.Repeat([]byte{byte(1 - i%2)}, n)...)
	}
	return d
}

func TestConversions(t *testing.T) {
	f := newFake()
	f.disk = newDisk(10)
	id := f.add(image.Image{Owner: "p1"}, "data")
	f.images[id].DiskFormat = "vmdk"
	h := newHandler(t, f)
	hash := f.images[id].HashValue
	const disk = "\x01\x01\x01\x01\x01\x01\x01\x01\x01\x01"
	for _, tt := range []struct {
		name, format string
		header       http.Header
		code         int
		body         string
		part         string // Content-Range
		etag         string
	}{
		{"raw", "raw", nil, 200, disk, "", `"` + hash + `-raw"`},
		{"a part of it", "raw", header("Range", "bytes=2-4"), 206, disk[:3], "bytes 2-4/10", `"` + hash + `-raw"`},
		{"the rest of the same", "raw", header("Range", "bytes=2-", "If-Range", `"`+hash+`-raw"`), 206, disk[:8], "bytes 2-9/10", `"` + hash + `-raw"`},
		{"the rest of what was uploaded", "raw", header("Range", "bytes=2-", "If-Range", `"`+hash+`"`), 200, disk, "", `"` + hash + `-raw"`},
		{"behind it", "raw", header("Range", "bytes=10-"), 416, "", "bytes */10", ""},
		{"unchanged", "raw", header("If-None-Match", `"`+hash+`-raw"`), 304, "", "", `"` + hash + `-raw"`},
		{"not what was uploaded", "raw", header("If-None-Match", `"`+hash+`"`), 200, disk, "", `"` + hash + `-raw"`},
		{"qcow2", "qcow2", nil, 200, fakeHead + disk, "", `W/"` + hash + `-qcow2"`},
		{"qcow2 has no parts", "qcow2", header("Range", "bytes=2-4"), 200, fakeHead + disk, "", `W/"` + hash + `-qcow2"`},
		{"the same qcow2", "qcow2", header("If-None-Match", `W/"`+hash+`-qcow2"`), 304, "", "", `W/"` + hash + `-qcow2"`},
		{"as it is", "vmdk", nil, 200, "data", "", `"` + hash + `"`},
		{"no format", "", nil, 400, "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			res := do(h, request{"GET", "/v2/images/" + string(id) + "/file?format=" + tt.format, tt.header, ""})
			head := res.Header()
			if res.Code != tt.code || head.Get("Content-Range") != tt.part || head.Get("ETag") != tt.etag {
				t.Fatalf("%d %v: %s", res.Code, head, res.Body)
			}
			if tt.code != 200 && tt.code != 206 {
				return
			}
			plain, stream := tt.format == "vmdk", tt.format == "qcow2"
			if res.Body.String() != tt.body || head.Get("Content-Length") != strconv.Itoa(len(tt.body)) {
				t.Errorf("body %q, length %s, want %q", res.Body, head.Get("Content-Length"), tt.body)
			}
			if (head.Get("Content-MD5") != "") != plain || (head.Get("Vitrine-Format") == tt.format) == plain || (head.Get("Accept-Ranges") == "bytes") == stream {
				t.Errorf("headers %v", head)
			}
		})
	}
	f.disk.prepare = image.Errorf(image.ErrUnavailable, "Too many.")
	if res := do(h, request{"GET", "/v2/images/" + string(id) + "/file?format=qcow2", nil, ""}); res.Code != 503 || res.Header().Get("ETag") != "" ||
		res.Header().Get("Retry-After") == "" {
		t.Errorf("a conversion that cannot be prepared = %d %v %s", res.Code, res.Header(), res.Body)
	}
	unchanged := request{"GET", "/v2/images/" + string(id) + "/file?format=qcow2", header("If-None-Match", `W/"`+hash+`-qcow2"`), ""}
	if res := do(h, unchanged); res.Code != 304 {
		t.Errorf("what the client has = %d, after it was prepared", res.Code)
	}
	f.disk = nil
	if res := do(h, request{"GET", "/v2/images/" + string(id) + "/file?format=raw", nil, ""}); res.Code != 415 || res.Header().Get("ETag") != "" {
		t.Errorf("a disk that cannot be read = %d %v %s", res.Code, res.Header(), res.Body)
	}
}

func copying(t *testing.T, w io.Writer, d *fakeDisk) rangeSender {
	return func(offset, n int64) error { return sendCopy(t.Context(), w, d, offset, n) }
}

// TestDisksAreSentByTheKernel where they stand in a file as they are.
func TestDisksAreSentByTheKernel(t *testing.T) {
	const long = 1 << 20
	for _, tt := range []struct {
		name   string
		data   []int
		copied int64
		reads  int64 // bytes
	}{
		{"all", []int{long}, 0, 0},
		{"with holes", []int{filePiece, long, filePiece + 1}, 0, 0},
		{"too short", []int{filePiece - 1, long, 100}, 0, filePiece - 1 + 100},
		{"not all, and it is not tried too often", []int{lookAgain + long}, 1, lookAgain},
		{"nothing", []int{long}, long, long},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bothWays(t, func(t *testing.T, sendfile bool) {
				f := newFake()
				f.disk = newDisk(tt.data...)
				f.disk.copied = tt.copied
				path := filepath.Join(t.TempDir(), "data")
				if err := os.WriteFile(path, slices.Concat(make([]byte, fileAt), f.disk.memoryReader), 0o600); err != nil {
					t.Fatal(err)
				}
				var err error
				if f.disk.file, err = os.Open(path); err != nil {
					t.Fatal(err)
				}
				defer f.disk.file.Close()
				id := f.add(image.Image{Owner: "p1"}, "data")
				f.images[id].DiskFormat = "vmdk"
				data := f.disk.Size()
				for i, n := range tt.data {
					data -= int64(n * (i % 2))
				}
				handler := newHandler(t, f, func(c *Config) { c.Sendfile = sendfile })
				onNetworks(t, handler, func(t *testing.T, _ *Server, dial func() halfCloser) {
					c := dial()
					f.disk.reads = 0
					fmt.Fprintf(c, "GET /v2/images/%s/file?format=raw HTTP/1.1\r\nHost: localhost\r\n\r\n", id)
					res, err := http.ReadResponse(bufio.NewReader(c), nil)
					if err != nil {
						t.Fatal(err)
					}
					got, err := io.ReadAll(res.Body)
					if err != nil || !bytes.Equal(got, f.disk.memoryReader) {
						t.Errorf("%d bytes, %v, equal: %v", len(got), err, bytes.Equal(got, f.disk.memoryReader))
					}
					want := data
					if _, plain := c.(*net.TCPConn); sendfile && plain {
						want = tt.reads
					}
					if f.disk.reads != want {
						t.Errorf("%d bytes were read, want %d", f.disk.reads, want)
					}
				})
			})
		})
	}
}

// TestPiecesAreMadeAhead while another one is sent; when that fails, the one that was made is for nobody.
func TestPiecesAreMadeAhead(t *testing.T) {
	gone := errors.New("gone")
	for _, fails := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			d := &aheadReader{memoryReader: newDisk(5 << 20).memoryReader, begun: make(chan struct{}, 100)}
			var got bytes.Buffer
			err := sendAhead(t.Context(), writerFunc(func(p []byte) (int, error) {
				<-d.begun
				if got.Len()+len(p) < len(d.memoryReader) {
					<-d.begun // of the next piece
					d.begun <- struct{}{}
				}
				if fails {
					return 0, gone
				}
				return got.Write(p)
			}), d, 0, d.Size())
			if fails && !errors.Is(err, gone) || !fails && (err != nil || !bytes.Equal(got.Bytes(), d.memoryReader)) {
				t.Errorf("fails: %v: %d bytes, %v", fails, got.Len(), err)
			}
		})
	}
}

// An aheadReader tells when it begins to read.
type aheadReader struct {
	memoryReader
	begun chan struct{}
}

func (d *aheadReader) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	d.begun <- struct{}{}
	return d.memoryReader.ReadAt(ctx, p, off)
}

// TestZerosAreNotRead sends disks with holes, whose long ones are not read.
func TestZerosAreNotRead(t *testing.T) {
	const long = copyPiece
	for _, tt := range []struct {
		pieces []int
		reads  int64
	}{
		{[]int{10}, 10},
		{[]int{0, 10}, 10}, // so short that it is read
		{[]int{0, long}, 0},
		{[]int{0, 3*long + 1}, 0},
		{[]int{10, long, 20}, 30},
		{[]int{10, long - 1, 20}, long + 29},
		{[]int{0, long + 5, 20, 10, 30, 5 * long}, 60},
		{[]int{1, 1, 1, 1, 1, 3 * long, 1}, 6},
		{nil, 0},
	} {
		d := newDisk(tt.pieces...)
		for _, skip := range []int64{0, 3} {
			if skip > d.Size() {
				continue
			}
			var got bytes.Buffer
			d.reads = 0
			if err := sendSparse(t.Context(), &got, d, copying(t, &got, d), skip, d.Size()-skip); err != nil || !bytes.Equal(got.Bytes(), d.memoryReader[skip:]) {
				t.Errorf("%v from %d on: %d bytes, %v, want %d", tt.pieces, skip, got.Len(), err, d.Size()-skip)
			}
			if skip == 0 && d.reads != tt.reads {
				t.Errorf("%v: %d bytes were read, want %d", tt.pieces, d.reads, tt.reads)
			}
		}
	}
}

// TestConversionThatFails breaks off, or is answered with an error when nothing was sent.
func TestConversionThatFails(t *testing.T) {
	f := newFake()
	id := f.add(image.Image{Owner: "p1"}, "data")
	f.images[id].DiskFormat = "vmdk"
	srv := serve(t, newHandler(t, f))
	for _, tt := range []struct {
		format string
		failAt int64
		code   int
		sent   bool
	}{{"raw", 1, 500, false}, {"qcow2", 1, 500, false}, {"raw", 3 << 20, 200, true}, {"qcow2", 3 << 20, 200, true}} {
		f.disk = newDisk(4 << 20)
		f.disk.failAt = tt.failAt
		res, err := http.Get(srv.URL + "/v2/images/" + string(id) + "/file?format=" + tt.format)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if res.StatusCode != tt.code || (err != nil) != tt.sent || (res.Header.Get("Vitrine-Format") != "") != tt.sent {
			t.Errorf("%s that fails at %d: %d %v, %v", tt.format, tt.failAt, res.StatusCode, res.Header, err)
		}
	}
}

// TestWhoTakesNoConversion goes away in the middle of it, which is no failure of the disk.
func TestWhoTakesNoConversion(t *testing.T) {
	gone := errors.New("gone")
	w := clientWriter{writerFunc(func([]byte) (int, error) { return 0, gone })}
	d := newDisk(10, copyPiece)
	for what, err := range map[string]error{
		"data":   sendSparse(t.Context(), w, d, copying(t, w, d), 0, 10),
		"zeros":  sendSparse(t.Context(), w, d, copying(t, w, d), 10, copyPiece),
		"stream": fakeStream{d}.Stream(t.Context(), w),
	} {
		if !errors.Is(err, image.ErrInterrupted) || !errors.Is(err, gone) {
			t.Errorf("%s to nobody = %v", what, err)
		}
	}
}

// TestClientsThatLeave in the middle of a conversion end it.
func TestClientsThatLeave(t *testing.T) {
	f := newFake()
	f.disk = newDisk(8<<20, 24<<20, 1)
	f.disk.closed = make(chan struct{})
	id := f.add(image.Image{Owner: "p1"}, "data")
	f.images[id].DiskFormat = "vmdk"
	srv := serve(t, newHandler(t, f))
	for _, format := range []string{"raw", "qcow2"} {
		res, err := http.Get(srv.URL + "/v2/images/" + string(id) + "/file?format=" + format)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, res.Body, 1<<20); err != nil {
			t.Error(err)
		}
		res.Body.Close()
		<-f.disk.closed
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
