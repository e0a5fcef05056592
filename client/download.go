package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// DownloadOptions are the choices of a download; the zero value is the usual one.
type DownloadOptions struct {
	// Have is the beginning of the data, kept from a download that broke off. It is read to its end at once, and the
	// download goes on behind it; the whole is verified.
	Have io.Reader
	// Format is that to which a Vitrine converts the data, raw or qcow2; "" or the image's own for the data as it was uploaded. A
	// conversion has no hash to verify it by, and Have is not for it.
	Format string
}

// A Download is the data of an image as a stream. Close it. It belongs to one goroutine.
type Download struct {
	Image *image.Image // as it was when the download began

	ctx    context.Context // of the whole download: Read has none of its own
	c      *Client
	format string // to which the data is converted, "" for none
	start  int64  // bytes that were there before
	off    int64  // bytes that are there now
	end    int64  // where the part ends that is wanted, -1 for everything
	size   int64  // bytes of the whole, -1 when the server does not tell
	etag   string
	once   bool // the server cannot go on in the middle
	sum    sum
	tries  int // since bytes came last

	body    io.ReadCloser // of the current answer, nil in between
	stalled *watchdog     // of the current answer
	err     error         // ends every further Read
}

// Download opens the data of an image. What arrives through Read is verified: io.EOF comes only after all bytes, and
// only if their number and hash are the image's. When the connection breaks, the download goes on from there.
// Errors: image.ErrNotFound, image.ErrNoData, image.ErrForbidden, image.ErrDataMissing, and image.ErrInvalid when
// Have is longer than the image or Format cannot be had; for a Format also image.ErrUnsupportedContent and image.ErrCorrupt.
func (c *Client) Download(ctx context.Context, id image.ID, opts DownloadOptions) (*Download, error) {
	img, err := c.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	d := &Download{Image: img, ctx: ctx, c: c, end: -1, size: -1, sum: newSum(img)}
	switch {
	case opts.Format != "" && !img.IsIn(opts.Format):
		if opts.Have != nil {
			return nil, image.Errorf(image.ErrInvalid, "A download that is converted to %s cannot go on where an earlier one ended", opts.Format)
		}
		d.format, d.sum = opts.Format, noSum
	case img.Size != nil:
		d.size = *img.Size
	}
	if opts.Have != nil {
		if d.off, err = io.Copy(d.sum, opts.Have); err != nil {
			return nil, fmt.Errorf("read what is there of image %s: %w", id, err)
		}
		d.start = d.off
	}
	if d.size >= 0 && d.off > d.size {
		return nil, image.Errorf(image.ErrInvalid, "There are %d bytes already of image %s, which has %d", d.off, id, d.size)
	}
	if d.off > 0 && d.off == d.size {
		return d, nil // all there: Read only verifies
	}
	if err := d.begin(); err != nil {
		return nil, err
	}
	return d, nil
}

// begin opens the first answer.
func (d *Download) begin() error {
	for err := d.open(); err != nil; err = d.open() {
		if err = d.again(err); err != nil {
			return err
		}
	}
	return nil
}

// Size returns the number of bytes of the whole image, -1 when the server does not tell.
func (d *Download) Size() int64 { return d.size }

// Start returns how many bytes were there before: the first Read returns the byte at this offset.
func (d *Download) Start() int64 { return d.start }

// Algorithm returns the hash that the data is verified by, "" when the image has none that is known.
func (d *Download) Algorithm() string { return d.sum.algo }

// Read reads the data. Errors: image.ErrCorrupt when the data does not match the image, ErrUnreachable when the
// connection broke and could not be made again.
func (d *Download) Read(p []byte) (int, error) {
	for d.err == nil {
		n, err := d.read(p)
		if n > 0 {
			d.sum.Write(p[:n])
			d.off += int64(n)
			d.tries = 0
		}
		switch {
		case err == nil || errors.Is(err, io.EOF):
			d.err = err
		default:
			d.hangUp()
			d.err = d.again(err)
		}
		if n > 0 {
			return n, nil
		}
	}
	return 0, d.err
}

// read returns bytes of the current answer, after opening one if there is none. io.EOF means the verified end.
func (d *Download) read(p []byte) (int, error) {
	stop := d.stop()
	if stop >= 0 && d.off >= stop {
		return 0, d.verify()
	}
	if d.body == nil {
		if err := d.open(); err != nil {
			return 0, err
		}
	}
	if stop = d.stop(); stop >= 0 {
		p = p[:min(int64(len(p)), stop-d.off)]
	}
	n, err := d.body.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && stop < 0:
		d.size = d.off + int64(n)
		return n, nil
	case errors.Is(err, io.EOF) && d.off+int64(n) == stop:
		return n, nil
	}
	return n, d.c.unreachable(d.stalled.ctx, fmt.Errorf("the download broke off after %d of %d bytes: %w", d.off+int64(n), stop, err))
}

// stop returns where the data ends that is wanted, -1 when that is not known.
func (d *Download) stop() int64 {
	if d.end >= 0 {
		return d.end
	}
	return d.size
}

