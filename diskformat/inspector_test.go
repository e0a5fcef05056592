package diskformat

import (
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"
)

// header returns a qcow2 header of the given version and virtual size with clusters of 64 KiB.
func header(version uint32, size uint64) []byte {
	h := make([]byte, 112)
	copy(h, qcow2Magic)
	binary.BigEndian.PutUint32(h[4:], version)
	binary.BigEndian.PutUint32(h[20:], 16)
	binary.BigEndian.PutUint64(h[24:], size)
	if version == 3 {
		binary.BigEndian.PutUint32(h[100:], 104)
	}
	return h
}

// with returns a copy of h with a 32-bit field set.
func with(h []byte, at int, value uint32) []byte {
	h = append([]byte(nil), h...)
	binary.BigEndian.PutUint32(h[at:], value)
	return h
}

func TestInspect(t *testing.T) {
	v3 := header(3, 10<<30)
	for _, tt := range []struct {
		name string
		data string
		want Info
		bad  string // part of the error
	}{
		{"nothing", "", Info{Raw, 0}, ""},
		{"text", "hello", Info{Raw, 5}, ""},
		{"zeros", strings.Repeat("\x00", 5000), Info{Raw, 5000}, ""},
		{"a part of the magic", "QFI", Info{Raw, 3}, ""},
		{"nearly the magic", "QFI\xfa" + strings.Repeat("x", 200), Info{Raw, 204}, ""},
		{"the magic later on", "x" + string(v3), Info{Raw, 113}, ""},
		{"version 2", string(header(2, 5)), Info{QCOW2, 5}, ""},
		{"version 2, only its header", string(header(2, 5)[:72]), Info{QCOW2, 5}, ""},
		{"version 3", string(v3), Info{QCOW2, 10 << 30}, ""},
		{"version 3 with data", string(v3) + strings.Repeat("x", 100_000), Info{QCOW2, 10 << 30}, ""},
		{"an empty disk", string(header(3, 0)), Info{QCOW2, 0}, ""},
		{"the largest disk", string(header(3, math.MaxInt64)), Info{QCOW2, math.MaxInt64}, ""},
		{"a disk too large for any file", string(header(3, 1<<63)), Info{QCOW2, 0}, "virtual size"},
		{"only the magic", qcow2Magic, Info{QCOW2, 0}, "cut short at 4 bytes"},
		{"half a version", qcow2Magic + "\x00\x00", Info{QCOW2, 0}, "cut short at 6 bytes"},
		{"version 2 cut short", string(header(2, 5)[:71]), Info{QCOW2, 0}, "cut short at 71 of 72 bytes"},
		{"version 3 cut short", string(v3[:103]), Info{QCOW2, 0}, "cut short at 103 of 104 bytes"},
		{"version 1", string(header(1, 5)), Info{QCOW2, 0}, "version 1"},
		{"version 4", string(header(4, 5)), Info{QCOW2, 0}, "version 4"},
		{"tiny clusters", string(with(v3, 20, 8)), Info{QCOW2, 0}, "2^8"},
		{"huge clusters", string(with(v3, 20, math.MaxUint32)), Info{QCOW2, 0}, "2^4294967295"},
		{"a header shorter than itself", string(with(v3, 100, 103)), Info{QCOW2, 0}, "103 bytes long"},
		{"a header longer than a cluster", string(with(v3, 100, 1<<16+8)), Info{QCOW2, 0}, "65544 bytes long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, step := range []int{1, 7, 1 << 20} {
				got, err := inspect([]byte(tt.data), step)
				if got != tt.want || (err == nil) != (tt.bad == "") {
					t.Errorf("in steps of %d: %+v, %v, want %+v, %q", step, got, err, tt.want, tt.bad)
				}
				if err != nil && (!errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), tt.bad)) {
					t.Errorf("in steps of %d: error %q, want %v with %q", step, err, ErrMalformed, tt.bad)
				}
			}
		})
	}
}

// inspect writes the data in steps.
func inspect(data []byte, step int) (Info, error) {
	i := NewInspector()
	for len(data) > 0 {
		n := min(step, len(data))
		i.Write(data[:n])
		data = data[n:]
	}
	return i.Result()
}

func TestSettled(t *testing.T) {
	i := NewInspector()
	for _, tt := range []struct {
		data string
		want bool
	}{{"", false}, {"Q", false}, {"FI", false}, {"x", true}, {"more", true}} {
		i.Write([]byte(tt.data))
		if i.Settled() != tt.want {
			t.Errorf("Settled after %q = %v, want %v", tt.data, !tt.want, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		declared, detected string
		ok                 bool
	}{
		{"raw", Raw, true},
		{"raw", QCOW2, false},
		{"qcow2", QCOW2, true},
		{"qcow2", Raw, false},
		{"vmdk", Raw, true}, // nothing looks for it yet
		{"vmdk", QCOW2, false},
		{"iso", QCOW2, false},
		{"ami", QCOW2, true}, // nobody looks into it
		{"ploop", Raw, true},
	} {
		err := Check(tt.declared, Info{Format: tt.detected})
		var mismatch *MismatchError
		if (err == nil) != tt.ok || err != nil && !errors.As(err, &mismatch) {
			t.Errorf("Check(%s, %s) = %v, want ok %v", tt.declared, tt.detected, err, tt.ok)
		}
	}
}

func FuzzInspector(f *testing.F) {
	for _, seed := range [][]byte{nil, []byte(qcow2Magic), header(2, 1<<30), header(3, 1<<30), header(3, 1<<63),
		with(header(3, 1), 20, 63), make([]byte, 4096)} {
		f.Add(seed, 13)
	}
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		whole, wholeErr := inspect(data, len(data))
		pieces, piecesErr := inspect(data, max(1, step))
		if whole != pieces || (wholeErr == nil) != (piecesErr == nil) {
			t.Errorf("at once %+v, %v; in pieces %+v, %v", whole, wholeErr, pieces, piecesErr)
		}
		if whole.VirtualSize < 0 || wholeErr != nil && (!errors.Is(wholeErr, ErrMalformed) || whole.Format == Raw) {
			t.Errorf("inspected as %+v, %v", whole, wholeErr)
		}
		if whole.Format == Raw && whole.VirtualSize != int64(len(data)) {
			t.Errorf("%d raw bytes have the virtual size %d", len(data), whole.VirtualSize)
		}
	})
}
