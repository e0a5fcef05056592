package events

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// A segment is one of the files that an event log consists of: the current one, and those that were moved away, by us or
// by logrotate (path.1, path-20261121).
type segment struct {
	path  string
	first int64 // number of its first event
}

// segments lists the files next to path that begin with its name and hold events, in the order of these.
func segments(path string) ([]segment, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	var list []segment
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), filepath.Base(path))
		if !ours || rest != "" && rest[0] != '.' && rest[0] != '-' {
			continue
		}
		s := segment{path: filepath.Join(filepath.Dir(path), e.Name())}
		l, err := openLineReader(s.path)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNoFile) {
				continue
			}
			return nil, err
		}
		s.first, err = l.firstSequence()
		l.close()
		if err != nil {
			return nil, err
		}
		if s.first > 0 {
			list = append(list, s)
		}
	}
	slices.SortFunc(list, func(a, b segment) int { return cmp.Compare(a.first, b.first) })
	return list, nil
}

// lastSequence returns the number of the last line of a log, 0 for an empty one.
func lastSequence(path string) (last int64, err error) {
	list, err := segments(path)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	l, err := openLineReader(list[len(list)-1].path)
	if err != nil {
		return 0, err
	}
	defer l.close()
	for {
		line, err := l.next()
		last = max(last, sequenceOf(line))
		if err == io.EOF {
			return max(last, sequenceOf(l.partial)), nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// A reader reads a log's lines in their order, across its files and from a number on.
type reader struct {
	path  string
	still sync.Locker // while it is held nobody rotates, so that a name means the same file twice
	after int64       // number of the line before the next one
	lines *lineReader // of the file that is being read, nil before the first
}

// next returns the next event and its line. When there is none yet the error is io.EOF, and it may be called again.
func (r *reader) next() (envelope, []byte, error) {
	if r.lines == nil {
		if err := r.begin(); err != nil {
			return envelope{}, nil, err
		}
	}
	for {
		line, err := r.lines.next()
		if err == io.EOF {
			line, err = r.goOn()
		}
		if err != nil {
			return envelope{}, nil, err
		}
		e, ok := parseEnvelope(line)
		if ok && e.Sequence > r.after {
			r.after = e.Sequence
			return e, line[:len(line)-1], nil
		}
	}
}

// begin opens the file with the next line, or else the first after that.
func (r *reader) begin() error {
	r.still.Lock()
	defer r.still.Unlock()
	list, err := segments(r.path)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return io.EOF
	}
	at := 0
	for i, s := range list {
		if s.first <= r.after+1 {
			at = i
		}
	}
	return r.open(list[at].path)
}

// goOn is called at the end of a file. It returns another line of it, or opens the next file, of which it returns the
// first line; io.EOF when there is none.
func (r *reader) goOn() ([]byte, error) {
	current, err := r.lines.f.Stat()
	if err != nil {
		return nil, err
	}
	if current.Size() < r.lines.offset { // somebody truncated it
		r.close()
		if err := r.begin(); err != nil {
			return nil, err
		}
		return r.lines.next()
	}
	if at, err := os.Stat(r.path); err == nil && os.SameFile(at, current) {
		return nil, io.EOF
	}
	r.still.Lock()
	defer r.still.Unlock()
	list, err := segments(r.path)
	if err != nil {
		return nil, err
	}
	for _, s := range list {
		if s.first <= r.after {
			continue
		}
		// This file was ended before the other one began, but perhaps after we saw its end.
		if line, err := r.lines.next(); err != io.EOF {
			return line, err
		}
		if err := r.open(s.path); err != nil {
			return nil, err
		}
		return r.lines.next()
	}
	return nil, io.EOF
}

// open reads another file. One that somebody else has moved just now is looked for again.
func (r *reader) open(path string) error {
	lines, err := openLineReader(path)
	if errors.Is(err, fs.ErrNotExist) {
		return io.EOF
	}
	if err != nil {
		return err
	}
	r.close()
	r.lines = lines
	return nil
}

func (r *reader) close() {
	if r.lines != nil {
		r.lines.close()
		r.lines = nil
	}
}
