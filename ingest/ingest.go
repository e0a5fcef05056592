// Package ingest brings one stream of bytes into a store, in a single pass: it counts them against the limits, looks at
// their format, makes the hashes, verifies the signature and stores them, all at the same time and out of the same
// buffers. Uploads and imports use it alike. Start reading at Ingester.Copy; transfer has the goroutines.
package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/hashes"
	"github.com/vitrine-image/vitrine/internal/signature"
)

// A Config says how an Ingester works.
type Config struct {
	HashAlgo string           // that fills os_hash_value, "" for image.DefaultHashAlgo; one that hashes knows
	Budget   int64            // bytes of memory for the buffers of all transfers, 0 for DefaultBudget
	Formats  diskformat.Rules // what content is acceptable
	// Stored, unless nil, is told of all data that was stored, with the id of the store.
	Stored func(store string, bytes int64)
}

// DefaultBudget lets twelve transfers run at full speed, and 192 at all, those into one store up to ten and 168.
const DefaultBudget = 48 << 20

// An Ingester runs transfers that share one budget of memory. It is safe for concurrent use.
type Ingester struct {
	pool    *pool
	algo    string
	formats diskformat.Rules
	stored  func(store string, bytes int64)
}

// A Request is one stream and where it goes.
type Request struct {
	// Body gives the bytes; Copy reads it to its end. When the transfer fails while a Read is waiting, Copy can only
	// return at once if Body has the method SetReadDeadline(time.Time) error, which it calls with a time in the past;
	// else it waits until Read returns.
	Body    io.Reader
	Size    int64 // bytes that Body must give, -1 for any number
	MaxSize int64 // bytes that it may give, 0 for any number
	// Admit, unless nil, is asked before bytes are taken beyond those of the call before: whether there may be so many in all.
	Admit func(ctx context.Context, bytes int64) error
	File  *os.File // if not nil, holds just the bytes that Body gives: the store may clone it
	Spare bool     // nobody needs the file any more: the store may have it as it is

	NoSums bool // the data only waits for another Copy: no hashes are made

	Store           imagestore.Writer
	StoreID         string // of Store: when it hangs, other stores have what its transfers leave of the memory
	Object          imagestore.Object
	DiskFormat      string // as declared
	ContainerFormat string
	Encrypted       bool // raw data may be a LUKS volume, whose key is kept elsewhere

	Signature *signature.Check // that the data must have, nil for none
}

// A Result is what is known of data that was stored.
type Result struct {
	Location    image.Location
	Size        int64
	Checksum    string // MD5, in hex; without sums it is "", as the next two are
	HashAlgo    string
	HashValue   string // in hex
	Format      string // detected: "raw" for what nothing else is known of
	VirtualSize *int64 // bytes that a guest sees, nil when nothing tells
}

// New checks the configuration and reserves the memory.
func New(cfg Config) (*Ingester, error) {
	algo := cmp.Or(cfg.HashAlgo, image.DefaultHashAlgo)
	if err := hashes.Check(algo); err != nil {
		return nil, err
	}
	if cfg.Budget < 0 {
		return nil, fmt.Errorf("ingest: a budget of %d bytes", cfg.Budget)
	}
	if err := cfg.Formats.Validate(); err != nil {
		return nil, err
	}
	p, err := newPool(cmp.Or(cfg.Budget, DefaultBudget))
	if err != nil {
		return nil, err
	}
	stored := cfg.Stored
	if stored == nil {
		stored = func(string, int64) {}
	}
	return &Ingester{pool: p, algo: algo, formats: cfg.Formats, stored: stored}, nil
}

// HashAlgo returns the algorithm that fills os_hash_value.
func (in *Ingester) HashAlgo() string { return in.algo }

// Copy stores all of req.Body. When it returns nil the bytes survive a power cut; when it fails nothing of them is left,
// and none of its goroutines either. When ctx ends, the error is its cause. A panic over the bytes is an error.
// Errors: image.ErrTooLarge; image.ErrInvalid for more or fewer bytes than announced, and for others than were signed;
// image.ErrInterrupted when Body breaks (its own error if that is one of ours); image.ErrUnsupportedContent for the wrong
// format or for content that is unsafe, as soon as its bytes tell; those of Put.
func (in *Ingester) Copy(ctx context.Context, req Request) (Result, error) {
	if req.MaxSize > 0 && req.Size > req.MaxSize {
		return Result{}, tooLarge(req.MaxSize)
	}
	lease, err := in.pool.enter(ctx, req.StoreID)
	if err != nil {
		return Result{}, context.Cause(ctx)
	}
	defer lease.leave()
	ctx, cancel := context.WithCancelCause(ctx)
	t := newTransfer(in, req, lease, cancel)
	t.start(ctx)
	defer t.stop()
	defer cancel(nil) // first, also when the store panics
	loc, err := req.Store.Put(ctx, req.Object, t.asSource())
	if err == nil && !t.source.ended {
		err = errors.New("the store did not take all of the data")
	}
	if err != nil {
		cancel(err) // unless there was a cause before, of which err is a consequence
		return Result{}, context.Cause(ctx)
	}
	result := t.result(loc)
	in.stored(req.StoreID, result.Size)
	return result, nil
}
