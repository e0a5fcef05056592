package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The first wait after a failure, and the longest. Each is twice as long as the one before, less a random part of up to a half.
const (
	firstWait = time.Second
	maxWait   = 5 * time.Minute
)

// A refusal is an answer that says that telling again is of no use.
type refusal struct{ status int }

func (r *refusal) Error() string {
	return fmt.Sprintf("the answer is %d %s", r.status, http.StatusText(r.status))
}

// A delay is an answer that says to try again, not before a time if it is not 0.
type delay struct {
	refusal
	wait time.Duration
}

// deliver tells the target of an event until it accepts it, or has refused it too often. It returns false when ctx ended.
func (h *hook) deliver(ctx context.Context, e envelope, body []byte) bool {
	refused := 0
	for failures := 0; ; failures++ {
		err := h.post(ctx, e, body)
		if ctx.Err() != nil && err != nil {
			return false
		}
		h.outcome(err)
		if err == nil {
			return true
		}
		if _, no := errors.AsType[*refusal](err); no {
			if refused++; refused >= h.attempts {
				h.log.Error("the webhook's target refuses an event, which is skipped", "event", e.EventType, "message_id", e.MessageID, "attempts", refused, "error", err)
				h.mu.Lock()
				h.stats.Skipped++
				h.mu.Unlock()
				return true
			}
		}
		if failures == 0 {
			h.save()
		}
		wait := backoff(failures)
		if d, asked := errors.AsType[*delay](err); asked {
			wait = max(wait, min(d.wait, maxWait))
		}
		if !h.sleep(ctx, wait) {
			return false
		}
	}
}

// outcome counts an attempt, and logs when attempts begin to fail and when they succeed again.
func (h *hook) outcome(err error) {
	problem := ""
	if err != nil {
		problem = err.Error()
	}
	h.mu.Lock()
	before := h.stats.Problem
	h.stats.Problem = problem
	if err == nil {
		h.stats.Delivered++
	}
	h.mu.Unlock()
	switch {
	case err != nil && before != problem:
		h.log.Warn("the webhook's target does not accept an event, it is tried again", "error", err)
	case err == nil && before != "":
		h.log.Info("the webhook's target accepts events again")
	}
}

// post sends an event once.
func (h *hook) post(ctx context.Context, e envelope, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "vitrine")
	req.Header.Set(HeaderID, string(e.MessageID))
	req.Header.Set(HeaderTimestamp, timestamp)
	req.Header.Set(HeaderSignature, sign(h.secret, timestamp, body))
	resp, err := h.client.Do(req)
	if err != nil {
		if inURL, ok := errors.AsType[*url.Error](err); ok { // whose query may hold a key
			err = inURL.Err
		}
		return err
	}
	io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
	resp.Body.Close()
	return judge(resp)
}

// judge returns what an answer means: nil, *refusal or *delay.
func judge(resp *http.Response) error {
	status := resp.StatusCode
	switch {
	case status >= 200 && status < 300:
		return nil
	case status >= 300 && status < 500 && status != http.StatusRequestTimeout && status != http.StatusTooManyRequests:
		return &refusal{status}
	}
	seconds, _ := strconv.ParseInt(resp.Header.Get("Retry-After"), 10, 32) // a date is as good as none
	return &delay{refusal{status}, time.Duration(max(seconds, 0)) * time.Second}
}

// backoff returns how long to wait after so many failures before.
func backoff(failures int) time.Duration {
	wait := min(firstWait<<min(failures, 20), maxWait)
	return wait/2 + rand.N(wait/2)
}

// sleep returns false when ctx ends first.
func (h *hook) sleep(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
