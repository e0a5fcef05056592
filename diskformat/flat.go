package diskformat

import "context"

// A flatLayout is that of a disk that stands in the file as it is.
type flatLayout struct {
	start int64 // in the file
}

func (l flatLayout) find(_ context.Context, off, n int64) (run, error) {
	return run{n: n, kind: runStored, at: l.start + off}, nil
}
