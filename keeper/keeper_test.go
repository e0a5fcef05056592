package keeper

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestJobsRunInTimeAndWhenWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		runs, atOnce, wake, done := 0, 0, make(chan struct{}), make(chan error)
		go func() {
			done <- Run(ctx, slog.New(slog.DiscardHandler), Job{Name: "count", Every: time.Minute, Wake: wake,
				Run: func(context.Context) error { runs++; return nil }},
				Job{Name: "at once", Every: time.Hour, AtStart: true, Run: func(context.Context) error { atOnce++; return nil }})
		}()
		time.Sleep(3*time.Minute + time.Second) // the bubble's clock
		synctest.Wait()
		if runs != 3 || atOnce != 1 {
			t.Errorf("%d runs in three minutes, and %d of what runs at the start and every hour, want 3 and 1", runs, atOnce)
		}
		wake <- struct{}{}
		synctest.Wait()
		if runs != 4 {
			t.Errorf("%d runs after a wake-up, want 4", runs)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A job that fails is tried again soon, less and less often while the trouble lasts, and in its own time after that.
func TestFailedJobsAreTriedAgainSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		var runs []time.Duration
		started := time.Now()
		go func() {
			done <- Run(ctx, slog.New(slog.DiscardHandler), Job{Name: "sweep", Every: 5 * time.Second, Retry: time.Second,
				Run: func(context.Context) error {
					runs = append(runs, time.Since(started)/time.Second)
					if len(runs) == 5 || len(runs) == 6 {
						return nil
					}
					return errors.New("no disk")
				}})
		}()
		time.Sleep(30 * time.Second) // the bubble's clock
		cancel()
		<-done
		if want := []time.Duration{5, 6, 8, 12, 17, 22, 27, 28}; !slices.Equal(runs[:min(len(runs), len(want))], want) {
			t.Errorf("it ran after %d seconds, want %d", runs, want)
		}
	})
}

// A stop tells the job under way, and waits until it has ended.
func TestStopWaitsForTheJobUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		ended, done := false, make(chan error)
		var log bytes.Buffer
		go func() {
			done <- Run(ctx, slog.New(slog.NewTextHandler(&log, nil)),
				Job{Name: "idle", Every: time.Hour, Run: func(context.Context) error { return nil }},
				Job{Name: "long", Every: time.Minute, Run: func(ctx context.Context) error {
					<-ctx.Done()
					time.Sleep(time.Second) // the bubble's clock
					ended = true
					return ctx.Err()
				}})
		}()
		time.Sleep(2 * time.Minute)
		cancel()
		if err := <-done; err != nil || !ended {
			t.Errorf("Run = %v, and the job has ended is %v, want nil and true", err, ended)
		}
		if log.Len() > 0 {
			t.Errorf("a job that is stopped is no trouble:\n%s", &log)
		}
	})
}

func TestTroubleIsToldOnceAndItsEndToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var log bytes.Buffer
		var broken atomic.Bool
		broken.Store(true)
		done := make(chan error)
		go func() {
			done <- Run(ctx, slog.New(slog.NewTextHandler(&log, nil)), Job{Name: "sweep", Every: time.Minute,
				Run: func(context.Context) error {
					if broken.Load() {
						return errors.New("no disk")
					}
					return nil
				}})
		}()
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		broken.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		cancel()
		<-done
		if got := strings.Count(log.String(), "no disk"); got != 1 {
			t.Errorf("the trouble was told %d times, want once:\n%s", got, &log)
		}
		if !strings.Contains(log.String(), "works again") {
			t.Errorf("nobody was told that the job works again:\n%s", &log)
		}
	})
}
