package importer

import (
	"context"
	"io"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/outbound"
)

// fetch brings what the plan's URL has into a store; req says the rest.
func (j *job) fetch(ctx context.Context, store string, req ingest.Request) error {
	if j.outgoing == nil {
		return image.Errorf(image.ErrInvalid, "This server fetches no URLs any more.")
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	resp, err := j.outgoing.Open(ctx, outbound.Request{URL: j.plan.URL, MaxBytes: j.maxSize})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	req.Body, req.Size = interruptible{j.progress(ctx, resp.Body), cancel}, resp.Size
	return j.images.Receive(ctx, j.task, j.plan, store, req)
}

// interruptible is a body whose Read ends when the transfer gives up.
type interruptible struct {
	io.Reader
	cancel context.CancelFunc
}

// SetReadDeadline ends the Read under way, and all others.
func (b interruptible) SetReadDeadline(time.Time) error {
	b.cancel()
	return nil
}
