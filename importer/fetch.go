package importer

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/outbound"
)

// fetch brings what the plan's URL has into a store. The format counts if the store is not the staging area.
func (j *job) fetch(ctx context.Context, store string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, size, err := j.openSource(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	req := ingest.Request{Body: interruptible{j.progress(ctx, body), cancel}, Size: size}
	if store != imagestore.Staging {
		img, err := j.image(ctx)
		if err != nil {
			return err
		}
		req.DiskFormat, req.ContainerFormat = img.DiskFormat, img.ContainerFormat
	}
	return j.images.Receive(ctx, j.task, j.plan, store, req)
}

// openSource opens the data, whose size may be -1.
func (j *job) openSource(ctx context.Context) (io.ReadCloser, int64, error) {
	if j.plan.Method == image.ImportDownload {
		return j.openRemote(ctx)
	}
	if j.outgoing == nil {
		return nil, 0, image.Errorf(image.ErrInvalid, "This server fetches no URLs any more.")
	}
	resp, err := j.outgoing.Open(ctx, outbound.Request{URL: j.plan.URL, MaxBytes: j.maxSize})
	if err != nil {
		return nil, 0, err
	}
	return resp.Body, resp.Size, nil
}

// takenAlong are the properties, or the beginnings of their names, that come with an image of another region.
var takenAlong = []string{"hw_", "trait:", "os_distro", "os_secure_boot", "os_type"}

// openRemote opens the data of an image in another region, and plans to take its formats and properties along.
func (j *job) openRemote(ctx context.Context) (io.ReadCloser, int64, error) {
	token := j.images.TaskToken(j.task)
	if j.remote == nil || token == "" {
		return nil, 0, image.Errorf(image.ErrUnauthorized, "The token of who asked is not known any more, since the server was started anew. Ask again.")
	}
	img, data, size, err := j.remote.Download(ctx, j.plan.URL, token, j.plan.Source)
	if err != nil {
		return nil, 0, err
	}
	if img.Status != image.Active {
		data.Close()
		return nil, 0, image.Errorf(image.ErrConflict, "Image %s of the other region is %s and not active.", img.ID, img.Status)
	}
	j.plan.DiskFormat, j.plan.ContainerFormat = img.DiskFormat, img.ContainerFormat
	for name, value := range img.Properties {
		if slices.ContainsFunc(takenAlong, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
			j.addProperty(name, value)
		}
	}
	return data, size, nil
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
