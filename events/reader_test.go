package events

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// event is the line of an event log with that number.
func event(n int64) string {
	return fmt.Sprintf(`{"sequence":%d,"message_id":"id-%d","event_type":"image.create","payload":{}}`+"\n", n, n)
}

func eventLines(from, to int64) string {
	var b strings.Builder
	for n := from; n <= to; n++ {
		b.WriteString(event(n))
	}
	return b.String()
}

func create(t *testing.T, path, lines string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
}

// numbers reads to the end.
func (r *reader) numbers(t *testing.T) (list []int64) {
	t.Helper()
	for {
		e, line, err := r.next()
		if err == io.EOF {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if string(line)+"\n" != event(e.Sequence) || string(e.MessageID) != fmt.Sprintf("id-%d", e.Sequence) {
			t.Errorf("event %d: %q", e.Sequence, line)
		}
		list = append(list, e.Sequence)
	}
}

func newReader(t *testing.T, path string, after int64) *reader {
	r := &reader{path: path, still: new(sync.Mutex), after: after}
	t.Cleanup(r.close)
	return r
}

func wantNumbers(t *testing.T, what string, got []int64, from, to int64) {
	t.Helper()
	var want []int64
	for n := from; n <= to; n++ {
		want = append(want, n)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %d to %d", what, got, from, to)
	}
}

func TestReadingAcrossFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	create(t, path+".2", eventLines(1, 3))
	create(t, path+".1", "rubbish\n"+eventLines(4, 6)+`{"sequence":7,"mess`)
	create(t, path, eventLines(7, 9))
	create(t, path+"-20261121.gz", "\x1f\x8b compressed")
	create(t, path+"s", eventLines(100, 200)) // another log
	create(t, path+".new", "")
	for after := range int64(10) {
		r := newReader(t, path, after)
		wantNumbers(t, fmt.Sprintf("after %d", after), r.numbers(t), after+1, 9)
		wantNumbers(t, "again", r.numbers(t), 0, -1)
	}
	if last, err := lastSequence(path); last != 9 || err != nil {
		t.Errorf("lastSequence = %d, %v", last, err)
	}
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	if got := newReader(t, path, 2).numbers(t); !slices.Equal(got, []int64{3, 7, 8, 9}) {
		t.Errorf("with a file removed: %v", got)
	}
	create(t, path+".0", `{"sequence":9223372036854775807,"message_id":"x","event_type":"y"}`+"\n") // would leave no number for more
	if last, err := lastSequence(path); last != 9 || err != nil {
		t.Errorf("lastSequence = %d, %v", last, err)
	}
	if got := newReader(t, path, 4).numbers(t); !slices.Equal(got, []int64{7, 8, 9}) {
		t.Errorf("from a file that was removed: %v", got)
	}
	wantNumbers(t, "no log", newReader(t, filepath.Join(t.TempDir(), "log"), 0).numbers(t), 0, -1)
	if _, _, err := newReader(t, filepath.Join(t.TempDir(), "no", "log"), 0).next(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
	if last, err := lastSequence(filepath.Join(t.TempDir(), "log")); last != 0 || err != nil {
		t.Errorf("lastSequence of no log = %d, %v", last, err)
	}
}

func TestATornLineUsesItsNumberUp(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	create(t, path, eventLines(1, 3)+`{"sequence":4,"mess`)
	if last, err := lastSequence(path); last != 4 || err != nil {
		t.Errorf("lastSequence = %d, %v", last, err)
	}
}

func TestReadingWhatGrows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, FileConfig{Path: path})
	r := &reader{path: path, still: &f.mu}
	t.Cleanup(r.close)
	wantNumbers(t, "empty", r.numbers(t), 0, -1)
	write(t, f, event(1))
	wantNumbers(t, "a line", r.numbers(t), 1, 1)
	half := event(2)
	if _, err := f.f.WriteString(half[:20]); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, "half a line", r.numbers(t), 0, -1)
	if _, err := f.f.WriteString(half[20:]); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, "the other half", r.numbers(t), 2, 2)

	if err := os.Rename(path, path+".1"); err != nil { // logrotate
		t.Fatal(err)
	}
	write(t, f, event(3))
	wantNumbers(t, "moved", r.numbers(t), 3, 3)
	create(t, path, "") // as logrotate does with create
	write(t, f, event(4))
	wantNumbers(t, "with a new file beside", r.numbers(t), 4, 4)
	write(t, f, event(5))
	if err := f.follow(); err != nil {
		t.Fatal(err)
	}
	write(t, f, event(6))
	wantNumbers(t, "into the new file", r.numbers(t), 5, 6)

	copied := text(t, path)
	create(t, path+".copy", copied)
	if err := os.Truncate(path, 0); err != nil { // copytruncate
		t.Fatal(err)
	}
	wantNumbers(t, "truncated", r.numbers(t), 0, -1)
	write(t, f, event(7))
	wantNumbers(t, "after copytruncate", r.numbers(t), 7, 7)
}

