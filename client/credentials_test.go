package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// counting gives the tokens t1, t2 and so on.
type counting struct {
	given atomic.Int64
	last  int64 // there are no more, 0 for any number
	err   error // instead of one more
}

func (c *counting) Token(_ context.Context, rejected string) (string, error) {
	if now := c.given.Load(); now == 0 || rejected == fmt.Sprintf("t%d", now) && now != c.last {
		if c.err != nil {
			return "", c.err
		}
		c.given.Add(1)
	}
	return fmt.Sprintf("t%d", c.given.Load()), nil
}

// onlyT2 answers requests with that token alone, and tells what arrived with it.
func onlyT2(t *testing.T, source TokenSource) (*Client, *string) {
	got := new(string)
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Auth-Token") != "t2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		body, _ := io.ReadAll(r.Body)
		*got = string(body)
		if r.Method == http.MethodPut {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		io.WriteString(w, testDocument)
	}, Config{Tokens: source, Retries: -1}), got
}

func TestTokenIsRenewed(t *testing.T) {
	c, _ := onlyT2(t, &counting{})
	if _, err := c.Get(t.Context(), testID); err != nil {
		t.Errorf("Get with a token that has expired: %v", err)
	}
	c, got := onlyT2(t, &counting{})
	if _, err := c.Create(t.Context(), "", nil); err != nil || *got != "{}" {
		t.Errorf("Create with a token that has expired sent %q: %v", *got, err)
	}
	c, got = onlyT2(t, &counting{})
	data := strings.Repeat("x", expectAbove+1)
	if err := c.Upload(t.Context(), testID, Upload{Body: strings.NewReader(data), Size: int64(len(data))}); err != nil || *got != data {
		t.Errorf("Upload with a token that has expired sent %d bytes: %v", len(*got), err)
	}
	c, _ = onlyT2(t, &counting{last: 1})
	if _, err := c.Get(t.Context(), testID); !errors.Is(err, image.ErrUnauthorized) {
		t.Errorf("Get without another token: %v", err)
	}
	gone := errors.New("no more")
	c, _ = onlyT2(t, &counting{err: gone})
	if _, err := c.Get(t.Context(), testID); !errors.Is(err, gone) {
		t.Errorf("Get without any token: %v", err)
	}
}

// TestUploadIsNotSentTwiceInParts sends data of which the server has read a part when it refuses the token.
func TestUploadIsNotSentTwiceInParts(t *testing.T) {
	requests := 0
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		requests++
		io.ReadFull(r.Body, make([]byte, 1000))
		w.WriteHeader(http.StatusUnauthorized)
	}, Config{Tokens: &counting{}, Retries: -1})
	err := c.Upload(t.Context(), testID, Upload{Body: strings.NewReader(strings.Repeat("x", 100_000)), Size: 100_000})
	if !errors.Is(err, image.ErrUnauthorized) || requests != 1 {
		t.Errorf("Upload = %v after %d requests, want image.ErrUnauthorized after one", err, requests)
	}
}

// TestUploadTellsItsSourcesErrorAfterARenewal fails in the body that is sent with the second token.
func TestUploadTellsItsSourcesErrorAfterARenewal(t *testing.T) {
	c, _ := onlyT2(t, &counting{})
	broken := errors.New("the disk is broken")
	body := io.MultiReader(strings.NewReader("some"), errorReader{broken})
	if err := c.Upload(t.Context(), testID, Upload{Body: body, Size: expectAbove + 1}); !errors.Is(err, broken) {
		t.Errorf("Upload = %v, want the source's error", err)
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

func TestCredentials(t *testing.T) {
	var user, password string
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ = r.BasicAuth()
		io.WriteString(w, testDocument)
	}, Config{User: "olga", Password: "s:ecret"})
	if _, err := c.Get(t.Context(), testID); err != nil || user != "olga" || password != "s:ecret" {
		t.Errorf("logged in as %q with %q: %v", user, password, err)
	}
	for _, bad := range []Config{{Token: "t", User: "u"}, {Token: "t", Tokens: &counting{}}, {Password: "p"}} {
		if _, err := New(bad); err == nil || strings.Contains(fmt.Sprint(err), "secret") {
			t.Errorf("two ways to log in: %v", err)
		}
	}
}
