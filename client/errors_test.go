package client

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

func TestErrorText(t *testing.T) {
	for _, tt := range []struct{ contentType, body, want string }{
		{"application/json", `{"message": "No image found with ID 1<br /><br />\n\n\n", "code": "404 Not Found", "title": "Not Found"}`, "No image found with ID 1"},
		{"application/json", `{"error": {"message": "The request you have made requires authentication.", "code": 401}}`, "The request you have made requires authentication."},
		{"text/plain; charset=UTF-8", "403 Forbidden\n\nImage <x> is protected and cannot be deleted.\n\n  ", "Image <x> is protected and cannot be deleted."},
		{"text/html; charset=UTF-8", "<html>\n <head>\n  <title>409 Conflict</title>\n </head>\n <body>\n  <h1>409 Conflict</h1>\n  in use: &lt;b&gt;<br /><br />\n </body>\n</html>", "in use: <b>"},
		{"application/json", `{"message": `, `{"message":`},
		{"", "", ""},
	} {
		if got := errorText(tt.contentType, []byte(tt.body)); got != tt.want {
			t.Errorf("errorText(%s, %q) = %q, want %q", tt.contentType, tt.body, got, tt.want)
		}
	}
}

func TestServerFailureNamesTheRequest(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Openstack-Request-Id", "req-1234")
		http.Error(w, "500 Internal Server Error\n\nsomething broke", http.StatusInternalServerError)
	}, Config{})
	_, err := c.Get(t.Context(), testID)
	if got := fmt.Sprint(err); got != "something broke (request req-1234)" {
		t.Errorf("Get = %s", got)
	}
	var e *Error
	if !errors.As(err, &e) || e.Status != 500 || e.RequestID != "req-1234" {
		t.Errorf("Get = %#v", err)
	}
	for _, kind := range image.Errors() {
		if errors.Is(err, kind) {
			t.Errorf("a failure of the server is taken for %q", kind)
		}
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for _, tt := range []struct {
		header string
		want   time.Duration
	}{{"", 0}, {"3", 3 * time.Second}, {"86400", 30 * time.Second}, {"-1", 0}, {"soon", 0}} {
		if got := retryAfter(http.Header{"Retry-After": {tt.header}}); got != tt.want {
			t.Errorf("retryAfter(%q) = %s, want %s", tt.header, got, tt.want)
		}
	}
}