func (d *Download) verify() error {
	if err := d.sum.check(); err != nil {
		return err
	}
	return io.EOF
}

// again waits before the next attempt, or returns the error that ends the download.
func (d *Download) again(err error) error {
	answer := (*Error)(nil)
	switch {
	case d.ctx.Err() != nil:
		return context.Cause(d.ctx)
	case d.tries >= 2*d.c.retries, d.once && d.off > d.start:
		return err
	case errors.As(err, &answer) && !answer.passing():
		return err
	case answer == nil && !errors.Is(err, ErrUnreachable):
		return err
	case d.off == d.start && !passing(err):
		return err // nobody there from the beginning; a server that restarts in the middle is waited for
	}
	d.tries++
	return wait(d.ctx, d.tries, err)
}

// open asks for the rest of the data.
func (d *Download) open() error {
	r := request{method: http.MethodGet, path: imagePath(d.Image.ID, "file"), header: map[string]string{"Accept-Encoding": "identity"}}
	if d.format != "" {
		r.query = url.Values{"format": {d.format}}
	}
	if d.off > 0 || d.end >= 0 {
		r.header["Range"] = fmt.Sprintf("bytes=%d-", d.off)
		if d.end >= 0 {
			r.header["Range"] += strconv.FormatInt(d.end-1, 10)
		}
		if d.etag != "" {
			r.header["If-Range"] = d.etag
		}
	}
	ctx, stalled := watch(d.ctx, d.c.stall)
	if d.format == "" || d.format == "raw" { // what is converted to others may be complete before the answer begins
		stalled.start()
	}
	resp, err := d.c.send(ctx, r, nil, 0)
	stalled.stop()
	if err == nil {
		resp.Body = watchedBody{resp.Body, stalled}
		d.body, d.stalled = resp.Body, stalled
		if err = d.accept(r, resp); err == nil {
			return nil
		}
		d.hangUp()
	}
	stalled.end()
	return err
}

// accept checks that the answer goes on where the last one ended.
func (d *Download) accept(r request, resp *http.Response) error {
	if err := d.c.check(r, resp); err != nil {
		return err
	}
	hasData := d.Image.Status == image.Active || d.Image.Status == image.Deactivated // staged data has a size, too
	if resp.StatusCode == http.StatusNoContent && (d.size != 0 || !hasData) {
		return newError(resp.StatusCode, fmt.Sprintf("Image %s has no data, it is %s", d.Image.ID, d.Image.Status), resp.Header)
	}
	if d.format != "" && resp.Header.Get(wire.FormatHeader) != d.format {
		return image.Errorf(image.ErrInvalid, "The server at %s is no Vitrine that converts data to %s", d.c.endpoint, d.format)
	}
	d.once = d.format != "" && resp.Header.Get("Accept-Ranges") == ""
	etag := resp.Header.Get("Etag")
	if d.etag != "" && etag != "" && etag != d.etag {
		return image.Errorf(image.ErrCorrupt, "The data of image %s changed during the download", d.Image.ID)
	}
	if !strings.HasPrefix(etag, "W/") {
		d.etag = etag
	}
	first, size := int64(0), resp.ContentLength
	if resp.StatusCode == http.StatusPartialContent {
		var ok bool
		if first, size, ok = contentRange(resp.Header.Get("Content-Range")); !ok || first != d.off {
			return fmt.Errorf("%s sends the range %q instead of one that begins at %d", d.c.endpoint, resp.Header.Get("Content-Range"), d.off)
		}
	}
	if size >= 0 && d.size >= 0 && size != d.size {
		return image.Errorf(image.ErrCorrupt, "The data of image %s has %d bytes instead of %d", d.Image.ID, size, d.size)
	}
	d.size = max(d.size, size)
	if skip := d.off - first; skip > 0 { // a server without ranges begins anew
		if _, err := io.CopyN(io.Discard, resp.Body, skip); err != nil {
			return d.c.unreachable(d.stalled.ctx, err)
		}
	}
	return nil
}

// contentRange reads "bytes 5-9/10". size is -1 for "bytes 5-9/*".
func contentRange(header string) (first, size int64, ok bool) {
	rest, ok := strings.CutPrefix(header, "bytes ")
	span, total, ok2 := strings.Cut(rest, "/")
	from, _, ok3 := strings.Cut(span, "-")
	first, err := strconv.ParseInt(from, 10, 64)
	if !ok || !ok2 || !ok3 || err != nil {
		return 0, 0, false
	}
	if total == "*" {
		return first, -1, true
	}
	size, err = strconv.ParseInt(total, 10, 64)
	return first, size, err == nil
}

// hangUp ends the current answer.
func (d *Download) hangUp() {
	if d.body != nil {
		d.stalled.end()
		d.body.Close()
		d.body = nil
	}
}

// Close ends the download.
func (d *Download) Close() error {
	d.hangUp()
	if d.err == nil {
		d.err = errors.New("the download is closed")
	}
	return nil
}
