package crashfs

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// A content must behave like a slice of bytes, whatever is done to it.
func TestContentIsLikeBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c content
		var want []byte
		offset := rapid.Int64Range(0, 5*pageSize)
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				off, data := offset.Draw(t, "off"), rapid.SliceOfN(rapid.Byte(), 1, 2*pageSize).Draw(t, "data")
				c.writeAt(data, off)
				want = append(want, make([]byte, max(0, int(off)+len(data)-len(want)))...)
				copy(want[off:], data)
			},
			"truncate": func(t *rapid.T) {
				size := offset.Draw(t, "size")
				c.truncate(size)
				want = append(want, make([]byte, max(0, int(size)-len(want)))...)[:size]
			},
			"punch": func(t *rapid.T) {
				off, n := offset.Draw(t, "off"), offset.Draw(t, "n")
				c.punch(off, n)
				if end := min(int(off+n), len(want)); int(off) < end {
					clear(want[off:end])
				}
			},
			"": func(t *rapid.T) {
				for _, view := range []content{c, c.clone()} {
					got := make([]byte, len(want)+10)
					if n := view.readAt(got, 0); !bytes.Equal(got[:n], want) {
						t.Fatalf("content differs from the bytes written (%d and %d bytes)", n, len(want))
					}
				}
				var read content
				if err := read.readFrom(bytes.NewReader(want)); err != nil || read.size != int64(len(want)) {
					t.Fatalf("readFrom gave %d bytes, %v, want %d", read.size, err, len(want))
				}
			},
		})
	})
}

func TestContentSeek(t *testing.T) {
	var c content
	c.writeAt([]byte("x"), 2*pageSize)
	c.truncate(4 * pageSize)
	for _, tt := range []struct {
		off  int64
		data bool
		want int64
	}{
		{0, true, 2 * pageSize},
		{0, false, 0},
		{2*pageSize + 5, true, 2*pageSize + 5},
		{2*pageSize + 5, false, 3 * pageSize},
		{3 * pageSize, true, -1},
	} {
		if got := c.seek(tt.off, tt.data); got != tt.want {
			t.Errorf("seek(%d, data %t) = %d, want %d", tt.off, tt.data, got, tt.want)
		}
	}
}
