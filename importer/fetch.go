package importer

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/outbound"
)

// fetch brings what the plan's URL has into the first store that takes it, or into the staging area if something is to be done
// with it before. Unless it is staged, the other stores get it from that one.
func (j *job) fetch(ctx context.Context) error {
	img, err := j.image(ctx)
	if err != nil || slices.ContainsFunc(j.plan.Stores, img.Has) {
		return err
	}
	for _, store := range j.plan.Stores {
		if slices.Contains(j.plan.Failed, store) {
			continue
		}
		err := j.fetchInto(ctx, store)
		failed, ok := errors.AsType[*storeError](err)
		if !ok {
			return err
		}
		if err := j.goOnWithout(ctx, failed); err != nil {
			return err
		}
	}
	return nil
}

// ofData are the errors of the data and of where it comes from: no other store would take it.
var ofData = []error{outbound.ErrFetch, image.ErrInterrupted, image.ErrInvalid, image.ErrTooLarge, image.ErrUnsupportedContent, image.ErrCorrupt}

// fetchInto brings the data into a store, or into the staging area. Errors: *storeError when another store may take it.
func (j *job) fetchInto(ctx context.Context, store string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	body, size, err := j.openSource(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	img, err := j.image(ctx)
	if err != nil {
		return err
	}
	change, data := j.changes(img, body)
	req := ingest.Request{Body: interruptible{j.progress(ctx, data), cancel}, Size: size}
	if change {
		return j.images.Receive(ctx, j.task, j.plan, imagestore.Staging, req)
	}
	j.inject()
	req.DiskFormat, req.ContainerFormat = img.DiskFormat, img.ContainerFormat
	err = j.images.Receive(ctx, j.task, j.plan, store, req)
	if err == nil || slices.ContainsFunc(ofData, func(kind error) bool { return errors.Is(err, kind) }) {
		return err
	}
	return &storeError{store, err}
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
	if j.plan.Missing != "" {
		return nil, 0, image.Errorf(image.ErrInvalid, "%s", j.plan.Missing)
	}
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
			j.plan.AddProperty(name, value)
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
