package events

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

const secret image.Secret = "0123456789abcdef"

// A target answers webhooks and remembers what it accepted.
type target struct {
	t      *testing.T
	answer func(r *http.Request, body []byte) int // nil accepts all
	got    chan int64                             // numbers that were accepted
}

func newTarget(t *testing.T, answer func(r *http.Request, body []byte) int) *target {
	return &target{t, answer, make(chan int64, 1000)}
}

func (g *target) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		g.t.Error(err)
	}
	if err := Verify(r.Header, body, secret, time.Now()); err != nil {
		g.t.Error(err)
	}
	e, ok := parseEnvelope(body)
	if !ok || r.Method != http.MethodPost || r.Header.Get(HeaderID) != string(e.MessageID) || r.Header.Get("Content-Type") != "application/json" {
		g.t.Errorf("%s %v: %q", r.Method, r.Header, body)
	}
	status := http.StatusNoContent
	if g.answer != nil {
		status = g.answer(r, body)
	}
	w.Header().Set("Location", "http://127.0.0.1:1/")
	w.WriteHeader(status)
	if status < 300 {
		g.got <- e.Sequence
	}
}

// accepted waits for so many events.
func (g *target) accepted(n int) (list []int64) {
	g.t.Helper()
	for range n {
		select {
		case s := <-g.got:
			list = append(list, s)
		case <-g.t.Context().Done():
			g.t.Fatal("the test has ended")
		}
	}
	return list
}

func emit(t *testing.T, l *Log, names ...Name) {
	t.Helper()
	for _, name := range names {
		l.Emit(t.Context(), ForImage(name, picture("x"), at))
	}
}

// hooked returns the settings of a log with webhooks to these URLs, named a, b ...
func hooked(t *testing.T, urls ...string) Config {
	cfg := Config{File: FileConfig{Path: filepath.Join(t.TempDir(), "log")}, StateDir: t.TempDir()}
	for i, u := range urls {
		cfg.Hooks = append(cfg.Hooks, HookConfig{Name: string(rune('a' + i)), URL: u, Secret: secret})
	}
	return cfg
}

func serve(t *testing.T, g http.Handler) string {
	server := httptest.NewServer(g)
	t.Cleanup(server.Close)
	return server.URL
}

// settled waits until the webhooks have seen the answers to all events.
func settled(l *Log) {
	for slices.ContainsFunc(l.Stats().Hooks, func(h HookStats) bool { return h.Behind > 0 }) {
		runtime.Gosched()
	}
}

// closing lets a test leave no connections behind.
func closing(t *testing.T, cfg Config) Config {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	cfg.Transport = transport
	return cfg
}

func TestWebhooks(t *testing.T) {
	all, some := newTarget(t, nil), newTarget(t, func(r *http.Request, _ []byte) int {
		if user, password, _ := r.BasicAuth(); user != "u" || password != "p" || r.URL.RawQuery != "key=1" {
			t.Errorf("%v", r.URL)
		}
		return 200
	})
	cfg := closing(t, hooked(t, serve(t, all), strings.Replace(serve(t, some), "//", "//u:p@", 1)+"/hook?key=1"))
	cfg.Hooks[1].Only, cfg.Hooks[1].Disabled = []string{"image"}, []string{"image.update"}
	l := openLog(t, cfg)
	stop := running(t, l)
	emit(t, l, ImageCreate, ImageUpdate, ImageActivate, ImageUpdate, ImageDelete)
	if got := all.accepted(5); !slices.Equal(got, []int64{1, 2, 3, 4, 5}) {
		t.Errorf("all: %v", got)
	}
	if got := some.accepted(3); !slices.Equal(got, []int64{1, 3, 5}) {
		t.Errorf("some: %v", got)
	}
	settled(l)
	stop()
	for i, want := range []int64{5, 3} {
		if s := l.Stats().Hooks[i]; s.Delivered != want || s.Skipped+s.Lost+s.Behind != 0 || s.Problem != "" {
			t.Errorf("%+v", s)
		}
	}
}

func TestAWebhookGoesOnWhereItWas(t *testing.T) {
	g := newTarget(t, nil)
	cfg := closing(t, hooked(t, serve(t, g)))
	without := cfg
	without.Hooks = nil
	run := func(cfg Config, expect int) []int64 {
		t.Helper()
		l := openLog(t, cfg)
		stop := running(t, l)
		emit(t, l, ImageCreate, ImageCreate)
		got := g.accepted(expect)
		settled(l)
		stop()
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return got
	}
	run(without, 0)
	if got := run(cfg, 2); !slices.Equal(got, []int64{3, 4}) {
		t.Errorf("a new webhook is told of %v, want what happens from now on", got)
	}
	run(without, 0)
	if got := run(cfg, 4); !slices.Equal(got, []int64{5, 6, 7, 8}) {
		t.Errorf("after a pause it is told of %v", got)
	}
	path := filepath.Join(cfg.StateDir, "a.cursor")
	if got := text(t, path); got != "8\n" {
		t.Errorf("the cursor is %q", got)
	}
	create(t, path, "") // as after a power cut
	if got := run(cfg, 10); len(got) != 10 || got[0] != 1 || got[9] != 10 {
		t.Errorf("with a broken cursor it is told of %v, want all", got)
	}
	if err := os.Remove(cfg.File.Path); err != nil {
		t.Fatal(err)
	}
	if got := run(cfg, 2); !slices.Equal(got, []int64{11, 12}) {
		t.Errorf("after the log was removed it is told of %v", got)
	}
}

