package ingest

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/hashes"
)

// A transfer is one Copy. A goroutine reads the body into buffers and hands each to all consumers: one goroutine per
// hash, or one for the two that are made at once, and the store in the caller's. The format inspector and the counting
// run where the body is read, since they look at few bytes. A hand-over never waits: no transfer holds more buffers than
// a channel takes.
type transfer struct {
	req     Request
	lease   *lease
	cancel  context.CancelCauseFunc
	working sync.WaitGroup // the goroutines

	formats   diskformat.Rules
	declared  diskformat.Declaration
	inspector *diskformat.Inspector
	algo      string
	sums      []hash.Hash    // MD5 and the secure one if they are wanted, and that of the signature unless it is the latter
	hashers   []io.Writer    // that fill the sums
	consumers []chan *buffer // of the hashers, and last of the store
	count     int64          // bytes that came
	source    source
}

func newTransfer(in *Ingester, req Request, l *lease, cancel context.CancelCauseFunc) *transfer {
	t := &transfer{
		req:     req,
		lease:   l,
		cancel:  cancel,
		formats: in.formats,
		declared: diskformat.Declaration{DiskFormat: req.DiskFormat, ContainerFormat: req.ContainerFormat,
			Encrypted: req.Encrypted},
		inspector: diskformat.NewInspector(in.formats),
	}
	if !req.NoSums {
		t.algo = in.algo
		t.sums, t.hashers = hashes.WithMD5(in.algo)
	}
	if req.Signature != nil && (req.NoSums || req.Signature.HashAlgo() != in.algo) {
		h := req.Signature.Hash()
		t.sums, t.hashers = append(t.sums, h), append(t.hashers, h)
	}
	t.source.transfer = t
	for range len(t.hashers) + 1 {
		t.consumers = append(t.consumers, make(chan *buffer, ringSize))
	}
	return t
}

// start starts the goroutines. The last of the consumers is left to the caller.
func (t *transfer) start(ctx context.Context) {
	for i, h := range t.hashers {
		t.working.Go(func() {
			for b := range t.consumers[i] {
				if ctx.Err() == nil {
					h.Write(b.data)
				}
				b.release()
			}
		})
	}
	t.working.Go(func() {
		if err := t.read(ctx); err != nil {
			t.cancel(err)
		}
		for _, c := range t.consumers {
			close(c)
		}
	})
}

// stop releases what the store did not take, and waits for the goroutines.
func (t *transfer) stop() {
	t.source.release()
	for b := range t.stored() {
		b.release()
	}
	t.working.Wait()
}

func (t *transfer) stored() chan *buffer { return t.consumers[len(t.consumers)-1] }

// read hands the body to the consumers, up to its end. When ctx ends it interrupts the body.
func (t *transfer) read(ctx context.Context) error {
	if body, ok := t.req.Body.(interface{ SetReadDeadline(time.Time) error }); ok {
		interrupted := make(chan struct{})
		stop := context.AfterFunc(ctx, func() {
			defer close(interrupted)
			_ = body.SetReadDeadline(time.Unix(1, 0)) // else Read returns when it does
		})
		defer func() {
			if !stop() {
				<-interrupted
			}
		}()
	}
	for {
		b, err := t.lease.get(ctx)
		if err != nil {
			return err
		}
		n, readErr, err := t.take(ctx, b.space)
		if err != nil {
			b.giveBack()
			return err
		}
		t.hand(b, n)
		if readErr == io.EOF {
			return nil
		}
	}
}

// take fills p and looks at what came.
func (t *transfer) take(ctx context.Context, p []byte) (n int, readErr, err error) {
	defer contain(&err)
	n, readErr = t.fill(p)
	if ctx.Err() != nil {
		return n, readErr, context.Cause(ctx)
	}
	if err := t.look(p[:n], readErr); err != nil || n == 0 || t.req.Admit == nil {
		return n, readErr, err
	}
	return n, readErr, t.req.Admit(ctx, t.count)
}

