package client

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// TestRepeats counts how often a request is sent whose way is broken, and what the caller hears at last.
func TestRepeats(t *testing.T) {
	broken := func(*http.Request) (*http.Response, error) { return nil, syscall.ECONNRESET }
	status := func(code int, header http.Header) roundTrip {
		return func(*http.Request) (*http.Response, error) { return answer(code, header, ""), nil }
	}
	get := func(c *Client) error { _, err := c.Get(context.Background(), testID); return err }
	for _, tt := range []struct {
		name  string
		reply roundTrip
		call  func(c *Client) error
		sent  int
		want  error
	}{
		{"broken GET", broken, get, 4, ErrUnreachable},
		{"broken PATCH", broken, func(c *Client) error { _, err := c.Edit(context.Background(), testID, nil); return err }, 1, ErrUnreachable},
		{"broken POST", broken, func(c *Client) error { _, err := c.Create(context.Background(), "", nil); return err }, 1, ErrUnreachable},
		{"broken DELETE", broken, func(c *Client) error { return c.Delete(context.Background(), testID) }, 1, ErrUnreachable},
		{"broken PUT of a tag", broken, func(c *Client) error { return c.AddTag(context.Background(), testID, "a") }, 4, ErrUnreachable},
		{"nobody there", func(*http.Request) (*http.Response, error) {
			return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
		}, get, 1, ErrUnreachable},
		{"no answer", func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		}, get, 1, ErrUnreachable},
		{"bad gateway", status(502, nil), get, 4, ErrUnreachable},
		{"unavailable for a while", status(503, http.Header{"Retry-After": {"2"}}), get, 4, image.ErrUnavailable},
		{"unavailable", status(503, nil), get, 1, image.ErrUnavailable},
		{"broken server", status(500, nil), get, 1, nil},
		{"not there", status(404, nil), get, 1, image.ErrNotFound},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sent := 0
				c := newClient(t, Config{Retries: 3, HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					sent++
					return tt.reply(r)
				})}})
				err := tt.call(c)
				if sent != tt.sent || err == nil || tt.want != nil && !errors.Is(err, tt.want) {
					t.Errorf("sent %d times, want %d; error %v, want %v", sent, tt.sent, err, tt.want)
				}
			})
		})
	}
}

func TestRepeatsWaitAsTheServerAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		c := newClient(t, Config{HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			at = append(at, time.Since(start))
			if len(at) < 3 {
				return answer(503, http.Header{"Retry-After": {"7"}}, ""), nil
			}
			return answer(200, nil, testDocument), nil
		})}})
		if _, err := c.Get(t.Context(), testID); err != nil || len(at) != 3 || at[1] != 7*time.Second || at[2] != 14*time.Second {
			t.Errorf("Get asked at %v (%v)", at, err)
		}
	})
}

func TestCancelledRequestSaysSo(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, Config{})
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("enough")
	go cancel(reason)
	if _, err := c.Get(ctx, testID); !errors.Is(err, reason) || errors.Is(err, ErrUnreachable) {
		t.Errorf("Get = %v, want %v", err, reason)
	}
}