func TestANewWebhookBesideAnOldOneMissesNothing(t *testing.T) {
	cfg := hooked(t, "http://example.org", "http://example.org")
	cfg.Transport = &script{statuses: []int{200}}
	create(t, filepath.Join(cfg.StateDir, "b.cursor"), "7\n") // of a log that is gone
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, cfg)
		stop := running(t, l)
		emit(t, l, ImageCreate)
		time.Sleep(time.Second)
		stop()
		for _, s := range l.Stats().Hooks {
			if s.Lost != 0 || s.Delivered != 1 || s.Behind != 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestACursorIsSavedEverySecond(t *testing.T) {
	cfg := hooked(t, "http://example.org")
	cfg.Transport = &script{statuses: []int{200}}
	path := filepath.Join(cfg.StateDir, "a.cursor")
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, cfg)
		stop := running(t, l)
		seen := map[string]bool{}
		for range 100 {
			emit(t, l, ImageUpdate)
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
			seen[text(t, path)] = true
		}
		if len(seen) < 8 || len(seen) > 12 {
			t.Errorf("it was saved %d times in 10 seconds", len(seen))
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := text(t, path); got != "100\n" {
			t.Errorf("a second after the last event the cursor is %q", got)
		}
		stop()
	})
}

func TestWhatIsGoneFromTheLogIsCounted(t *testing.T) {
	var log logBuffer
	g := newTarget(t, nil)
	cfg := closing(t, hooked(t, serve(t, g)))
	cfg.Logger = log.logger()
	openLog(t, cfg).Close()
	create(t, cfg.File.Path, eventLines(4, 5)+eventLines(7, 7))
	l := openLog(t, cfg)
	stop := running(t, l)
	if got := g.accepted(3); !slices.Equal(got, []int64{4, 5, 7}) {
		t.Errorf("%v", got)
	}
	settled(l)
	stop()
	if s := l.Stats().Hooks[0]; s.Lost != 4 || !strings.Contains(log.String(), "events=3") || !strings.Contains(log.String(), "events=1") {
		t.Errorf("%+v: %s", s, &log)
	}
}

func TestASlowTargetDelaysNoOther(t *testing.T) {
	release := make(chan struct{})
	slow := newTarget(t, func(*http.Request, []byte) int { <-release; return 200 })
	quick := newTarget(t, nil)
	cfg := closing(t, hooked(t, serve(t, slow), serve(t, quick)))
	l := openLog(t, cfg)
	stop := running(t, l)
	emit(t, l, slices.Repeat([]Name{ImageUpdate}, 100)...)
	quick.accepted(100)
	if s := l.Stats().Hooks; s[0].Delivered != 0 || s[0].Behind != 100 {
		t.Errorf("%+v", s)
	}
	close(release)
	wantNumbers(t, "slow", slow.accepted(100), 1, 100)
	stop()
}

func TestStoppingDoesNotWaitForATarget(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	slow := newTarget(t, func(*http.Request, []byte) int { close(asked); <-release; return 503 })
	cfg := closing(t, hooked(t, serve(t, slow)))
	l := openLog(t, cfg)
	stop := running(t, l)
	emit(t, l, ImageCreate)
	<-asked
	stop()
	close(release)
	if got := text(t, filepath.Join(cfg.StateDir, "a.cursor")); got != "0\n" {
		t.Errorf("the cursor is %q after an event that was not accepted", got)
	}
}

func TestAWebhookSurvivesTroubleWithFiles(t *testing.T) {
	s := &script{statuses: []int{200}}
	cfg := hooked(t, "http://example.org")
	cfg.Transport = s
	dir := filepath.Dir(cfg.File.Path)
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		cfg.Logger = log.logger()
		l := openLog(t, cfg)
		if err := errors.Join(os.Rename(dir, dir+".away"), os.Rename(cfg.StateDir, cfg.StateDir+".away")); err != nil {
			t.Fatal(err)
		}
		stop := running(t, l)
		emit(t, l, ImageCreate)
		time.Sleep(10 * time.Second)
		if n := len(s.seen()); n != 0 || !strings.Contains(log.String(), "cannot be read") {
			t.Errorf("%d attempts: %s", n, &log)
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Second)
		emit(t, l, ImageUpdate)
		time.Sleep(10 * time.Second)
		if n := len(s.seen()); n != 2 || strings.Count(log.String(), "cannot be saved") != 1 {
			t.Errorf("%d attempts: %s", n, &log)
		}
		if err := os.Rename(cfg.StateDir+".away", cfg.StateDir); err != nil {
			t.Fatal(err)
		}
		stop()
		if got := text(t, filepath.Join(cfg.StateDir, "a.cursor")); got != "2\n" {
			t.Errorf("the cursor is %q", got)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := openLog(t, hooked(t, "http://example.org")).Run(ctx); err != nil {
		t.Error(err)
	}
}
