package ingest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/faultstore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
)

// Many more transfers than buffers all come to their end.
func TestManyTransfers(t *testing.T) {
	store, in := newStore(t), newIngester(t, Config{Budget: 1})
	var transfers sync.WaitGroup
	for i := range 100 {
		transfers.Go(func() {
			data := storetest.Random(600_000 + i)
			got, err := in.Copy(t.Context(), upload(store, bytes.NewReader(data)))
			if err != nil {
				t.Errorf("Copy = %v", err)
				return
			}
			checkStored(t, store, got.Location, data)
		})
	}
	transfers.Wait()
	checkAllFree(t, in.pool)
}

// Clients that stop sending hold no more than their share: others go on beside them.
func TestStalledClients(t *testing.T) {
	store, in := newStore(t), newIngester(t, Config{Budget: 1})
	resume := make(chan struct{})
	var stalled, reading sync.WaitGroup
	for range ofRing - 1 {
		reading.Add(1)
		once := sync.OnceFunc(reading.Done)
		body := io.MultiReader(bytes.NewReader(make([]byte, 3*bufferSize)), bodyFunc(func([]byte) (int, error) {
			once()
			<-resume
			return 0, io.EOF
		}))
		stalled.Go(func() {
			if _, err := in.Copy(t.Context(), upload(store, body)); err != nil {
				t.Errorf("Copy of a stalled client = %v", err)
			}
		})
	}
	reading.Wait()
	data := storetest.Random(10 << 20)
	got, err := in.Copy(t.Context(), upload(store, bytes.NewReader(data)))
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, store, got.Location, data)
	close(resume)
	stalled.Wait()
}

