package storetest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

func testConflict(t *testing.T, s suite) {
	data := Random(1000)
	obj, loc := s.put(t, data)
	if _, err := s.Put(t.Context(), obj, NewSource([]byte("other"), 10)); !errors.Is(err, image.ErrConflict) {
		t.Errorf("second Put = %v, want %v", err, image.ErrConflict)
	}
	s.check(t, loc, data)
}

func testConcurrentConflict(t *testing.T, s suite) {
	obj := NewObject()
	var puts sync.WaitGroup
	var won atomic.Int32
	var winner atomic.Pointer[[]byte]
	for i := range 8 {
		puts.Go(func() {
			data := Random(100_000 + i)
			_, err := s.Put(t.Context(), obj, NewSource(data, 1000))
			if err == nil {
				won.Add(1)
				winner.Store(&data)
			} else if !errors.Is(err, image.ErrConflict) {
				t.Errorf("Put = %v, want %v", err, image.ErrConflict)
			}
		})
	}
	puts.Wait()
	if won.Load() != 1 {
		t.Fatalf("%d of the Puts succeeded, want 1", won.Load())
	}
	s.check(t, s.Locate(obj), *winner.Load())
}

func testConcurrentPuts(t *testing.T, s suite) {
	var puts sync.WaitGroup
	for i := range 8 {
		puts.Go(func() {
			data := Random(200_000 + i)
			loc, err := s.Put(t.Context(), NewObject(), NewSource(data, 7000))
			if err != nil {
				t.Errorf("Put = %v", err)
				return
			}
			s.check(t, loc, data)
		})
	}
	puts.Wait()
}

func testBrokenSource(t *testing.T, s suite) {
	broken := errors.New("the source broke")
	for _, announced := range []int64{-1, 1 << 20} {
		for _, came := range []int{0, 1, 300_000} {
			obj := NewObject()
			src := NewSource(Random(came), 50_000)
			src.Announced, src.Err = announced, broken
			if _, err := s.Put(t.Context(), obj, src); err != broken {
				t.Errorf("Put = %v, want the source's own error", err)
			}
			s.checkNothing(t, obj)
			s.remove(t, obj)
		}
	}
}

func testWrongSize(t *testing.T, s suite) {
	for _, announced := range []int64{0, 99_999, 100_001} {
		obj := NewObject()
		src := NewSource(Random(100_000), 50_000)
		src.Announced = announced
		if _, err := s.Put(t.Context(), obj, src); err == nil {
			t.Errorf("Put of 100000 bytes announced as %d succeeds", announced)
		}
		s.checkNothing(t, obj)
		s.remove(t, obj)
	}
}

func testCancelledPut(t *testing.T, s suite) {
	for chunks := range 4 { // that come before the context ends; the fourth is the end of the source
		obj := NewObject()
		ctx, cancel := context.WithCancel(t.Context())
		if chunks == 0 {
			cancel()
		}
		src := NewSource(Random(100_000), 50_000)
		calls := 0
		src.Before = func() {
			if calls++; calls == chunks {
				cancel()
			}
		}
		if _, err := s.Put(ctx, obj, src); !errors.Is(err, context.Canceled) {
			t.Errorf("Put = %v, want %v", err, context.Canceled)
		}
		cancel()
		s.checkNothing(t, obj)
		s.remove(t, obj)
	}
}

// remove deletes an object, so that an audit finds nothing afterwards.
func (s suite) remove(t *testing.T, obj imagestore.Object) {
	t.Helper()
	if err := s.Delete(t.Context(), s.Locate(obj)); err != nil {
		t.Fatalf("Delete = %v", err)
	}
}

func testDelete(t *testing.T, s suite) {
	obj, loc := s.put(t, Random(1000))
	_, other := s.put(t, Random(2000))
	for _, when := range []string{"present", "gone"} {
		if err := s.Delete(t.Context(), loc); err != nil {
			t.Errorf("Delete of what is %s = %v", when, err)
		}
	}
	s.check(t, other, Random(2000))
	if err := s.Delete(t.Context(), s.Locate(NewObject())); err != nil {
		t.Errorf("Delete of what never was = %v", err)
	}
	s.remove(t, imagestore.Object{ImageID: obj.ImageID, Name: obj.Name + ".never"})
	if err := s.Delete(t.Context(), other); err != nil {
		t.Errorf("Delete = %v", err)
	}
	s.checkNothing(t, obj)
	if err := s.Delete(t.Context(), image.Location{Store: s.ID, URL: "file:///etc/passwd"}); err == nil {
		t.Error("Delete of a foreign location succeeds")
	}
}

func testLocate(t *testing.T, s suite) {
	first := NewObject()
	for _, obj := range []imagestore.Object{first, {ImageID: first.ImageID, Name: first.Name + ".2", Upload: NewObject().Upload}, NewObject()} {
		before := s.Locate(obj)
		loc, err := s.Put(t.Context(), obj, NewSource(Random(10), 10))
		if err != nil {
			t.Fatal(err)
		}
		if after := s.Locate(obj); !reflect.DeepEqual(after, loc) || !reflect.DeepEqual(before, loc) {
			t.Errorf("Locate = %v before the Put and %v after it, want Put's %v", before, after, loc)
		}
	}
}

// testOthers lets an upload meet data that another one has put under its object's name.
func testOthers(t *testing.T, s suite) {
	data := Random(1000)
	obj, loc := s.put(t, data)
	late := obj
	late.Upload = NewObject().Upload
	if reflect.DeepEqual(s.Locate(late), loc) {
		t.Skip("nobody else keeps data in this store")
	}
	if _, err := s.Put(t.Context(), late, NewSource([]byte("other"), 10)); !errors.Is(err, image.ErrConflict) {
		t.Errorf("Put = %v, want %v", err, image.ErrConflict)
	}
	if r, err := s.Open(t.Context(), s.Locate(late)); !errors.Is(err, image.ErrDataMissing) {
		t.Errorf("Open of what the second upload did not store = %v, want %v", err, image.ErrDataMissing)
		if err == nil {
			r.Close()
		}
	}
	if err := s.Delete(t.Context(), s.Locate(late)); err != nil {
		t.Errorf("Delete of what the second upload left = %v", err)
	}
	s.check(t, loc, data)
	if err := s.Delete(t.Context(), s.Locate(obj)); err != nil {
		t.Errorf("Delete = %v", err)
	}
	s.checkNothing(t, obj)
}

func testReopen(t *testing.T, s suite) {
	if s.Reopen == nil {
		t.Skip("this store has no life of its own")
	}
	data := Random(100_000)
	obj, loc := s.put(t, data)
	again := suite{Factory: s.Factory, Writer: s.Reopen(t, s.Writer)}
	again.check(t, loc, data)
	if got := again.Locate(obj); !reflect.DeepEqual(got, loc) {
		t.Errorf("Locate = %v, want %v", got, loc)
	}
}
