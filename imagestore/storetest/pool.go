package storetest

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// A Pool is a store in memory in which others keep data, too, as in a pool of Ceph. Besides Store and Writer it is an Adopter, and
// Cloneable. A location is pool://<object>.
type Pool struct {
	id string

	mu     sync.Mutex
	pieces map[string]piece
	clones map[string]string
}

// A piece is the data of an object.
type piece struct{ data, version string }

const poolScheme = "pool"

// NewPool returns the store with that id, which holds nothing.
func NewPool(id string) *Pool {
	return &Pool{id: id, pieces: make(map[string]piece), clones: make(map[string]string)}
}

// Publish puts data there as somebody else does, and returns its URL.
func (p *Pool) Publish(name, data string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	url := poolScheme + "://" + name
	p.pieces[url] = piece{data, "another's"}
	return url
}

// Clone makes something of that name that is built on the data at a URL.
func (p *Pool) Clone(url, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clones[url] = name
}

// URLs returns where there is data, in order.
func (p *Pool) URLs() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.pieces))
}

// at returns what a location is about: whatever has the name, if it has no version.
func (p *Pool) at(loc image.Location) (piece, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.pieces[loc.URL]
	version := loc.Metadata[image.MetadataVersion]
	if !ok || loc.Store != p.id || version != "" && version != found.version {
		return found, fmt.Errorf("store %s: %w", p.id, image.ErrDataMissing)
	}
	return found, nil
}

// Open implements imagestore.Store.
func (p *Pool) Open(ctx context.Context, loc image.Location) (imagestore.Reader, error) {
	found, err := p.at(loc)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	return memory{strings.NewReader(found.data)}, nil
}

// memory is a Reader.
type memory struct{ *strings.Reader }

func (m memory) ReadAt(ctx context.Context, b []byte, off int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.Reader.ReadAt(b, off)
	if n == len(b) {
		err = nil
	}
	return n, err
}

func (m memory) Close() error { return nil }

// Put implements imagestore.Writer.
func (p *Pool) Put(ctx context.Context, obj imagestore.Object, src imagestore.Source) (image.Location, error) {
	var data strings.Builder
	for {
		b, err := src.Next(ctx)
		data.Write(b)
		if err == nil {
			err = ctx.Err()
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return image.Location{}, err
		}
	}
	if n := src.Size(); n >= 0 && n != int64(data.Len()) {
		return image.Location{}, fmt.Errorf("store %s: %d bytes came: %w", p.id, data.Len(), image.ErrInvalid)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	loc := p.Locate(obj)
	if _, taken := p.pieces[loc.URL]; taken {
		return image.Location{}, image.Errorf(image.ErrConflict, "Store %q holds other data under that name, and keeps it.", p.id)
	}
	p.pieces[loc.URL] = piece{data.String(), obj.Upload}
	return loc, nil
}

// Delete implements imagestore.Writer.
func (p *Pool) Delete(_ context.Context, loc image.Location) error {
	if !strings.HasPrefix(loc.URL, poolScheme+"://") {
		return fmt.Errorf("store %s: %w", p.id, image.ErrDataMissing)
	}
	if _, err := p.at(loc); err == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.pieces, loc.URL)
	}
	return nil
}

// Locate implements imagestore.Writer.
func (p *Pool) Locate(obj imagestore.Object) image.Location {
	return image.Location{Store: p.id, URL: poolScheme + "://" + obj.Name, Metadata: map[string]string{image.MetadataVersion: obj.Upload}}
}

// Clones implements imagestore.Cloneable.
func (p *Pool) Clones(_ context.Context, loc image.Location) (names []string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name := p.clones[loc.URL]; name != "" {
		names = append(names, name)
	}
	return names, nil
}

// Schemes implements imagestore.Adopter.
func (p *Pool) Schemes() []string { return []string{poolScheme} }

// CheckURL implements imagestore.Adopter.
func (p *Pool) CheckURL(context.Context, string) error { return nil }

// Adopt implements imagestore.Adopter.
func (p *Pool) Adopt(_ context.Context, url string) (image.Location, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, ok := p.pieces[url]
	if !ok {
		return image.Location{}, fmt.Errorf("store %s: %w", p.id, image.ErrDataMissing)
	}
	return image.Location{Store: p.id, URL: url, Metadata: map[string]string{image.MetadataVersion: found.version}}, nil
}
