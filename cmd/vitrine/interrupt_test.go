package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// quietInput is standard input of which nothing ever comes.
type quietInput struct {
	*io.PipeReader
	once  sync.Once
	asked func()
}

func (q *quietInput) Read(p []byte) (int, error) {
	q.once.Do(q.asked)
	return q.PipeReader.Read(p)
}

// TestInterruptsWhileStandardInputIsQuiet: a signal ends the command though nobody can end its Read of standard input, and
// an image without data is not left over.
func TestInterruptsWhileStandardInputIsQuiet(t *testing.T) {
	const id = "09d71d45-7b61-42ad-b59c-0234ba01befe"
	const document = `{"id":"` + id + `","status":"queued","visibility":"shared","created_at":"2026-11-20T18:10:26Z","updated_at":"2026-11-20T18:10:26Z"}`
	const path = "/v2/images/" + id
	for _, tt := range []struct {
		name string
		args []string
		want []string // what the server is asked for, before the data and after
	}{
		{"create", []string{"image", "create", "--file", "-", "--disk-format", "raw", "x"},
			[]string{"POST /v2/images", "PUT " + path + "/file", "DELETE " + path}},
		{"create and find out the format", []string{"image", "create", "--file", "-", "x"}, nil},
		{"upload", []string{"image", "upload", "--file", "-", id}, []string{"GET " + path, "PUT " + path + "/file"}},
		{"stage", []string{"image", "stage", "--file", "-", id}, []string{"GET " + path, "PUT " + path + "/stage"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var mu sync.Mutex
			var asked []string
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mu.Lock()
				asked = append(asked, r.Method+" "+r.URL.Path)
				mu.Unlock()
				switch r.Method {
				case "PUT":
					io.Copy(io.Discard, r.Body)
				case "DELETE":
					w.WriteHeader(http.StatusNoContent)
				case "POST":
					w.WriteHeader(http.StatusCreated)
					io.WriteString(w, document)
				default:
					io.WriteString(w, document)
				}
			}))
			defer srv.Close()
			ctx, signal := context.WithCancel(t.Context())
			pipe, end := io.Pipe()
			defer end.Close()
			var errs strings.Builder
			code := run(ctx, append([]string{"--endpoint", srv.URL}, tt.args...), &quietInput{PipeReader: pipe, asked: signal}, io.Discard, &errs)
			mu.Lock()
			defer mu.Unlock()
			if code != exitInterrupted || !slices.Equal(asked, tt.want) {
				t.Errorf("exit code %d, %q; the server was asked for %q, want %q", code, errs.String(), asked, tt.want)
			}
		})
	}
}
