package filestore

import (
	"cmp"
	"context"
	"path"

	"github.com/vitrine-image/vitrine/image"
)

// Delete implements imagestore.Writer. Readers that are open keep the bytes until they close. When it returns nil the
// name does not come back after a power cut, also if another call had removed it.
func (s *Store) Delete(ctx context.Context, loc image.Location) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	d, p, err := s.resolve(loc)
	if err != nil {
		return err
	}
	r, err := s.online(d)
	if err != nil {
		return err
	}
	err = s.remove(r, p)
	if notExist(err) && !s.gone(d, r) {
		return nil
	}
	if err != nil {
		return s.failure(d, r, err)
	}
	return nil
}

// remove removes a file durably. Errors: fs.ErrNotExist when it is not there, durably so.
func (s *Store) remove(r *root, p string) error {
	shard, err := r.sub(path.Dir(p))
	if err != nil {
		return err
	}
	defer shard.Close()
	err = s.step(stepUnlink, func() error { return shard.unlink(path.Base(p)) })
	if err != nil && !notExist(err) {
		return err
	}
	return cmp.Or(s.step(stepSyncShard, shard.sync), err)
}
