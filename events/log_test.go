package events

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/requestid"
)

func openLog(t *testing.T, cfg Config) *Log {
	t.Helper()
	if cfg.File.Path == "" {
		cfg.File.Path = filepath.Join(t.TempDir(), "events.jsonl")
	}
	l, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// running runs the log until the returned func is called, which waits for its end.
func running(t *testing.T, l *Log) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func sequences(t *testing.T, lines []string) (list []int64) {
	t.Helper()
	for _, line := range lines {
		list = append(list, int64(decode(t, line)["sequence"].(float64)))
	}
	return list
}

func TestTheEnvelope(t *testing.T) {
	l := openLog(t, Config{PublisherID: "image.node1", Disabled: []string{"image.member"}})
	stop := running(t, l)
	l.Emit(requestid.With(t.Context(), "req-1"), ForImage(ImageCreate, picture("a <b> & \u2028 \"c\"\n"), at))
	l.Emit(t.Context(), ForMember(MemberCreate, image.Member{}, at))
	l.Emit(t.Context(), ForFailedUpload("1b4e28ba-2fa1-11d2-883f-0016d3cca427", image.ErrStoreFull, at))
	stop()
	lines := readAll(t, l.file.cfg.Path)
	if len(lines) != 2 {
		t.Fatalf("%d lines, want 2: %q", len(lines), lines)
	}
	first, second := decode(t, lines[0]), decode(t, lines[1])
	id, _ := first["message_id"].(string)
	if _, ok := image.ParseID(id); !ok || id == second["message_id"] {
		t.Errorf("the message ids are %v and %v", id, second["message_id"])
	}
	golden(t, "envelope.jsonl", []byte(strings.Replace(lines[0], id, "MESSAGE-ID", 1)+"\n"+strings.Replace(lines[1], second["message_id"].(string), "MESSAGE-ID", 1)+"\n"))
	if name := first["payload"].(map[string]any)["name"]; name != "a <b> & \u2028 \"c\"\n" {
		t.Errorf("the name is told as %q", name)
	}
	if s := l.Stats(); s.Emitted != 2 || s.Dropped != 0 || s.Queued != 0 {
		t.Errorf("%+v", s)
	}
}

func TestThePublisherIsTheHost(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if l := openLog(t, Config{}); l.publisher != "image."+host {
		t.Errorf("the publisher is %q", l.publisher)
	}
}

func TestNumbersGoOnAfterARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for range 3 {
		l := openLog(t, Config{File: FileConfig{Path: path, MaxSize: 2000, Keep: 9}})
		for range 2 {
			l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
		}
		running(t, l)() // writes what waits
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	r := newReader(t, path, 0)
	var got []int64
	for {
		e, _, err := r.next()
		if err != nil {
			break
		}
		got = append(got, e.Sequence)
	}
	wantNumbers(t, "in all files", got, 1, 6)
	if list, _ := segments(path); len(list) < 2 {
		t.Error("the log was not rotated")
	}
}

func TestManyEmitWhileFilesRotate(t *testing.T) {
	l := openLog(t, Config{File: FileConfig{Path: filepath.Join(t.TempDir(), "log"), MaxSize: 20 << 10, Keep: 1000}})
	stop := running(t, l)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 250 {
				l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
			}
		})
	}
	wg.Wait()
	stop()
	r := newReader(t, l.file.cfg.Path, 0)
	for n := int64(1); n <= 1000; n++ {
		if e, _, err := r.next(); err != nil || e.Sequence != n {
			t.Fatalf("event %d: %d, %v", n, e.Sequence, err)
		}
	}
}

// readOnly puts a file into the place of the log's that takes nothing, until the returned func is called.
func readOnly(t *testing.T, f *lineFile) (repair func()) {
	t.Helper()
	broken, err := os.Open(f.cfg.Path)
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	good := f.f
	f.f = broken
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.f = good
		broken.Close()
	}
}

func TestEventsWaitWhileTheFileCannotBeWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		l := openLog(t, Config{File: FileConfig{Path: path}, Queue: 3000, Logger: log.logger()})
		stop := running(t, l)
		repair := readOnly(t, l.file)
		for range 10 {
			l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
		}
		time.Sleep(10 * time.Second)
		s := l.Stats()
		if s.Dropped == 0 || s.Dropped == 10 || s.Queued == 0 || s.Queued > 3000 {
			t.Fatalf("%+v, want some events to wait and some to be dropped", s)
		}
		for _, want := range []string{"cannot be written", "were dropped", fmt.Sprintf("events=%d", s.Dropped)} {
			if n := strings.Count(log.String(), want); n != 1 {
				t.Errorf("%q was logged %d times: %s", want, n, &log)
			}
		}
		time.Sleep(reportEvery)
		if n := strings.Count(log.String(), "cannot be written"); n != 2 {
			t.Errorf("after a minute it was logged %d times", n)
		}
		repair()
		time.Sleep(2 * time.Second)
		l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
		stop()
		got := sequences(t, readAll(t, path))
		want := []int64{}
		for n := int64(1); n <= 10-s.Dropped; n++ {
			want = append(want, n)
		}
		if !slices.Equal(got, append(want, 11)) { // those that were dropped leave a gap
			t.Errorf("the log holds %v after %d were dropped", got, s.Dropped)
		}
		if !strings.Contains(log.String(), "can be written again") {
			t.Errorf("the repair is not logged: %s", &log)
		}
	})
}

