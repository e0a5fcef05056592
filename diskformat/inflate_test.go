package diskformat

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
)

// proseData is what compresses to about a third: words of a small language, numbers, some noise.
func proseData(size int) []byte {
	random := rand.New(rand.NewPCG(7, 8))
	words := make([]string, 500)
	for i := range words {
		for range 2 + random.IntN(8) {
			words[i] += string(rune('a' + random.IntN(26)))
		}
	}
	var b bytes.Buffer
	for b.Len() < size {
		switch random.IntN(20) {
		case 0:
			fmt.Fprintf(&b, "%d", random.Uint64())
		case 1:
			b.Write([]byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
		default:
			b.WriteString(words[int(random.ExpFloat64()*60)%len(words)] + " ")
		}
	}
	return b.Bytes()[:size]
}

// deflated compresses as Go does.
func deflated(t testing.TB, p []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(p)
	w.Close()
	return b.Bytes()
}

// What was compressed in any way comes out again, also when less of it is wanted than there is. What is cut short fails, but
// for the mark of the end.
func TestInflate(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	skewed := make([]byte, 64<<10) // its codes are up to 15 bits long
	for i := range skewed {
		skewed[i] = byte(random.ExpFloat64() * 12)
	}
	runs := bytes.Repeat([]byte("ab"), 32<<10)
	far := append(proseData(32<<10), proseData(32<<10)...)
	for name, data := range map[string][]byte{
		"prose": proseData(64 << 10), "skewed": skewed, "zeros": make([]byte, 64<<10), "runs": runs, "far": far, "one byte": {7}, "little": []byte("little"),
	} {
		for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, flate.BestSpeed, 6, flate.BestCompression} {
			t.Run(fmt.Sprintf("%s at level %d", name, level), func(t *testing.T) {
				packed := deflated(t, data, level)
				for _, want := range [][]byte{data, data[:len(data)/2], data[:1], nil} {
					got := make([]byte, len(want))
					if err := inflate(got, packed); err != nil || !bytes.Equal(got, want) {
						t.Errorf("inflate %d of %d bytes: %v, equal: %v", len(want), len(data), err, bytes.Equal(got, want))
					}
				}
				if err := inflate(make([]byte, len(data)), packed[:len(packed)/3]); err == nil && len(data) > 1 {
					t.Error("it inflates a third")
				}
				for range 20 {
					got, cut := make([]byte, len(data)), packed[:random.IntN(len(packed))]
					if err := inflate(got, cut); err == nil && !bytes.Equal(got, data) {
						t.Errorf("it inflates %d of %d bytes", len(cut), len(packed))
					}
				}
				if err := inflate(make([]byte, len(data)+1), packed); err == nil {
					t.Error("it makes more than there is")
				}
			})
		}
	}
}

// Whatever the bytes are, the result is that of compress/flate, which wants to see more of the end than it needs.
func FuzzInflate(f *testing.F) {
	for _, level := range []int{flate.HuffmanOnly, flate.NoCompression, 6} {
		f.Add(deflated(f, proseData(600), level), uint16(600))
	}
	f.Add([]byte{3, 0}, uint16(0))
	file, _ := formattest.QCOW2Disk(formattest.QCOW2Options{})
	f.Add(file[6*512:], uint16(512))
	f.Fuzz(func(t *testing.T, packed []byte, n uint16) {
		got, want := make([]byte, n), make([]byte, n)
		err := inflate(got, packed)
		have, wantErr := io.ReadFull(flate.NewReader(bytes.NewReader(packed)), want)
		if early := wantErr == io.ErrUnexpectedEOF || wantErr == io.EOF; wantErr != nil && !early && err == nil || wantErr == nil && err != nil {
			t.Errorf("%v, want %v", err, wantErr)
		}
		if err == nil && !bytes.Equal(got[:have], want[:have]) {
			t.Error("it inflates to something else")
		}
	})
}

// zlibbed compresses as Go does, with a header and a checksum.
func zlibbed(t testing.TB, p []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	w.Write(p)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestUnzlib(t *testing.T) {
	data := proseData(64 << 10)
	good := zlibbed(t, data)
	changed := func(at int, to byte) []byte {
		p := bytes.Clone(good)
		p[at] = to
		return p
	}
	for _, tt := range []struct {
		name   string
		packed []byte
		place  int
		want   error
	}{
		{"good", good, len(data), nil},
		{"with more behind it", append(bytes.Clone(good), "more"...), len(data), nil},
		{"with more place", good, len(data) + 100, nil},
		{"without place for the last byte", good, len(data) - 1, errLong},
		{"without place for most", good, 10, errLong},
		{"without the last byte of the checksum", good[:len(good)-1], len(data), errShort},
		{"without most", good[:1000], len(data), errShort},
		{"with another checksum", changed(len(good)-1, good[len(good)-1]+1), len(data), errSum},
		{"with another method", changed(0, 0x79), len(data), errDeflate},
		{"with a dictionary", changed(1, 0xbb), len(data), errDeflate},
		{"nothing", nil, 10, errDeflate},
		{"of nothing", zlibbed(t, nil), 10, errShort},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dst := make([]byte, tt.place)
			n, err := unzlib(dst, tt.packed)
			if err != tt.want || err == nil && !bytes.Equal(dst[:n], data) {
				t.Errorf("unzlib = %d, %v, want %v", n, err, tt.want)
			}
		})
	}
}

// Whatever the bytes are, the result is that of compress/zlib.
func FuzzUnzlib(f *testing.F) {
	f.Add(zlibbed(f, proseData(600)), uint16(600))
	f.Add(zlibbed(f, nil), uint16(10))
	f.Fuzz(func(t *testing.T, packed []byte, place uint16) {
		dst := make([]byte, place)
		n, err := unzlib(dst, packed)
		var want []byte
		r, wantErr := zlib.NewReader(bytes.NewReader(packed))
		if wantErr == nil {
			want, wantErr = io.ReadAll(io.LimitReader(r, int64(place)+1))
		}
		good := wantErr == nil && len(want) > 0 && len(want) <= int(place)
		if good != (err == nil) || good && !bytes.Equal(dst[:n], want) {
			t.Errorf("%d bytes, %v, want %d, %v", n, err, len(want), wantErr)
		}
	})
}

func BenchmarkInflate(b *testing.B) {
	data := proseData(64 << 10)
	packed := deflated(b, data, 6)
	b.SetBytes(int64(len(data)))
	for range b.N {
		if err := inflate(data, packed); err != nil {
			b.Fatal(err)
		}
	}
}
