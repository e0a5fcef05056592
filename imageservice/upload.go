package imageservice

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// An Upload is the data of one image on its way in.
type Upload struct {
	Body          io.Reader
	ContentLength int64  // bytes that Body will give, -1 when nobody said
	ExpectedSize  int64  // bytes that the client announced beside it, -1 when it did not
	Store         string // id of the store, "" for the default one
}

// Upload stores the data of a queued image and makes it active. When it returns nil, image and bytes survive a power
// cut; when it fails, the image is queued again and the bytes are gone. The record of the reservation comes first, the
// bytes second, and the record that says active last.
// Errors: image.ErrConflict when the image is not queued, image.ErrInvalid for a size that is not the announced one, and
// for a signature that cannot be verified or does not fit, image.ErrTooLarge, image.ErrStoreFull, image.ErrUnsupportedContent,
// image.ErrInterrupted when the body breaks off, image.ErrGone when the image is deleted meanwhile, image.ErrStoreReadOnly,
// image.ErrStoreOffline, image.ErrUnavailable.
func (s *Session) Upload(ctx context.Context, id image.ID, up Upload) (err error) {
	act := onImage(events.Upload, id)
	defer s.record(ctx, act, &err)
	size, err := s.svc.announcedSize(up)
	if err != nil {
		return err
	}
	storeID, store, err := s.svc.target(up.Store)
	if err != nil {
		return err
	}
	act.Bytes, err = s.take(ctx, id, up.Body, intake{rule: policy.UploadImage, status: image.Saving, storeID: storeID, store: store, size: size})
	return err
}

// An intake says where the data of an image goes that a client sends.
type intake struct {
	rule    string       // that allows it
	status  image.Status // of the image meanwhile
	storeID string
	store   imagestore.Writer
	size    int64 // bytes, -1 when nobody said
}

// staging reports whether the data only waits for its import: nobody looks into it before.
func (in intake) staging() bool { return in.storeID == imagestore.Staging }

// take brings the data of a queued image into a store, records it there, and returns how many bytes it is.
func (s *Session) take(ctx context.Context, id image.ID, body io.Reader, in intake) (int64, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	res, img, check, err := s.reserve(ctx, id, in, cancel)
	if err != nil {
		return 0, err
	}
	defer s.svc.forget(res.ID)
	if !in.staging() {
		s.svc.tellData(ctx, events.ImagePrepare, img, in.storeID)
	}
	req := ingest.Request{Body: body, Size: in.size, MaxSize: s.svc.limits.ImageSize,
		Store: in.store, StoreID: in.storeID, Object: objectOf(res), Admit: s.svc.admission(res.ID)}
	req.NoSums = in.staging()
	record := s.svc.recordStaged
	if !in.staging() {
		req.DiskFormat, req.ContainerFormat = img.DiskFormat, img.ContainerFormat
		req.Encrypted, req.Signature = img.Encrypted(), check
		record = s.svc.activate
	}
	result, err := s.svc.ingest.Copy(ctx, req)
	switch {
	case err == nil:
		err = record(ctx, res, result)
	case errors.Is(err, image.ErrConflict):
		err = inTheWay(res, err)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause == errDeleted {
			err = cause
		}
		s.svc.warnOfStore(ctx, res, err)
		return 0, s.svc.abandon(context.WithoutCancel(ctx), res, err)
	}
	s.svc.log.InfoContext(ctx, "image data stored", "image_id", id, "store", in.storeID, "bytes", result.Size)
	return result.Size, nil
}

// objectOf returns what an upload writes.
func objectOf(u image.Upload) imagestore.Object {
	return imagestore.Object{ImageID: u.ImageID, Name: u.Object, Upload: u.ID}
}

// inTheWay explains that the object of a reservation existed. A store that keeps it says so itself.
func inTheWay(res image.Upload, err error) error {
	var written *image.Error
	if errors.As(err, &written) {
		return err
	}
	return fmt.Errorf("%w (%w)", image.Errorf(image.ErrConflict,
		"Store %q still held data of image %s that no record names. It is removed now: upload again.", res.Store, res.ImageID), err)
}

// warnOfStore tells the operator of what he must know.
func (s *Service) warnOfStore(ctx context.Context, res image.Upload, err error) {
	if errors.Is(err, image.ErrStoreFull) || errors.Is(err, image.ErrStoreReadOnly) {
		s.log.WarnContext(ctx, "the store takes no data", "image_id", res.ImageID, "store", res.Store, "error", err)
	}
}

// announcedSize reconciles what the client said of the size, and refuses what is too large before a byte is read.
func (s *Service) announcedSize(up Upload) (int64, error) {
	size := up.ContentLength
	if up.ExpectedSize >= 0 {
		if size >= 0 && size != up.ExpectedSize {
			return 0, image.Errorf(image.ErrInvalid,
				"The announced image size is %d bytes, but the request carries %d", up.ExpectedSize, size)
		}
		size = up.ExpectedSize
	}
	if s.limits.ImageSize > 0 && size > s.limits.ImageSize {
		return 0, &image.QuotaError{Resource: "image_size_cap", Limit: s.limits.ImageSize, Attempted: size}
	}
	return size, nil
}

// target finds the store for new data.
func (s *Service) target(id string) (string, imagestore.Writer, error) {
	if id == "" {
		id = s.stores.Default()
	}
	store, ok := s.stores.Get(id)
	if !ok || imagestore.Reserved(id) {
		return "", nil, image.Errorf(image.ErrInvalid, "There is no store %q", id)
	}
	writer, ok := store.(imagestore.Writer)
	if !ok {
		return "", nil, image.Errorf(image.ErrStoreReadOnly, "Store %q takes no new data", id)
	}
	return id, writer, nil
}

