package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/loopback"
)

// Sizes of the pieces in which data is sent; the client must take each copyPiece within the StallTimeout.
const (
	copyPiece = 256 << 10
	filePiece = 256 << 10

	// The first fewCopies may send pieces of up to largePiece, which cost less processor time, to clients that take a
	// piece within soon: it takes longer to notice that nobody takes a large one.
	fewCopies  = 4
	largePiece = 1 << 20
	soon       = 100 * time.Millisecond

	// Where more than manyCopies are under way, each has a small piece: they are slow in any case, and their number is
	// that of the connections.
	manyCopies = 128
	smallPiece = 32 << 10
)

var (
	largePieces = sync.Pool{New: func() any { return new([largePiece]byte) }}
	pieces      = sync.Pool{New: func() any { return new([copyPiece]byte) }}
	copies      atomic.Int64 // under way
)

// borrowPiece returns a buffer, and what gives it back.
func borrowPiece() (buf []byte, giveBack func()) {
	leave := func() { copies.Add(-1) }
	switch n := copies.Add(1); {
	case n > manyCopies:
		return make([]byte, smallPiece), leave
	case n > fewCopies:
		piece := pieces.Get().(*[copyPiece]byte)
		return piece[:], func() { pieces.Put(piece); leave() }
	default:
		piece := largePieces.Get().(*[largePiece]byte)
		return piece[:], func() { largePieces.Put(piece); leave() }
	}
}

// send answers r with n bytes from offset. An error means that the answer is cut short.
func (s *server) send(w *response, r *http.Request, data imagestore.Reader, offset, n int64) error {
	if fr, ok := data.(imagestore.FileReader); ok && s.cfg.Sendfile && onPlainTCP(r) {
		if f, err := reopen(fr.File()); err == nil {
			defer f.Close()
			return sendFile(w, f, offset, n)
		}
	}
	return sendCopy(r.Context(), w, data, offset, n)
}

// onPlainTCP reports whether net/http lets the kernel send files on the connection. On others it would copy them itself,
// in small pieces.
func onPlainTCP(r *http.Request) bool { return r.TLS == nil && !loopback.OnUnixSocket(r) }

// sendCopy sends through a buffer, or out of the reader's own memory for as long as the client is fast: others wait for that.
func sendCopy(ctx context.Context, w io.Writer, r imagestore.Reader, offset, n int64) error {
	buf, giveBack := borrowPiece()
	defer giveBack()
	lender, _ := r.(imagestore.LendingReader)
	for size := copyPiece; n > 0; {
		p, release, err := nextPiece(ctx, r, lender, buf[:min(n, int64(size), int64(len(buf)))], offset)
		if err != nil {
			return err
		}
		start := time.Now()
		_, err = w.Write(p)
		release()
		if err != nil {
			return sendError(err)
		}
		size = min(2*size, largePiece)
		if time.Since(start) > soon {
			size, lender = copyPiece, nil
		}
		offset, n = offset+int64(len(p)), n-int64(len(p))
	}
	return nil
}

// nextPiece returns what comes at offset: as many bytes as buf has, which it fills, or fewer of the lender if there is one.
func nextPiece(ctx context.Context, r imagestore.Reader, lender imagestore.LendingReader, buf []byte, offset int64) (p []byte, release func(), err error) {
	if lender != nil {
		if p, release := lender.Lend(ctx, len(buf), offset); p != nil {
			return p, release, nil
		}
	}
	return buf, func() {}, readPiece(ctx, r, buf, offset)
}

// readPiece fills p from offset.
func readPiece(ctx context.Context, r imagestore.Reader, p []byte, offset int64) error {
	got, err := r.ReadAt(ctx, p, offset)
	if got == len(p) {
		return nil
	}
	return readError(err, offset+int64(got))
}

// readError tells why less was read at an offset within the data than there should be.
func readError(err error, offset int64) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("the bytes in the store end before the image does: %w", image.ErrCorrupt)
	}
	return fmt.Errorf("read data at %d: %w", offset, err)
}

// sendFile lets the kernel send.
func sendFile(w *response, f *os.File, offset, n int64) error {
	if w.status == 0 && n > 0 { // sendfile(2) finds out when it is too late for another answer
		var first [1]byte
		if _, err := f.ReadAt(first[:], offset); err != nil {
			return readError(err, offset)
		}
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return fmt.Errorf("read data: %w", err)
	}
	for n > 0 {
		want := min(n, filePiece)
		sent, err := w.ReadFrom(io.LimitReader(f, want))
		switch {
		case unreadable(err):
			return readError(err, offset+sent)
		case err != nil:
			return sendError(err)
		case sent < want:
			return readError(nil, offset+sent)
		}
		offset, n = offset+sent, n-sent
	}
	return nil
}

// unreadable reports whether an error of sendfile(2) is that of the file, and not of the client.
func unreadable(err error) bool {
	return errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.EUCLEAN) || errors.Is(err, syscall.EBADMSG)
}

// reopen opens the file behind f once more, even if its name is gone. sendfile(2) moves the offset, which a descriptor
// shares with its duplicates.
func reopen(f *os.File) (*os.File, error) {
	return os.Open(fmt.Sprintf("/proc/self/fd/%d", f.Fd()))
}