// TestReadersSeeEachLineOnce lets readers follow a log that is rotated all the time, by us and by somebody else.
func TestReadersSeeEachLineOnce(t *testing.T) {
	const total = 600
	path := filepath.Join(t.TempDir(), "log")
	f := open(t, FileConfig{Path: path, MaxSize: 2000, Keep: total})
	var wg sync.WaitGroup
	written := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			r := &reader{path: path, still: &f.mu}
			defer r.close()
			for n := int64(1); n <= total; {
				e, _, err := r.next()
				switch {
				case err == io.EOF:
					select {
					case <-written: // all must be there now
						if e, _, err = r.next(); err != nil {
							t.Errorf("the log ends with %d: %v", n-1, err)
							return
						}
					default:
						runtime.Gosched()
						continue
					}
				case err != nil:
					t.Error(err)
					return
				}
				if e.Sequence != n {
					t.Errorf("%d follows %d", e.Sequence, n-1)
					return
				}
				if n++; rand.N(200) == 0 { // start anew
					r.close()
				}
			}
		})
	}
	for n := int64(1); n <= total; n++ {
		write(t, f, event(n))
		if n%150 == 0 {
			f.mu.Lock() // nothing makes them one act for a logrotate; the readers' own files are rotated by write
			err := os.Rename(path, fmt.Sprintf("%s-%d", path, n))
			f.mu.Unlock()
			if err := errors.Join(err, f.follow()); err != nil {
				t.Error(err)
			}
		}
	}
	close(written)
	wg.Wait()
}

func TestAFileMayBeginWithATornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	torn := `{"sequence":3,"mess` + "\n"
	create(t, path+".2", eventLines(1, 2))
	create(t, path+".1", torn)
	create(t, path, torn+event(3))
	r := newReader(t, path, 1)
	wantNumbers(t, "after 1", r.numbers(t), 2, 3)
	if last, err := lastSequence(path); last != 3 || err != nil {
		t.Errorf("lastSequence = %d, %v", last, err)
	}
}

func TestALongLineIsSkipped(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	create(t, path, event(1)+strings.Repeat("x", maxLine+100)+"\n"+event(2)+`{"sequence":3,`+strings.Repeat("\x00", 3*maxLine)+"\n"+event(4))
	r := newReader(t, path, 0)
	if got := r.numbers(t); !slices.Equal(got, []int64{1, 2, 4}) {
		t.Errorf("%v", got)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte(eventLines(1, 3)), []byte(eventLines(4, 5)), int64(2))
	f.Add([]byte(event(1)+"\n\x00\x00"+event(2)[:30]), []byte("{}\nnull\n"+event(7)+event(6)), int64(0))
	f.Add([]byte(`{"sequence":9223372036854775807,"message_id":"x","event_type":"y"}`+"\n"), []byte(`{"sequence":-1,`), int64(-5))
	f.Fuzz(func(t *testing.T, old, current []byte, after int64) {
		path := filepath.Join(t.TempDir(), "log")
		create(t, path+".1", string(old))
		create(t, path, string(current))
		r := newReader(t, path, after)
		for previous := after; ; {
			e, line, err := r.next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if e.Sequence <= previous || bytes.ContainsRune(line, '\n') || !bytes.Contains(slices.Concat(old, []byte("\n"), current), line) {
				t.Fatalf("after %d: %d, %q", previous, e.Sequence, line)
			}
			previous = e.Sequence
		}
		if last, err := lastSequence(path); err != nil || last < 0 {
			t.Fatalf("lastSequence = %d, %v", last, err)
		}
	})
}
