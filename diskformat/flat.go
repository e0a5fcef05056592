package diskformat

import "context"

// flatLayout is that of a disk that begins where the file does, and stands in it as it is.
type flatLayout struct{}

func (flatLayout) find(_ context.Context, off, n int64) (run, error) {
	return run{n: n, kind: runStored, at: off}, nil
}
