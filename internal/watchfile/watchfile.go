// Package watchfile keeps what a file says up to date while its readers go on: policies, passwords, certificates. A
// file that cannot be read or understood changes nothing; the last good one stays, and the log says why.
package watchfile

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// Interval is how often a file is looked at, at most: a change takes effect with the first Get after that time.
const Interval = time.Second

// settled is how old a file's last change must be before its time tells every later change; until then it is read
// again. File systems keep times in steps, and an editor may write twice within one.
const settled = 2 * time.Second

// A Value is what some files say. It is safe for concurrent use.
type Value[T any] struct {
	paths []string
	parse func(contents [][]byte) (T, error)
	log   *slog.Logger

	mu      sync.Mutex
	value   T
	seen    []os.FileInfo // as they were read last, nil for one that could not be looked at
	looked  time.Time
	problem string // logged last
}

// Open reads the files and parses their contents, which belong to each other (a certificate and its key).
// Errors: those of reading and of parse, with the files' names.
func Open[T any](log *slog.Logger, parse func(contents [][]byte) (T, error), paths ...string) (*Value[T], error) {
	v := &Value[T]{paths: paths, parse: parse, log: cmp.Or(log, slog.New(slog.DiscardHandler)), looked: time.Now()}
	v.seen = v.look()
	value, err := v.read()
	if err != nil {
		return nil, err
	}
	v.value = value
	return v, nil
}

// Get returns what the files say, or what they said before somebody broke them.
func (v *Value[T]) Get() T {
	v.mu.Lock()
	defer v.mu.Unlock()
	if now := time.Now(); now.Sub(v.looked) >= Interval {
		v.refresh(now)
	}
	return v.value
}

// refresh reads the files again if they may have changed; the caller has the lock.
func (v *Value[T]) refresh(now time.Time) {
	before := v.looked
	v.looked = now
	infos := v.look()
	if slices.EqualFunc(infos, v.seen, func(a, b os.FileInfo) bool { return unchanged(a, b, before) }) {
		return
	}
	v.seen = infos
	value, err := v.read()
	if err != nil {
		if err.Error() != v.problem {
			v.problem = err.Error()
			v.log.Error("a changed file is not taken over, what it said before stays in force", "error", err)
		}
		return
	}
	if v.problem != "" {
		v.problem = ""
		v.log.Info("the file can be read again", "path", v.paths[0])
	}
	v.value = value
}

// look returns what the file system says of the files.
func (v *Value[T]) look() []os.FileInfo {
	infos := make([]os.FileInfo, len(v.paths))
	for i, path := range v.paths {
		if info, err := os.Stat(path); err == nil {
			infos[i] = info
		}
	}
	return infos
}

// unchanged reports whether the file a is the file b as it was read at the time of that look.
func unchanged(a, b os.FileInfo, read time.Time) bool {
	if a == nil || b == nil {
		return a == b
	}
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime()) && read.Sub(a.ModTime()) > settled
}

func (v *Value[T]) read() (value T, err error) {
	contents := make([][]byte, len(v.paths))
	for i, path := range v.paths {
		if contents[i], err = os.ReadFile(path); err != nil {
			return value, err
		}
	}
	value, err = v.parse(contents)
	if err != nil {
		var inFile *os.PathError
		if !errors.As(err, &inFile) {
			err = fmt.Errorf("%s: %w", v.paths[0], err)
		}
	}
	return value, err
}