func TestWhatCannotBeWrittenAtTheEndIsTold(t *testing.T) {
	var log logBuffer
	l := openLog(t, Config{Logger: log.logger()})
	defer readOnly(t, l.file)()
	l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
	running(t, l)()
	if !strings.Contains(log.String(), "were dropped") || !strings.Contains(log.String(), "events=1") {
		t.Errorf("the log says %s", &log)
	}
}

func TestAnEventThatIsTooLargeIsDropped(t *testing.T) {
	l := openLog(t, Config{})
	img := picture("x")
	img.Properties["large"] = strings.Repeat("x", maxLine)
	l.Emit(t.Context(), ForImage(ImageCreate, img, at))
	l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
	running(t, l)()
	if got := sequences(t, readAll(t, l.file.cfg.Path)); !slices.Equal(got, []int64{2}) || l.Stats().Dropped != 1 {
		t.Errorf("the log holds %v", got)
	}
}

func TestEventsSurviveAFullDisk(t *testing.T) {
	dir := smallDisk(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 56<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, Config{File: FileConfig{Path: filepath.Join(dir, "log")}})
		stop := running(t, l)
		for range 30 {
			l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
		}
		time.Sleep(3 * time.Second)
		if s := l.Stats(); s.Queued == 0 {
			t.Fatal("the disk is not full")
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		stop()
		r := newReader(t, l.file.cfg.Path, 0)
		for n := int64(1); n <= 30; n++ {
			if e, _, err := r.next(); err != nil || e.Sequence != n {
				t.Fatalf("event %d: %d, %v", n, e.Sequence, err)
			}
		}
	})
}

func TestAMovedLogIsFollowed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, Config{File: FileConfig{Path: path}})
		stop := running(t, l)
		l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
		time.Sleep(2 * time.Second)
		if err := os.Rename(path, path+"-1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
		time.Sleep(2 * time.Second)
		if err := errors.Join(os.Rename(path, path+"-2"), l.Reopen()); err != nil {
			t.Fatal(err)
		}
		l.Emit(t.Context(), ForImage(ImageCreate, picture("x"), at))
		stop()
		for i, file := range []string{"-1", "-2", ""} {
			if got := sequences(t, readAll(t, path+file)); !slices.Equal(got, []int64{int64(i + 1)}) {
				t.Errorf("log%s holds %v", file, got)
			}
		}
	})
}

func TestOpenRefuses(t *testing.T) {
	file := FileConfig{Path: filepath.Join(t.TempDir(), "log")}
	good := HookConfig{Name: "a", URL: "http://example.org", Secret: "0123456789abcdef"}
	with := func(edit func(*HookConfig)) Config {
		h := good
		edit(&h)
		return Config{File: file, StateDir: t.TempDir(), Hooks: []HookConfig{h}}
	}
	for what, cfg := range map[string]Config{
		"no path":             {},
		"a negative queue":    {File: file, Queue: -1},
		"an unknown event":    {File: file, Disabled: []string{"image.creation"}},
		"no state directory":  {File: file, Hooks: []HookConfig{good}},
		"a missing directory": {File: file, Hooks: []HookConfig{good}, StateDir: filepath.Join(t.TempDir(), "no")},
		"two of a name":       {File: file, Hooks: []HookConfig{good, good}, StateDir: t.TempDir()},
		"no name":             with(func(h *HookConfig) { h.Name = "" }),
		"a path as a name":    with(func(h *HookConfig) { h.Name = "../a" }),
		"no URL":              with(func(h *HookConfig) { h.URL = "" }),
		"another scheme":      with(func(h *HookConfig) { h.URL = "ftp://example.org" }),
		"a short secret":      with(func(h *HookConfig) { h.Secret = "hunter2" }),
		"an unknown filter":   with(func(h *HookConfig) { h.Only = []string{"x"} }),
		"negative attempts":   with(func(h *HookConfig) { h.Attempts = -1 }),
		"a negative timeout":  with(func(h *HookConfig) { h.Timeout = -1 }),
	} {
		if l, err := Open(cfg); err == nil {
			l.Close()
			t.Errorf("%s: no error", what)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the secret is shown: %v", what, err)
		}
	}
	l, err := Open(with(func(*HookConfig) {}))
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
}
