package events

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
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

// An attempt is a request that a fake transport saw.
type attempt struct {
	at       time.Time
	sequence int64
}

// A script is a transport that answers with one status after the other, and the last for ever.
type script struct {
	mu       sync.Mutex
	statuses []int // 0 is no answer
	after    string
	attempts []attempt
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e, _ := parseEnvelope(body)
	s.attempts = append(s.attempts, attempt{time.Now(), e.Sequence})
	status := s.statuses[0]
	if len(s.statuses) > 1 {
		s.statuses = s.statuses[1:]
	}
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	resp := &http.Response{StatusCode: status, Header: http.Header{}, Body: http.NoBody, Request: r}
	resp.Header.Set("Retry-After", s.after)
	return resp, nil
}

func (s *script) seen() []attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.attempts)
}

// play lets a log with one webhook run for so long after two events, and returns the attempts.
func play(t *testing.T, s *script, attempts int, wait time.Duration) (seen []attempt, stats HookStats, logged string) {
	t.Helper()
	cfg := hooked(t, "https://user:hunter2@example.org/?key=hunter2")
	cfg.Hooks[0].Attempts = attempts
	cfg.Transport = s
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		cfg.Logger = log.logger()
		l := openLog(t, cfg)
		stop := running(t, l)
		emit(t, l, ImageCreate, ImageUpdate)
		time.Sleep(wait)
		synctest.Wait()
		stop()
		seen, stats, logged = s.seen(), l.Stats().Hooks[0], log.String()
		if strings.Contains(logged, "hunter2") {
			t.Errorf("the password or the key is in the log: %s", logged)
		}
	})
	return seen, stats, logged
}

func TestBackoff(t *testing.T) {
	seen, stats, logged := play(t, &script{statuses: append(slices.Repeat([]int{503, 500, 0, 408, 429}, 3), 200)}, 1, time.Hour)
	if len(seen) != 17 || stats.Delivered != 2 || stats.Skipped != 0 || stats.Problem != "" {
		t.Fatalf("%d attempts, %+v: %s", len(seen), stats, logged)
	}
	for i, a := range seen[:16] {
		if a.sequence != 1 {
			t.Fatalf("attempt %d is of event %d, before the first was accepted", i, a.sequence)
		}
		if i == 0 {
			continue
		}
		most := min(time.Second<<(i-1), 5*time.Minute)
		if waited := a.at.Sub(seen[i-1].at); waited < most/2 || waited > most {
			t.Errorf("attempt %d came after %v, want %v to %v", i, waited, most/2, most)
		}
	}
	if seen[16].at != seen[15].at || seen[16].sequence != 2 {
		t.Errorf("the next event waited")
	}
	if !strings.Contains(logged, "503 Service Unavailable") || !strings.Contains(logged, "connection refused") || !strings.Contains(logged, "accepts events again") {
		t.Errorf("the log says %s", logged)
	}
}

func TestTheSameProblemIsLoggedOnce(t *testing.T) {
	_, stats, logged := play(t, &script{statuses: []int{503}}, 1, time.Hour)
	if n := strings.Count(logged, "does not accept"); n != 1 || stats.Behind != 2 || stats.Problem == "" {
		t.Errorf("logged %d times, %+v", n, stats)
	}
}

func TestRetryAfter(t *testing.T) {
	for after, want := range map[string]time.Duration{"60": time.Minute, "100000": maxWait, "-5": 0, "soon": 0, "": 0} {
		seen, _, _ := play(t, &script{statuses: []int{429, 200}, after: after}, 1, time.Hour)
		want = max(want, firstWait)
		if waited := seen[1].at.Sub(seen[0].at); waited > want || waited < want/2 {
			t.Errorf("Retry-After %q: waited %v, want %v", after, waited, want)
		}
	}
}

func TestWhatIsRefusedTooOftenIsSkipped(t *testing.T) {
	for _, status := range []int{400, 401, 404, 410, 302} {
		seen, stats, logged := play(t, &script{statuses: []int{0, status, status, 0, status, 200}}, 3, time.Hour)
		var got []int64
		for _, a := range seen {
			got = append(got, a.sequence)
		}
		if !slices.Equal(got, []int64{1, 1, 1, 1, 1, 2}) || stats.Skipped != 1 || stats.Delivered != 1 || stats.Behind != 0 {
			t.Errorf("%d: attempts %v, %+v", status, got, stats)
		}
		if !strings.Contains(logged, "is skipped") || !strings.Contains(logged, "event=image.create") || !strings.Contains(logged, fmt.Sprint(status)) {
			t.Errorf("%d: the log says %s", status, logged)
		}
	}
}

func TestATargetThatHangs(t *testing.T) {
	hangs := transportFunc(func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	})
	cfg := hooked(t, "http://example.org")
	cfg.Transport, cfg.Hooks[0].Timeout = hangs, 3*time.Second
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, cfg)
		stop := running(t, l)
		emit(t, l, ImageCreate)
		time.Sleep(3*time.Second + time.Millisecond)
		synctest.Wait()
		if s := l.Stats().Hooks[0]; s.Problem == "" {
			t.Errorf("%+v", s)
		}
		stop()
	})
}

type transportFunc func(*http.Request) (*http.Response, error)

func (fn transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return fn(r) }

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

func TestVerify(t *testing.T) {
	body := []byte(`{"a":1}`)
	now := time.Unix(1764000000, 0)
	header := func(timestamp, signature string) http.Header {
		return http.Header{"X-Vitrine-Timestamp": {timestamp}, "X-Vitrine-Signature": {signature}}
	}
	// printf '1764000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
	const good = "sha256=19b692a3b3faad0515d4b643aa46cb06d55d8258053f2ffb472c2134aa59171c"
	if got := sign(secret, "1764000000", body); got != good {
		t.Errorf("the signature is %s, openssl's is %s", got, good)
	}
	for what, err := range map[string]error{
		"another body":      Verify(header("1764000000", good), append(body, ' '), secret, now),
		"another secret":    Verify(header("1764000000", good), body, secret+"x", now),
		"another timestamp": Verify(header("1764000001", good), body, secret, now),
		"no signature":      Verify(header("1764000000", ""), body, secret, now),
		"no headers":        Verify(http.Header{}, body, secret, now),
		"no number":         Verify(header("x", sign(secret, "x", body)), body, secret, now),
		"too old":           Verify(header("1764000000", good), body, secret, now.Add(6*time.Minute)),
		"of the future":     Verify(header("1764000000", good), body, secret, now.Add(-6*time.Minute)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if err := Verify(header("1764000000", good), body, secret, now.Add(4*time.Minute)); err != nil {
		t.Error(err)
	}
}

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	for failures := range 200 {
		if wait := backoff(failures); wait < firstWait/2 || wait > maxWait {
			t.Errorf("after %d failures: %v", failures, wait)
		}
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := openLog(t, hooked(t, "http://example.org")).Run(ctx); err != nil {
		t.Error(err)
	}
}
