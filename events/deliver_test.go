package events

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

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

func TestBackoffIsRandomWithinItsBounds(t *testing.T) {
	seen := map[time.Duration]bool{}
	for failures := range 200 {
		wait := backoff(failures)
		if seen[wait] = true; wait < firstWait/2 || wait > maxWait {
			t.Errorf("after %d failures: %v", failures, wait)
		}
	}
	if len(seen) < 50 {
		t.Errorf("%d different waits of 200", len(seen))
	}
}

func TestWhatWasAcceptedIsSavedBeforeWaiting(t *testing.T) {
	cfg := hooked(t, "http://example.org")
	cfg.Transport = &script{statuses: []int{200, 200, 503}}
	synctest.Test(t, func(t *testing.T) {
		l := openLog(t, cfg)
		stop := running(t, l)
		emit(t, l, ImageCreate, ImageUpdate, ImageDelete)
		synctest.Wait()
		if got := text(t, filepath.Join(cfg.StateDir, "a.cursor")); got != "2\n" {
			t.Errorf("the cursor is %q", got)
		}
		stop()
	})
}
