package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/vitrine-image/vitrine/image"
)

// An Upload is the data of an image on its way to the server.
type Upload struct {
	// Body is not closed. It is read ahead by a goroutine of its own, since a Read of it may wait for long: when Upload fails,
	// or its context ends, one Read may still be under way, and what it returns is lost.
	Body  io.Reader
	Size  int64  // bytes in Body, -1 when unknown
	Store string // id of the store that shall keep the data; "" leaves that to the server
	// Prompt says that no Read of Body waits for long, as those of files do not: there is no goroutine for them.
	Prompt bool
}

// expectAbove is the size from which on the server is asked before the data is sent.
const expectAbove = 1 << 20

// Upload sends the data of a queued image, which is active afterwards. It is sent once: when it fails on its way the
// image is queued again, and the caller may start anew with a new Body. An error of Body is returned as it is.
// Errors: image.ErrConflict when the image is not queued, image.ErrInvalid when its formats are not set or Size is
// wrong, image.ErrTooLarge, image.ErrStoreFull, image.ErrUnsupportedContent, image.ErrGone, ErrUnreachable.
func (c *Client) Upload(ctx context.Context, id image.ID, up Upload) error {
	return c.put(ctx, id, "file", up)
}

// Stage sends the data of a queued image that is to be imported, and Store must be "". It works like Upload; the image waits
// for Import afterwards. Errors: those of Upload, and image.ErrNotFound also when the server does not import what is staged.
func (c *Client) Stage(ctx context.Context, id image.ID, up Upload) error {
	return c.put(ctx, id, "stage", up)
}

// put sends data.
func (c *Client) put(ctx context.Context, id image.ID, where string, up Upload) error {
	r := request{method: http.MethodPut, path: imagePath(id, where),
		header: map[string]string{"Content-Type": "application/octet-stream"}}
	if up.Size >= 0 {
		r.header["X-Openstack-Image-Size"] = strconv.FormatInt(up.Size, 10)
	}
	if up.Size < 0 || up.Size > expectAbove {
		r.header["Expect"] = "100-continue"
	}
	if up.Store != "" {
		r.header["X-Image-Meta-Store"] = up.Store
	}
	ctx, stalled := watch(ctx, c.stall)
	defer stalled.end()
	src := up.Body
	if !up.Prompt {
		src = newAheadReader(ctx, src)
	}
	body := &uploadBody{src: src, left: up.Size, stalled: stalled, failed: new(atomic.Pointer[error])}
	resp, err := c.send(ctx, r, body, up.Size)
	if err != nil {
		if failed := body.failed.Load(); failed != nil {
			return *failed
		}
		return err
	}
	resp.Body = watchedBody{resp.Body, stalled}
	defer resp.Body.Close()
	return c.check(r, resp)
}

// uploadBody tells the watchdog when the network, and not the source of the data, is what is being waited for.
type uploadBody struct {
	src     io.Reader
	left    int64 // bytes to come, below 0 when unknown
	stalled *watchdog
	failed  *atomic.Pointer[error] // the source's own error
	state   atomic.Int32           // bodyFresh at first
}

// The states of an uploadBody.
const (
	bodyFresh   = iota // nothing was read
	bodyInUse          // something was read, which nobody can send again
	bodyRetired        // nothing was read, and nothing may be
)

// retire keeps everybody from reading, unless somebody has begun.
func (b *uploadBody) retire() bool { return b.state.CompareAndSwap(bodyFresh, bodyRetired) }

// again returns what a retired body would have been.
func (b *uploadBody) again() *uploadBody {
	return &uploadBody{src: b.src, left: b.left, stalled: b.stalled, failed: b.failed}
}

var errRetired = errors.New("the request is over")

func (b *uploadBody) Read(p []byte) (int, error) {
	if !b.state.CompareAndSwap(bodyFresh, bodyInUse) && b.state.Load() == bodyRetired {
		return 0, errRetired
	}
	b.stalled.stop()
	n, err := b.src.Read(p)
	if b.left >= 0 {
		b.left -= int64(n)
		if errors.Is(err, io.EOF) && b.left > 0 {
			err = fmt.Errorf("the data ended %d bytes early: %w", b.left, io.ErrUnexpectedEOF)
		}
	}
	switch {
	case err == nil:
		b.stalled.start()
	case err == errGivenUp: // the reason is that of the context
	case !errors.Is(err, io.EOF): // after the end the server may take its time to make the data durable
		b.failed.Store(&err)
	}
	return n, err
}
