package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

func TestUpload(t *testing.T) {
	data := randomBytes(3 << 20)
	for _, tt := range []struct {
		name                  string
		up                    Upload
		length                int64
		size, expect, storeID string
	}{
		{"known size", Upload{Body: bytes.NewReader(data), Size: int64(len(data)), Store: "fast"}, int64(len(data)), "3145728", "100-continue", "fast"},
		{"unknown size", Upload{Body: bytes.NewReader(data), Size: -1}, -1, "", "100-continue", ""},
		{"little", Upload{Body: strings.NewReader("abc"), Size: 3}, 3, "3", "", ""},
		{"nothing", Upload{Body: strings.NewReader(""), Size: 0}, 0, "0", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []byte
			c := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Method != "PUT" || r.URL.Path != "/v2/images/"+string(testID)+"/file" || r.ContentLength != tt.length ||
					r.Header.Get("Content-Type") != "application/octet-stream" || r.Header.Get("X-Openstack-Image-Size") != tt.size ||
					r.Header.Get("Expect") != tt.expect || r.Header.Get("X-Image-Meta-Store") != tt.storeID {
					t.Errorf("%s %s, length %d, headers %v", r.Method, r.URL, r.ContentLength, r.Header)
				}
				got, _ = io.ReadAll(r.Body)
				w.WriteHeader(http.StatusNoContent)
			}, Config{})
			if err := c.Upload(t.Context(), testID, tt.up); err != nil {
				t.Fatal(err)
			}
			if tt.length != 3 && tt.length != 0 && !bytes.Equal(got, data) {
				t.Errorf("%d bytes arrived", len(got))
			}
		})
	}
}

func TestUploadRefusedBeforeTheBody(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "409 Conflict\n\nNot queued", http.StatusConflict)
	}, Config{})
	body := &endless{}
	err := c.Upload(t.Context(), testID, Upload{Body: io.LimitReader(body, 1<<40), Size: 1 << 40})
	if !errors.Is(err, image.ErrConflict) || body.read > 1<<20 {
		t.Errorf("Upload = %v after %d bytes, want ErrConflict", err, body.read)
	}
}

func TestUploadOfABrokenSource(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, Config{})
	reason := errors.New("disk on fire")
	for _, size := range []int64{-1, 100} {
		body := io.MultiReader(strings.NewReader("abc"), broken{reason})
		if err := c.Upload(t.Context(), testID, Upload{Body: body, Size: size}); !errors.Is(err, reason) || errors.Is(err, ErrUnreachable) {
			t.Errorf("Upload of %d bytes = %v, want %v", size, err, reason)
		}
	}
}

func TestUploadOfASourceThatShrank(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(io.Discard, r.Body) }, Config{})
	err := c.Upload(t.Context(), testID, Upload{Body: strings.NewReader("abc"), Size: 100})
	if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, ErrUnreachable) {
		t.Errorf("Upload = %v, want io.ErrUnexpectedEOF", err)
	}
}

type broken struct{ err error }

func (b broken) Read([]byte) (int, error) { return 0, b.err }

func TestUploadThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Config{StallTimeout: 10 * time.Second, HTTPClient: &http.Client{Transport: roundTrip(
			func(r *http.Request) (*http.Response, error) {
				r.Body.Read(make([]byte, 10)) // and then no more
				<-r.Context().Done()
				return nil, context.Cause(r.Context())
			})}})
		start := time.Now()
		err := c.Upload(t.Context(), testID, Upload{Body: &endless{}, Size: -1})
		if !errors.Is(err, ErrUnreachable) || time.Since(start) != 10*time.Second {
			t.Errorf("Upload = %v after %s, want ErrUnreachable after 10 s", err, time.Since(start))
		}
	})
}

func TestUploadMayWaitForItsSourceAndForTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newClient(t, Config{StallTimeout: 10 * time.Second, HTTPClient: &http.Client{Transport: roundTrip(
			func(r *http.Request) (*http.Response, error) {
				io.Copy(io.Discard, r.Body)
				select {
				case <-time.After(time.Hour): // to make the data durable
					return answer(http.StatusNoContent, nil, ""), nil
				case <-r.Context().Done():
					return nil, context.Cause(r.Context())
				}
			})}})
		slow := io.MultiReader(&late{"abc"}, &late{"def"})
		if err := c.Upload(t.Context(), testID, Upload{Body: slow, Size: -1}); err != nil {
			t.Errorf("Upload = %v", err)
		}
	})
}

// late comes after an hour.
type late struct{ text string }

func (l *late) Read(p []byte) (int, error) {
	<-time.After(time.Hour)
	n := copy(p, l.text)
	l.text = l.text[n:]
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}
