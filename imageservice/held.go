package imageservice

import (
	"context"
	"os"
	"sync"

	"github.com/vitrine-image/vitrine/imagestore"
)

// hold wraps r so that release is called once after Close, and keeps what r can do beyond reading.
func hold(r imagestore.Reader, release func()) imagestore.Reader {
	h := &held{Reader: r, release: release}
	file, isFile := r.(imagestore.FileReader)
	extents, hasExtents := r.(imagestore.ExtentReader)
	lending, lends := r.(imagestore.LendingReader)
	switch {
	case isFile && hasExtents:
		return struct {
			*held
			filer
			extenter
		}{h, file, extents}
	case isFile:
		return struct {
			*held
			filer
		}{h, file}
	case hasExtents && lends:
		return struct {
			*held
			extenter
			lender
		}{h, extents, lending}
	case hasExtents:
		return struct {
			*held
			extenter
		}{h, extents}
	}
	return h
}

type held struct {
	imagestore.Reader
	once    sync.Once
	release func()
}

// Close closes the data and ends the hold.
func (h *held) Close() error {
	err := h.Reader.Close()
	h.once.Do(h.release)
	return err
}

// filer, extenter and lender narrow the optional interfaces to what they add, so that embedding them is not ambiguous.
type (
	filer    interface{ File() *os.File }
	extenter interface {
		Extents(ctx context.Context, off, n int64) ([]imagestore.Extent, error)
	}
	lender interface {
		Lend(ctx context.Context, n int, off int64) ([]byte, func())
	}
)
