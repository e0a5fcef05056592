package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
)

// A sparseReader is a Reader that finds data quickly; *imageservice.Disk is one.
type sparseReader interface {
	imagestore.Reader
	// DataAt returns the data at off or the first behind it, [start, end); it may go on at end. start is Size() when there is none.
	DataAt(ctx context.Context, off int64) (start, end int64, err error)
	// Stored tells in which file, and where in there, the bytes at off stand as they are, and how many of them in a row, up to n.
	Stored(ctx context.Context, off, n int64) (f *os.File, at, length int64, err error)
}

// A rangeSender sends n bytes of a reader from offset.
type rangeSender func(offset, n int64) error

// zeros is what is sent for ranges without data that are as long. Shorter ones are read.
var zeros [copyPiece]byte

// longRun is how much is read without looking for a range of zeros in between.
const longRun = 64 << 20

// sendDisk answers with n bytes from offset.
func (s *server) sendDisk(w *response, r *http.Request, disk sparseReader, offset, n int64) error {
	send := func(offset, n int64) error { return sendAhead(r.Context(), w, disk, offset, n) }
	if s.cfg.Sendfile && onPlainTCP(r) {
		stored := storedSender{w: w, disk: disk, rest: send}
		defer stored.close()
		return sendSparse(r.Context(), w, disk, func(offset, n int64) error { return stored.send(r.Context(), offset, n) }, offset, n)
	}
	return sendSparse(r.Context(), w, disk, send, offset, n)
}

// A storedSender lets the kernel send what stands in a file as it is, and has the rest sent.
type storedSender struct {
	w    *response
	disk sparseReader
	rest rangeSender
	file *os.File // opened once more; nil until it is needed
}

// lookAgain is after how many bytes that do not stand in a file so that it pays it is tried again.
const lookAgain = 16 << 20

func (s *storedSender) send(ctx context.Context, offset, n int64) error {
	for end := offset + n; offset < end; {
		f, at, length, err := s.disk.Stored(ctx, offset, end-offset)
		if err != nil {
			return fmt.Errorf("read data at %d: %w", offset, err)
		}
		if length >= filePiece && s.file == nil {
			if s.file, err = reopen(f); err != nil {
				return s.rest(offset, end-offset)
			}
		}
		if length >= filePiece {
			err = sendFile(s.w, s.file, at, length)
		} else {
			length = min(end-offset, lookAgain)
			err = s.rest(offset, length)
		}
		if err != nil {
			return err
		}
		offset += length
	}
	return nil
}

// sendAhead is sendCopy that makes the next piece while one is sent: to decompress takes as long as to send.
func sendAhead(ctx context.Context, w io.Writer, r imagestore.Reader, offset, n int64) error {
	if n <= copyPiece {
		return sendCopy(ctx, w, r, offset, n)
	}
	ctx, stop := context.WithCancel(ctx)
	free, filled := make(chan []byte, 2), make(chan filledPiece)
	for range cap(free) {
		buf, giveBack := borrowPiece()
		defer giveBack()
		free <- buf
	}
	var reader sync.WaitGroup
	defer reader.Wait()
	defer stop()
	var slow atomic.Bool // the client
	reader.Go(func() {
		defer close(filled)
		for size := copyPiece; n > 0; size = min(2*size, largePiece) {
			if slow.Load() {
				size = copyPiece
			}
			buf := <-free // there is one: no more than the other is being sent
			p := buf[:min(n, int64(size), int64(len(buf)))]
			piece := filledPiece{buf, p, readPiece(ctx, r, p, offset)}
			select {
			case filled <- piece:
			case <-ctx.Done():
				return
			}
			if piece.err != nil {
				return
			}
			offset, n = offset+int64(len(p)), n-int64(len(p))
		}
	})
	for piece := range filled {
		if piece.err != nil {
			return piece.err
		}
		start := time.Now()
		if _, err := w.Write(piece.data); err != nil {
			return sendError(err)
		}
		slow.Store(time.Since(start) > soon)
		free <- piece.buf
	}
	return ctx.Err()
}

// A filledPiece is data in a buffer, or what became of it.
type filledPiece struct {
	buf, data []byte
	err       error
}

func (s *storedSender) close() {
	if s.file != nil {
		s.file.Close()
	}
}

// sendSparse has sent what is data, and sends zeros for the rest.
func sendSparse(ctx context.Context, w io.Writer, r sparseReader, send rangeSender, offset, n int64) error {
	for end := offset + n; offset < end; {
		start, stop, err := findRun(ctx, r, offset)
		if err != nil {
			return fmt.Errorf("read data at %d: %w", offset, err)
		}
		start, stop = min(start, end), min(stop, end)
		if start-offset < int64(len(zeros)) {
			start = offset
		}
		if err := sendZeros(w, start-offset); err != nil {
			return err
		}
		if err := send(start, stop-start); err != nil {
			return err
		}
		offset = stop
	}
	return nil
}

// findRun is DataAt for several ranges that are not far from each other, as one.
func findRun(ctx context.Context, r sparseReader, off int64) (start, stop int64, err error) {
	start, stop, err = r.DataAt(ctx, off)
	for err == nil && stop-start < longRun && stop < r.Size() {
		next, end, failed := r.DataAt(ctx, stop)
		if failed != nil || next-stop >= int64(len(zeros)) {
			return start, stop, nil // what failed will fail again when its turn comes
		}
		stop = end
	}
	return start, stop, err
}

func sendZeros(w io.Writer, n int64) error {
	for n > 0 {
		sent, err := w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return sendError(err)
		}
		n -= int64(sent)
	}
	return nil
}

// sendError is a failure to send: the client is gone.
func sendError(err error) error { return fmt.Errorf("send data: %w: %w", image.ErrInterrupted, err) }

// A clientWriter tells failures to send from those to read.
type clientWriter struct{ io.Writer }

func (c clientWriter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	if err != nil {
		err = sendError(err)
	}
	return n, err
}

// heldBack is how much of a stream waits for more of it. The tables at the beginning of a qcow2 are known before any of the disk was read.
const heldBack = 1 << 20

// A lateWriter holds the beginning of a stream back, so that what fails until then is answered with an error. Call begin at the end.
type lateWriter struct {
	io.Writer
	held  []byte
	begun bool
}

func (l *lateWriter) Write(p []byte) (int, error) {
	if !l.begun && len(l.held)+len(p) <= heldBack {
		l.held = append(l.held, p...)
		return len(p), nil
	}
	if err := l.begin(); err != nil {
		return 0, err
	}
	return l.Writer.Write(p)
}

// begin sends what is held back.
func (l *lateWriter) begin() error {
	if l.begun {
		return nil
	}
	_, err := l.Writer.Write(l.held)
	l.begun, l.held = true, nil
	return err
}