// contain makes an error of a panic. The bytes are hostile: if they make the inspector panic, only their transfer fails.
func contain(err *error) {
	if cause := recover(); cause != nil {
		*err = fmt.Errorf("panic while looking at the data: %v\n%s", cause, debug.Stack())
	}
}

// fill reads until p is full or one byte more than allowed has come, so that buffers hold whole blocks.
func (t *transfer) fill(p []byte) (n int, err error) {
	if left := t.limit() - t.count; int64(len(p)) > left {
		p = p[:left+1]
	}
	for empty := 0; n < len(p) && err == nil; {
		var m int
		m, err = t.req.Body.Read(p[n:])
		if n += m; m > 0 {
			empty = 0
		} else if empty++; empty == 100 && err == nil {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

// limit returns the number of bytes that may come.
func (t *transfer) limit() int64 {
	limit := int64(1<<63 - 2)
	if t.req.MaxSize > 0 {
		limit = t.req.MaxSize
	}
	if t.req.Size >= 0 {
		limit = min(limit, t.req.Size)
	}
	return limit
}

// look counts and inspects what came with the read's error, which may be io.EOF.
func (t *transfer) look(p []byte, readErr error) error {
	t.count += int64(len(p))
	switch announced := t.req.Size >= 0; {
	case announced && t.count > t.req.Size:
		return image.Errorf(image.ErrInvalid, "More data came than the %d bytes that were announced", t.req.Size)
	case t.count > t.limit():
		return tooLarge(t.req.MaxSize)
	case readErr != nil && readErr != io.EOF:
		return interrupted(t.count, readErr)
	case announced && readErr == io.EOF && t.count < t.req.Size:
		return image.Errorf(image.ErrInvalid, "Only %d of the %d bytes that were announced came", t.count, t.req.Size)
	}
	t.inspector.Write(p)
	if readErr == io.EOF {
		t.inspector.End()
	}
	if !t.inspector.News() {
		return nil
	}
	return t.checkFormat()
}

// checkFormat judges what is known of the format now.
func (t *transfer) checkFormat() error {
	if err := t.formats.Check(t.declared, t.inspector.Info()); err != nil {
		return image.Errorf(image.ErrUnsupportedContent, "The data cannot be stored as %s: %v", t.req.DiskFormat, err)
	}
	return nil
}

// verify refuses data that was not signed. It is asked when all is hashed.
func (t *transfer) verify() error {
	if t.req.Signature == nil {
		return nil
	}
	return t.req.Signature.Verify(t.sums[len(t.sums)-1].Sum(nil))
}

// hand gives a filled buffer to every consumer.
func (t *transfer) hand(b *buffer, n int) {
	if n == 0 {
		b.giveBack()
		return
	}
	b.data = b.space[:n]
	b.refs.Store(int32(len(t.consumers)))
	for _, c := range t.consumers {
		c <- b
	}
}

// result is asked when all is done.
func (t *transfer) result(loc image.Location) Result {
	found := t.inspector.Info()
	r := Result{Location: loc, Size: t.count, Format: found.Format}
	if !t.req.NoSums {
		r.Checksum, r.HashAlgo, r.HashValue = hex.EncodeToString(t.sums[0].Sum(nil)), t.algo, hex.EncodeToString(t.sums[1].Sum(nil))
	}
	if size, ok := t.declared.VirtualSize(found, t.count); ok {
		r.VirtualSize = &size
	}
	return r
}

func tooLarge(limit int64) error {
	return image.Errorf(image.ErrTooLarge, "The data is larger than the limit of %d bytes", limit)
}

// interrupted turns an error of the body into ours, unless it is one already.
func interrupted(count int64, err error) error {
	if slices.ContainsFunc(image.Errors(), func(ours error) bool { return errors.Is(err, ours) }) {
		return err
	}
	return fmt.Errorf("the data ended after %d bytes: %w: %w", count, image.ErrInterrupted, err)
}
