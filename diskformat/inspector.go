package diskformat

// An Inspector looks at an image as it streams by. It keeps only the few bytes that it needs. It is an io.Writer that
// never fails.
type Inspector struct {
	size     int64
	watching []examiner // undecided
	decided  []examiner
}

// An examiner watches for one format.
type examiner interface {
	// examine takes the bytes at off, which is where those of the last call ended. It returns true when it has seen
	// enough, and is not called again then.
	examine(off int64, p []byte) (enough bool)
	// verdict tells whether the bytes are of the format, and what in them breaks its rules. size is the number of bytes
	// seen so far: all of them, or as many as were enough. Errors: ErrMalformed.
	verdict(size int64) (info Info, match bool, err error)
}

// NewInspector returns an Inspector that has seen nothing.
func NewInspector() *Inspector { return &Inspector{watching: []examiner{&qcow2{}}} }

// Write takes the next bytes.
func (i *Inspector) Write(p []byte) (int, error) {
	undecided := i.watching[:0]
	for _, e := range i.watching {
		if e.examine(i.size, p) {
			i.decided = append(i.decided, e)
		} else {
			undecided = append(undecided, e)
		}
	}
	i.watching = undecided
	i.size += int64(len(p))
	return len(p), nil
}

// Settled reports whether further bytes can change nothing but the size.
func (i *Inspector) Settled() bool { return len(i.watching) == 0 }

// Result tells what the bytes are; ask it when they ended, or earlier when Settled. The virtual size of raw bytes is the
// number of them. With an error, Info.Format is what the bytes pretend to be. Errors: ErrMalformed.
func (i *Inspector) Result() (Info, error) {
	for _, examiners := range [][]examiner{i.decided, i.watching} {
		for _, e := range examiners {
			if info, match, err := e.verdict(i.size); match {
				return info, err
			}
		}
	}
	return Info{Format: Raw, VirtualSize: i.size}, nil
}
