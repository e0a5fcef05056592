package watchfile_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/internal/watchfile"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// parse joins the files, and refuses those that say so.
func parse(contents [][]byte) (string, error) {
	all := string(bytes.Join(contents, []byte("+")))
	if strings.Contains(all, "bad") {
		return "", errors.New("it is bad")
	}
	return all, nil
}

func TestAChangeTakesEffect(t *testing.T) {
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		write(t, a, "1")
		write(t, b, "2")
		v, err := watchfile.Open(slog.New(slog.NewTextHandler(&log, nil)), parse, a, b)
		if err != nil {
			t.Fatal(err)
		}
		want := func(when, want string) {
			t.Helper()
			if got := v.Get(); got != want {
				t.Errorf("%s: %q, want %q", when, got, want)
			}
		}
		later := func() { time.Sleep(watchfile.Interval) }
		write(t, b, "3") // as long as before, and perhaps at the same time to the file system
		want("before it is looked at", "1+2")
		later()
		want("changed", "1+3")
		write(t, a, "bad")
		later()
		want("broken", "1+3")
		later()
		want("still broken", "1+3")
		if n := strings.Count(log.String(), "it is bad"); n != 1 || !strings.Contains(log.String(), a) {
			t.Errorf("a broken file was logged %d times, want once with its name: %s", n, &log)
		}
		os.Remove(a)
		later()
		want("missing", "1+3")
		write(t, a+".new", "4")
		if err := os.Rename(a+".new", a); err != nil {
			t.Fatal(err)
		}
		later()
		want("replaced", "4+3")
	})
}

func TestOpenRefusesWhatCannotBeRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if _, err := watchfile.Open(nil, parse, path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	write(t, path, "bad")
	if _, err := watchfile.Open(nil, parse, path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a bad file: %v, want an error that names it", err)
	}
}
