package auth

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func TestManyBadTokensTakeNoMemory(t *testing.T) {
	s := &scripted{status: http.StatusNotFound}
	k := s.open(t, KeystoneConfig{})
	for i := range 3 * badTokens {
		if _, err := k.ask(t.Context(), "a", tokenKey{sum: sum(i)}); !errors.Is(err, image.ErrUnauthorized) {
			t.Fatal(err)
		}
	}
	if n := entries(k.bad); n > badTokens {
		t.Errorf("%d bad tokens are kept, want at most %d", n, badTokens)
	}
	if n := entries(k.good); n != 0 {
		t.Errorf("%d bad tokens are among the good ones", n)
	}
}

func sum(i int) (sum [sha256.Size]byte) {
	binary.LittleEndian.PutUint64(sum[:], uint64(i))
	return sum
}

func entries[K comparable, V any](r *recent[K, V]) (n int) {
	for _, generation := range r.generations.Load() {
		generation.Range(func(any, any) bool { n++; return true })
	}
	return n
}

func TestRecentKeepsWhatIsUsed(t *testing.T) {
	r := newRecent[int, int](100)
	r.put(-1, new(1))
	r.put(-2, new(1))
	for i := range 1_000_000 {
		r.put(i, new(i))
		if r.get(-1) == nil {
			t.Fatalf("what is always asked for was forgotten after %d others", i)
		}
	}
	if r.get(-2) != nil || entries(r) > 100 {
		t.Errorf("what nobody asked for is kept, or %d entries are", entries(r))
	}
	r.drop(-1)
	r.drop(-1)
	r.drop(999_999)
	if r.get(-1) != nil || r.get(999_999) != nil {
		t.Error("what was dropped is kept")
	}
}

func TestRecentUnderContention(t *testing.T) {
	r := newRecent[int, int](64)
	var all sync.WaitGroup
	for g := range 8 {
		all.Go(func() {
			for i := range 5000 {
				k := (i * (g + 1)) % 100
				if v := r.get(k); v != nil && *v != k {
					t.Errorf("under %d stands %d", k, *v)
				}
				r.put(k, new(k))
				if i%7 == 0 {
					r.drop(k)
				}
			}
		})
	}
	all.Wait()
	if n := entries(r); n > 64 {
		t.Errorf("%d entries", n)
	}
}
