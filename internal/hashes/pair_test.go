package hashes

import (
	"bytes"
	"crypto/md5"
	"crypto/sha512"
	"io"
	"math/rand/v2"
	"testing"
)

// withAndWithout runs the test with both hashes made at once and one by one.
func withAndWithout(t *testing.T, test func(t *testing.T)) {
	t.Run("at once", func(t *testing.T) {
		if blocks == nil {
			t.Skip("this processor lacks the instructions")
		}
		test(t)
	})
	t.Run("one by one", func(t *testing.T) {
		had := blocks
		t.Cleanup(func() { blocks = had })
		blocks = nil
		test(t)
	})
}

// check writes data to both hashes, as many bytes at a time as next says, and compares them with the standard library's
// after every write.
func check(t *testing.T, data []byte, next func() int) {
	t.Helper()
	sums, writers := WithMD5("sha512")
	wantMD5, wantSHA512 := md5.New(), sha512.New()
	for begin := 0; ; {
		end := min(begin+next(), len(data))
		for _, w := range writers {
			if n, err := w.Write(data[begin:end]); n != end-begin || err != nil {
				t.Fatalf("Write = %d, %v, want %d", n, err, end-begin)
			}
		}
		wantMD5.Write(data[begin:end])
		wantSHA512.Write(data[begin:end])
		if got, want := sums[0].Sum(nil), wantMD5.Sum(nil); !bytes.Equal(got, want) {
			t.Fatalf("MD5 of %d bytes, the last %d at once = %x, want %x", end, end-begin, got, want)
		}
		if got, want := sums[1].Sum(nil), wantSHA512.Sum(nil); !bytes.Equal(got, want) {
			t.Fatalf("SHA-512 of %d bytes, the last %d at once = %x, want %x", end, end-begin, got, want)
		}
		if begin = end; end == len(data) {
			return
		}
	}
}

func randomBytes(n int, random *rand.Rand) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(random.Uint32())
	}
	return p
}

func TestPair(t *testing.T) {
	withAndWithout(t, func(t *testing.T) {
		random := rand.New(rand.NewPCG(1, 2))
		data := randomBytes(1<<20+1, random)
		for size := range 4097 {
			offset := size % 64 // no address is even more often than others
			check(t, data[offset:offset+size], func() int { return size })
		}
		for _, most := range []int{3, 129, 300, 5000, 200 << 10} {
			check(t, data[:min(len(data), 400*most)], func() int { return random.IntN(most + 1) })
		}
		check(t, data, func() int { return len(data) })
		check(t, bytes.Repeat([]byte{0xff}, 1<<17), func() int { return 1 << 15 })
	})
}

func FuzzPair(f *testing.F) {
	f.Add(bytes.Repeat([]byte("vitrine"), 100), uint64(1))
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		random := rand.New(rand.NewPCG(seed, 0))
		check(t, data, func() int { return random.IntN(len(data) + 1) })
	})
}

func TestOtherPairs(t *testing.T) {
	for name := range algorithms {
		sums, writers := WithMD5(name)
		for _, w := range writers {
			w.Write([]byte("vitrine"))
		}
		for i, name := range []string{"md5", name} {
			h := New(name)
			h.Write([]byte("vitrine"))
			if got, want := sums[i].Sum(nil), h.Sum(nil); !bytes.Equal(got, want) {
				t.Errorf("%s = %x, want %x", name, got, want)
			}
		}
	}
}

// BenchmarkPair measures the hashes of an upload: each alone, one after the other, and as WithMD5 makes them.
func BenchmarkPair(b *testing.B) {
	_, writers := WithMD5("sha512")
	for _, bb := range []struct {
		name string
		w    io.Writer
	}{
		{"MD5", md5.New()},
		{"SHA-512", sha512.New()},
		{"one by one", io.MultiWriter(md5.New(), sha512.New())},
		{"WithMD5", io.MultiWriter(writers...)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			buffer := make([]byte, 256<<10)
			b.SetBytes(int64(len(buffer)))
			for b.Loop() {
				bb.w.Write(buffer)
			}
		})
	}
}
