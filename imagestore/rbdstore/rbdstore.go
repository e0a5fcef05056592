//go:build ceph

package rbdstore

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/rbd"
)

// DefaultObjectSize is how many bytes of an image Ceph keeps in one object, unless configured otherwise.
const DefaultObjectSize = 8 << 20

// snapshot is the name that Nova and Cinder know.
const snapshot = "snap"

// A Config says where a store is.
type Config struct {
	ID      string // of the store
	Pool    string
	User    string        // such as images, for client.images
	Conf    string        // Ceph's configuration file; "" looks where Ceph does
	Keyring string        // the file with the user's key; "" for where the configuration file says
	Timeout time.Duration // after which a cluster that gives no answer is away; 0 means 30 s

	// FSID is the cluster that the store was in when it was used before, "" if it never was. Another one is refused.
	FSID string
	// SaveFSID is called with the id of the cluster when the store reaches one for the first time, before it writes anything; the
	// store is offline while that fails. nil keeps the id nowhere.
	SaveFSID   func(ctx context.Context, fsid string) error
	ObjectSize int64 // bytes, a power of two from 4 KiB to 32 MiB; 0 means DefaultObjectSize
	// TrashInUse lets Delete succeed for an image with clones: it goes to the pool's trash until they are gone.
	TrashInUse bool
	// ClonePools are the pools in which Clone may make volumes.
	ClonePools []string
	Logger     *slog.Logger // nil discards
}

// A Store keeps data in a pool. Besides Store and Writer it is Measured, an Auditor, a Cloner, Described and Recurrent.
type Store struct {
	id         string
	user       string
	name       string // of the pool
	objectSize int64
	trashInUse bool
	clonePools []string
	save       func(ctx context.Context, fsid string) error
	log        *slog.Logger
	cluster    *rbd.Cluster
	pool       *rbd.Pool
	images     cache
	unfinished atomic.Bool  // images of uploads may lie in the pool
	unnoticed  atomic.Bool  // the user may only read, so images are opened without a watch
	ahead      *blockMemory // of what readers read ahead

	sweeping sync.Mutex           // held by the sweep
	suspects map[string]time.Time // what it may not remove yet, by when it was found: see isLeft and sweepClones

	mu       sync.Mutex
	fsid     string // "" while unknown
	compared bool   // with that of the cluster
}

// Open returns the store. It does not connect: a cluster that is away is waited for by each call, and Check tells what
// is wrong.
func Open(cfg Config) (*Store, error) {
	size := cmp.Or(cfg.ObjectSize, DefaultObjectSize)
	if cfg.ID == "" || cfg.Pool == "" || cfg.User == "" {
		return nil, errors.New("rbdstore: a store needs an id, a pool and a user")
	}
	if size < 4<<10 || size > 32<<20 || bits.OnesCount64(uint64(size)) != 1 {
		return nil, fmt.Errorf("rbdstore: store %s: objects of %d bytes: must be a power of two from 4 KiB to 32 MiB", cfg.ID, size)
	}
	cluster, err := rbd.New(rbd.Config{Conf: cfg.Conf, User: cfg.User, Keyring: cfg.Keyring, Timeout: cfg.Timeout})
	if err != nil {
		return nil, fmt.Errorf("rbdstore: store %s: %w", cfg.ID, err)
	}
	ahead, err := newBlockMemory(aheadBlocks)
	if err != nil {
		return nil, fmt.Errorf("rbdstore: store %s: %w", cfg.ID, err)
	}
	return &Store{
		id:         cfg.ID,
		user:       cfg.User,
		name:       cfg.Pool,
		objectSize: size,
		trashInUse: cfg.TrashInUse,
		clonePools: cfg.ClonePools,
		save:       cfg.SaveFSID,
		log:        cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)).With("store", cfg.ID),
		cluster:    cluster,
		pool:       cluster.Pool(cfg.Pool),
		images:     cache{named: map[string]*opened{}, all: map[*opened]bool{}},
		ahead:      ahead,
		fsid:       cfg.FSID,
	}, nil
}

// Close lets go of all images and of the cluster. Readers that are open read nothing any more.
func (s *Store) Close() error {
	s.images.close()
	s.cluster.Close()
	return nil
}

// Check reaches the cluster and returns its id, which Open wants the next time. Errors: image.ErrStoreOffline, with the
// reason.
func (s *Store) Check(ctx context.Context) (fsid string, err error) {
	if fsid, err = s.identity(ctx); err != nil {
		return "", err
	}
	for _, pool := range append([]string{s.name}, s.clonePools...) {
		if _, err := s.cluster.Pool(pool).List(ctx); err != nil {
			return "", s.failure(err)
		}
	}
	return fsid, nil
}

// identity returns the id of the cluster, once that is known to be the store's.
func (s *Store) identity(ctx context.Context) (string, error) {
	s.mu.Lock()
	known, compared := s.fsid, s.compared
	s.mu.Unlock()
	if compared {
		return known, nil
	}
	fsid, err := s.cluster.FSID(ctx)
	if err != nil {
		return "", s.failure(err)
	}
	if known != "" && fsid != known {
		return "", fmt.Errorf("store %s: the cluster is %s, and the data lies in %s: %w", s.id, fsid, known, image.ErrStoreOffline)
	}
	if known == "" && s.save != nil {
		if err := s.save(ctx, fsid); err != nil {
			return "", fmt.Errorf("store %s: %w: remember its cluster: %w", s.id, image.ErrStoreOffline, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fsid, s.compared = fsid, true
	return fsid, nil
}

// Properties implements imagestore.Described, in the words of Glance. The fsid is left out while the cluster was never reached.
func (s *Store) Properties() map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := map[string]any{"pool": s.name, "chunk_size": s.objectSize, "thin_provisioning": true}
	if s.fsid != "" {
		p["fsid"] = s.fsid
	}
	return p
}
