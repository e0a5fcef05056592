package diskformat

import (
	"errors"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// These say that compressed data ends before a block is full, or does not end then.
var (
	errShort = errors.New("it is shorter than a block")
	errLong  = errors.New("it is longer than a block")
)

// bufferPool keeps buffers for data that is compressed.
type bufferPool struct{ pool sync.Pool }

var buffers bufferPool

// get returns a buffer of n bytes, which hold anything.
func (b *bufferPool) get(n int) []byte {
	if p, ok := b.pool.Get().(*[]byte); ok && cap(*p) >= n {
		return (*p)[:n]
	}
	return make([]byte, n)
}

func (b *bufferPool) put(p []byte) { b.pool.Put(&p) }

// unzstds never keeps more than its caller has place for. It works on as many blocks at once as there are processors.
var unzstds = sync.OnceValue(func() *zstd.Decoder {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err) // the options are wrong
	}
	return d
})

// unzstd fills dst from zstd frames, and ignores what comes then.
func unzstd(dst, src []byte) error {
	have := dst[:0:len(dst)]
	for len(have) < len(dst) {
		frame, err := zstdFrame(src)
		if err != nil {
			return err
		}
		if have, err = unzstds().DecodeAll(src[:frame], have); err != nil {
			return err
		}
		src = src[frame:]
	}
	return nil
}

// zstdFrame returns the length of the first frame. Source: RFC 8878, section 3.1.1.
func zstdFrame(p []byte) (int, error) {
	var h zstd.Header
	rest, err := h.DecodeAndStrip(p)
	if err != nil {
		return 0, err
	}
	if h.Skippable {
		if uint64(h.SkippableSize) > uint64(len(rest)) {
			return 0, errShort
		}
		return h.HeaderSize + int(h.SkippableSize), nil
	}
	n := h.HeaderSize
	for last := false; !last; {
		if n+3 > len(p) {
			return 0, errShort
		}
		head := uint32(p[n]) | uint32(p[n+1])<<8 | uint32(p[n+2])<<16
		last = head&1 != 0
		n += 3
		if repeated := head>>1&3 == 1; repeated {
			n++
		} else {
			n += int(head >> 3)
		}
	}
	if h.HasCheckSum {
		n += 4
	}
	if n > len(p) {
		return 0, errShort
	}
	return n, nil
}
