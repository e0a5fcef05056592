package api

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A lender lends pieces of its data from the second MiB on, each of which is overwritten when it is released.
type lender struct {
	*bytes.Reader
	lent, released int
}

func (l *lender) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return l.Reader.ReadAt(p, off)
}

func (l *lender) Close() error { return nil }

func (l *lender) Lend(_ context.Context, n int, off int64) ([]byte, func()) {
	if off < 1<<20 {
		return nil, nil
	}
	p := make([]byte, min(n, 100_000))
	l.Reader.ReadAt(p, off)
	l.lent++
	return p, func() {
		l.released++
		clear(p)
	}
}

// TestSendingWhatIsLent: it is given back once it is sent, also when the client goes, and a client that is slow is lent nothing more.
func TestSendingWhatIsLent(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789abcdef"), 4<<20/16)
	send := func(t *testing.T, w writerFunc) (*lender, []byte, error) {
		l := &lender{Reader: bytes.NewReader(data)}
		var got []byte
		err := sendCopy(t.Context(), writerFunc(func(p []byte) (int, error) {
			n, err := w(p)
			got = append(got, p[:n]...)
			return n, err
		}), l, 5, int64(len(data)-5))
		if l.lent != l.released {
			t.Errorf("%d pieces were lent and %d given back", l.lent, l.released)
		}
		return l, got, err
	}
	l, got, err := send(t, func(p []byte) (int, error) { return len(p), nil })
	if err != nil || !bytes.Equal(got, data[5:]) || l.lent < 20 {
		t.Errorf("a fast client gets %d bytes, %v, of which %d pieces were lent, want %d, and those from the second MiB on lent", len(got), err, l.lent, len(data)-5)
	}
	synctest.Test(t, func(t *testing.T) {
		l, got, err := send(t, func(p []byte) (int, error) {
			time.Sleep(2 * soon)
			return len(p), nil
		})
		if err != nil || !bytes.Equal(got, data[5:]) || l.lent != 0 {
			t.Errorf("a slow client gets %d bytes, %v, of which %d pieces were lent, want %d, and none lent", len(got), err, l.lent, len(data)-5)
		}
	})
	l, _, err = send(t, func(p []byte) (int, error) {
		if len(p) == 100_000 {
			return 0, io.ErrClosedPipe
		}
		return len(p), nil
	})
	if !errors.Is(err, io.ErrClosedPipe) || l.lent != 1 {
		t.Errorf("a client that goes: %v after %d pieces were lent, want %v after one", err, l.lent, io.ErrClosedPipe)
	}
}