// A store that hangs keeps what it has, and transfers into another one go on: as many uploads to it as there may be, each
// with all the buffers it gets.
func TestAStoreThatHangs(t *testing.T) {
	store, in := newStore(t), newIngester(t, Config{Budget: 2 * ringSize * bufferSize})
	resume, stuck := make(chan struct{}), make(chan struct{}, 3*ringSize)
	var hanging sync.WaitGroup
	for range cap(stuck) { // more than begin
		hanging.Go(func() {
			req := upload(putFunc{store, func(context.Context, imagestore.Source) error {
				stuck <- struct{}{}
				<-resume
				return faultstore.ErrFault
			}}, endless{})
			req.StoreID = "hangs"
			if _, err := in.Copy(t.Context(), req); err != faultstore.ErrFault {
				t.Errorf("Copy into a store that hangs = %v", err)
			}
		})
	}
	for range part(in.pool.total) {
		<-stuck
	}
	data := storetest.Random(10 << 20)
	req := upload(store, bytes.NewReader(data))
	req.StoreID = "works"
	got, err := in.Copy(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	checkStored(t, store, got.Location, data)
	close(resume)
	hanging.Wait()
	checkAllFree(t, in.pool)
}

// putFunc is a store that does what it likes with a source.
type putFunc struct {
	imagestore.Writer
	put func(context.Context, imagestore.Source) error
}

func (s putFunc) Put(ctx context.Context, _ imagestore.Object, src imagestore.Source) (image.Location, error) {
	return image.Location{}, s.put(ctx, src)
}

func TestFailingStores(t *testing.T) {
	full := errors.New("full")
	for name, put := range map[string]func(context.Context, imagestore.Source) error{
		"at once": func(context.Context, imagestore.Source) error { return full },
		"after some": func(ctx context.Context, src imagestore.Source) error {
			for range 20 {
				if _, err := src.Next(ctx); err != nil {
					return err
				}
			}
			return full
		},
		"at the end": func(ctx context.Context, src imagestore.Source) error {
			for {
				if _, err := src.Next(ctx); err == io.EOF {
					return full
				} else if err != nil {
					return err
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			store, in := newStore(t), newIngester(t, Config{})
			req := upload(putFunc{store, put}, bytes.NewReader(storetest.Random(30*bufferSize)))
			if _, err := in.Copy(t.Context(), req); err != full {
				t.Errorf("Copy = %v, want %v", err, full)
			}
			checkNothingLeft(t, in, store)
		})
	}
}

// A store that is content with a part of the data is not believed.
func TestStoreThatTakesAPart(t *testing.T) {
	store, in := newStore(t), newIngester(t, Config{})
	req := upload(putFunc{store, func(ctx context.Context, src imagestore.Source) error {
		_, err := src.Next(ctx)
		return err
	}}, bytes.NewReader(storetest.Random(3*bufferSize)))
	if _, err := in.Copy(t.Context(), req); err == nil {
		t.Error("Copy succeeds")
	}
	checkNothingLeft(t, in, store)
}

// A panic over the bytes fails their transfer alone, and one of a store leaves neither goroutines nor buffers behind.
func TestPanics(t *testing.T) {
	store, in := newStore(t), newIngester(t, Config{})
	body := io.MultiReader(bytes.NewReader(storetest.Random(3*bufferSize)), bodyFunc(func([]byte) (int, error) { panic("hostile bytes") }))
	if _, err := in.Copy(t.Context(), upload(store, body)); err == nil || !strings.Contains(err.Error(), "hostile bytes") {
		t.Errorf("Copy = %v, want the panic", err)
	}
	checkNothingLeft(t, in, store)
	judging := newTransfer(in, Request{}, nil, nil)
	judging.inspector = nil // any use of it panics
	if _, err := judging.header([]byte("hostile"), 7); err == nil || !strings.Contains(err.Error(), "panic while looking at the data") {
		t.Errorf("header = %v, want the panic", err)
	}
	func() {
		defer func() {
			if got := recover(); got != "store" {
				t.Errorf("recovered %v, want the store's panic", got)
			}
		}()
		bad := putFunc{store, func(ctx context.Context, src imagestore.Source) error {
			if _, err := src.Next(ctx); err != nil {
				return err
			}
			panic("store")
		}}
		in.Copy(t.Context(), upload(bad, endless{}))
	}()
	checkNothingLeft(t, in, store)
}

func TestFaultyStore(t *testing.T) {
	for _, when := range []faultstore.When{faultstore.Before, faultstore.After} {
		store, in := newStore(t), newIngester(t, Config{})
		req := upload(faultstore.New(store, 1, when), bytes.NewReader(storetest.Random(30*bufferSize)))
		if _, err := in.Copy(t.Context(), req); err != faultstore.ErrFault {
			t.Errorf("Copy = %v, want %v", err, faultstore.ErrFault)
		}
		if err := store.Delete(t.Context(), store.Locate(req.Object)); err != nil {
			t.Error(err)
		}
		checkNothingLeft(t, in, store)
	}
}

func TestCancelled(t *testing.T) {
	stop := errors.New("stop")
	for _, after := range []int{0, 1, 20} { // reads of the body
		store, in := newStore(t), newIngester(t, Config{})
		ctx, cancel := context.WithCancelCause(t.Context())
		if after == 0 {
			cancel(stop)
		}
		reads := 0
		body := bodyFunc(func(p []byte) (int, error) {
			if reads++; reads == after {
				cancel(stop)
			}
			return len(p), nil
		})
		if _, err := in.Copy(ctx, upload(store, body)); err != stop {
			t.Errorf("Copy cancelled at read %d = %v, want %v", after, err, stop)
		}
		checkNothingLeft(t, in, store)
		cancel(nil)
	}
}

// A store is shown the file of a request that has one, and of no other.
func TestFileSource(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "staged"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	store, in := newStore(t), newIngester(t, Config{})
	for _, want := range []*os.File{f, nil} {
		var got *os.File
		req := upload(putFunc{store, func(ctx context.Context, src imagestore.Source) error {
			if fs, ok := src.(imagestore.FileSource); ok {
				got = fs.File()
			}
			_, err := src.Next(ctx)
			if err == io.EOF {
				return nil
			}
			return err
		}}, f)
		req.File = want
		if _, err := in.Copy(t.Context(), req); err != nil || got != want {
			t.Errorf("Copy = %v, shows the file %v, want %v", err, got, want)
		}
	}
}
