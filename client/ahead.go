package client

import (
	"context"
	"errors"
	"io"
)

// aheadPiece is how many bytes are read ahead at once. A pipe gives less in one Read.
const aheadPiece = 128 << 10

// errGivenUp is what Reads return once the transfer is over.
var errGivenUp = errors.New("the transfer was given up")

// An aheadReader reads a source that may keep a Read waiting for ever, such as a pipe, in a goroutine of its own, so that
// its own Read returns when the context ends. A Read of the source that is under way then goes on, and nobody gets what it
// returns.
type aheadReader struct {
	ctx   context.Context
	src   io.Reader
	begun bool
	full  chan piece
	free  chan []byte // as many as there are buffers
	now   piece       // what is read from
	spare []byte      // the buffer of it
}

// A piece is what one Read of the source returned.
type piece struct {
	data []byte
	err  error
}

// newAheadReader returns a reader of src. It starts no goroutine before the first Read, and the end of ctx ends it.
func newAheadReader(ctx context.Context, src io.Reader) *aheadReader {
	return &aheadReader{ctx: ctx, src: src, full: make(chan piece), free: make(chan []byte, 2)}
}

// Read waits for the source. Errors: those of the source, and errGivenUp when the context ends.
func (a *aheadReader) Read(p []byte) (int, error) {
	if !a.begun {
		a.begun = true
		a.free <- make([]byte, aheadPiece)
		a.free <- make([]byte, aheadPiece)
		go a.run()
	}
	for len(a.now.data) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.spare != nil {
			a.free <- a.spare[:aheadPiece]
			a.spare = nil
		}
		select {
		case a.now = <-a.full:
			a.spare = a.now.data
		case <-a.ctx.Done():
			return 0, errGivenUp
		}
	}
	n := copy(p, a.now.data)
	a.now.data = a.now.data[n:]
	return n, nil
}

// run reads the source until it ends, fails, or is not wanted any more.
func (a *aheadReader) run() {
	for {
		select {
		case buf := <-a.free:
			n, err := a.src.Read(buf)
			select {
			case a.full <- piece{buf[:n], err}:
			case <-a.ctx.Done():
				return
			}
			if err != nil {
				return
			}
		case <-a.ctx.Done():
			return
		}
	}
}
