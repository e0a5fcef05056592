package events

import (
	"bufio"
	"cmp"
	"errors"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A lineReader reads lines of a file that may grow meanwhile.
type lineReader struct {
	f       *os.File
	buf     *bufio.Reader
	offset  int64  // of what was read
	partial []byte // of a line whose end is not written yet
	long    bool   // it is too long, and its beginning is forgotten
}

var errNoFile = errors.New("not a regular file")

func openLineReader(path string) (*lineReader, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, cmp.Or(err, errNoFile)
	}
	return &lineReader{f: f, buf: bufio.NewReaderSize(f, 64<<10)}, nil
}

func (l *lineReader) close() { l.f.Close() }

// next returns the next line, empty for one that is too long. After io.EOF it may be called again.
func (l *lineReader) next() ([]byte, error) {
	for {
		part, err := l.buf.ReadSlice('\n')
		l.offset += int64(len(part))
		if l.long = l.long || len(l.partial)+len(part) > maxLine; l.long {
			l.partial = nil
		} else {
			l.partial = append(l.partial, part...)
		}
		switch err {
		case nil:
			line := l.partial
			l.partial, l.long = nil, false
			return line, nil
		case bufio.ErrBufferFull:
		default:
			return nil, err
		}
	}
}

// firstSequence returns the number of the first event, 0 when there is none near the beginning. Torn lines do not count:
// a reader that opens the file for its first event must get on by reading it.
func (l *lineReader) firstSequence() (int64, error) {
	for l.offset < 2*maxLine {
		line, err := l.next()
		if e, ok := parseEnvelope(line); ok {
			return e.Sequence, nil
		}
		if err == io.EOF {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
	}
	return 0, nil
}