// reserve moves the image out of queued and records where the bytes will go, before one is written. How they are to be verified
// is decided by the image as it is then.
func (s *Session) reserve(ctx context.Context, id image.ID, in intake,
	cancel context.CancelCauseFunc) (res image.Upload, img *image.Image, check *signature.Check, err error) {
	next := image.Upload{ID: rand.Text(), ImageID: id, Store: in.storeID, Instance: s.svc.instance, Bytes: in.size,
		Reserved: min(max(in.size, 0), maxReserved)}
	plain := in.store.Locate(imagestore.Object{ImageID: id, Name: string(id)}) // a disk that is slow must not hold up all writers
	s.svc.remember(next.ID, cancel)                                            // before the record exists, or a sweep could take it for a dead one
	var quota Quota
	err = retry(ctx, func() error {
		seen, err := s.permitted(ctx, id, in.rule)
		if err != nil {
			return err
		}
		if seen.Status != image.Queued {
			return image.Errorf(image.ErrConflict, "Image %s is %s: data can be uploaded only while it is queued", id, seen.Status)
		}
		if check, err = s.svc.signatures.Check(ctx, s.caller.Token, seen.Properties); err != nil {
			return err
		}
		if quota, err = s.svc.quotaOf(ctx, seen.Owner); err != nil {
			return err
		}
		return s.svc.withRoom(ctx, seen.Owner, func() error {
			return s.svc.db.Update(ctx, func(tx metadata.WriteTx) error {
				if img, err = s.unchanged(tx, seen); err != nil {
					return err
				}
				img.UpdatedAt = s.svc.timestamp()
				res, err = beginUpload(tx, img, in, next, plain, quota)
				return err
			})
		})
	})
	switch {
	case err != nil:
		s.svc.forget(next.ID)
	case in.size < 0 && quota.limits(in.storeID):
		s.svc.watchGrowth(res, img.Owner)
	}
	return res, img, check, err
}

// beginUpload records the reservation res if the quota has room for it. plain is where its object would be.
func beginUpload(tx metadata.WriteTx, img *image.Image, in intake, res image.Upload, plain image.Location, quota Quota) (image.Upload, error) {
	if err := img.SetStatus(in.status); err != nil {
		return res, err
	}
	more := usageOf(in.storeID, max(in.size, 0))
	more.Uploading = 1
	if err := quota.admit(tx, img.Owner, more); err != nil {
		return res, err
	}
	res.Number, res.Started = img.Number, img.UpdatedAt
	var err error
	if res.Object, err = objectName(tx, res, plain); err != nil {
		return res, err
	}
	return res, cmp.Or(tx.AddUpload(res), tx.SaveImage(img))
}

// objectName is the image's id, unless an object of that name still waits for its removal. plain is where it would be.
func objectName(tx metadata.Tx, res image.Upload, plain image.Location) (string, error) {
	name := string(res.ImageID)
	taken, err := tx.LocationExists(res.Store, plain.URL)
	for after := int64(0); err == nil && !taken; { // garbage of this image may lie in a directory that is away
		var page []image.Garbage
		page, err = tx.Garbage(after, garbagePage)
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].ID
		taken = slices.ContainsFunc(page, func(g image.Garbage) bool { return g.Number == res.Number && g.Location.Store == res.Store })
	}
	if err != nil || !taken {
		return name, err
	}
	return name + "." + res.ID[:8], nil
}

func (s *Service) remember(upload string, cancel context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads[upload] = cancel
}

func (s *Service) forget(upload string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.uploads, upload)
	delete(s.growths, upload)
}

func (s *Service) running(upload string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uploads[upload] != nil
}

// activate records that the bytes are there. The store made them durable before.
func (s *Service) activate(ctx context.Context, res image.Upload, result ingest.Result) error {
	var done trace
	err := s.db.Update(ctx, func(tx metadata.WriteTx) error {
		img, err := reservedImage(tx, res)
		if err != nil {
			return err
		}
		before := img.Status
		if err := img.SetStatus(image.Active); err != nil {
			return err
		}
		img.Size, img.VirtualSize = &result.Size, result.VirtualSize
		img.Checksum, img.HashAlgo, img.HashValue = result.Checksum, result.HashAlgo, result.HashValue
		img.Locations = []image.Location{result.Location}
		img.UpdatedAt = s.timestamp()
		if err := tx.RemoveUpload(res.ID); err != nil {
			return err
		}
		return done.save(tx, img, before)
	})
	if err == nil {
		s.follow(ctx, done)
		s.tellData(ctx, events.ImageUpload, done.img, res.Store)
		s.tellImage(ctx, events.ImageActivate, done.img)
	}
	return err
}

// errTakenOver is told when another instance took this one for dead while it was uploading, and removed what there was.
var errTakenOver = image.Errorf(image.ErrConflict, "The upload was given up while this server did not answer. Upload the data again.")

// abandonTimeout bounds the cleaning up after a failed upload; what it does not reach is the sweep's.
const abandonTimeout = 30 * time.Second

// abandon ends a reservation whose upload failed with err, and returns what the client is told. If the database cannot
// be asked now, nobody knows whether the image became active, so the bytes stay until a sweep can tell.
func (s *Service) abandon(ctx context.Context, res image.Upload, err error) error {
	ctx, stop := context.WithTimeout(ctx, abandonTimeout)
	defer stop()
	if cleanup := s.settle(ctx, res, err); cleanup != nil {
		s.log.WarnContext(ctx, "a failed upload is left to the sweep", "image_id", res.ImageID, "store", res.Store, "error", cleanup)
		s.forget(res.ID) // it runs no more: the sweep that is woken may have it
		s.wakeSweep(res.Store)
	}
	return err
}
