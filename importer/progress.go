package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/outbound"
)

// tellEvery is how often a transfer says how far it is.
const tellEvery = 2 * time.Second

// progress counts what is read of src, and records that now and then.
func (j *job) progress(ctx context.Context, src io.Reader) io.Reader {
	j.copied = 0
	return &counter{job: j, ctx: ctx, src: src, told: j.now()}
}

type counter struct {
	*job
	ctx  context.Context // of the transfer
	src  io.Reader
	told time.Time
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.src.Read(p)
	c.copied += int64(n)
	if now := c.now(); err == nil && now.Sub(c.told) >= tellEvery {
		c.told = now
		if lost := c.images.Progress(c.ctx, c.task, copied(c.copied)); lost != nil && !errors.Is(lost, image.ErrUnavailable) {
			return n, lost
		}
	}
	return n, err
}

func copied(bytes int64) string { return fmt.Sprintf("Copied %d MiB", bytes>>20) }

// explain returns what a person is told of an error: a text that was written for him, or the name of a domain error, and never
// what an inner error says of paths and machines.
func explain(err error) string {
	if fetch, ok := errors.AsType[*outbound.Error](err); ok {
		return sentence(fetch.Text)
	}
	if quota, ok := errors.AsType[*image.QuotaError](err); ok {
		return sentence(quota.Error())
	}
	if written, ok := errors.AsType[*image.Error](err); ok {
		return sentence(written.Text)
	}
	for _, kind := range image.Errors() {
		if errors.Is(err, kind) {
			return "The import failed: " + kind.Error() + "."
		}
	}
	return "The import failed inside the server. Its log tells more under the id of the task."
}

// sentence ends a text, so that another one may follow.
func sentence(text string) string {
	if text != "" && text[len(text)-1] != '.' {
		return text + "."
	}
	return text
}
