package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/iotest"
)

// quiet is a source that says when it is read, and gives nothing.
type quiet struct {
	*io.PipeReader
	asked func()
}

func (q quiet) Read(p []byte) (int, error) {
	q.asked()
	return q.PipeReader.Read(p)
}

// TestUploadOfAQuietSourceCanBeGivenUp: the source never returns from its Read, and Upload does when its context ends.
func TestUploadOfAQuietSourceCanBeGivenUp(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, Config{})
	for _, size := range []int64{-1, 100} {
		ctx, cancel := context.WithCancelCause(t.Context())
		reason := errors.New("enough")
		pipe, end := io.Pipe()
		err := c.Upload(ctx, testID, Upload{Body: quiet{pipe, func() { cancel(reason) }}, Size: size})
		if !errors.Is(err, reason) || errors.Is(err, ErrUnreachable) {
			t.Errorf("Upload of %d bytes = %v, want %v", size, err, reason)
		}
		end.Close() // lets the Read return
	}
}

func TestAheadReaderGivesWhatTheSourceGives(t *testing.T) {
	data := randomBytes(3*aheadPiece + 7)
	reason := errors.New("disk on fire")
	for name, src := range map[string]io.Reader{
		"whole":                   bytes.NewReader(data),
		"halves":                  iotest.HalfReader(bytes.NewReader(data)),
		"end with the last bytes": iotest.DataErrReader(bytes.NewReader(data)),
		"failure":                 io.MultiReader(bytes.NewReader(data), iotest.ErrReader(reason)),
	} {
		got, err := io.ReadAll(newAheadReader(t.Context(), src))
		if !bytes.Equal(got, data) || (name == "failure") != errors.Is(err, reason) || name != "failure" && err != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}
