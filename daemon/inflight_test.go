package daemon

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestInflightWaitsForHandlers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		goOn := make(chan struct{})
		f := &inflight{}
		f.serve(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-goOn }))
		if !f.wait(0) {
			t.Error("it waits for no request at all")
		}
		for range 2 {
			go f.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		}
		synctest.Wait()
		if f.wait(time.Second) {
			t.Error("it does not wait for requests under way")
		}
		go func() {
			time.Sleep(time.Minute) // the bubble's clock
			close(goOn)
		}()
		if !f.wait(time.Hour) {
			t.Error("it waits for requests that have ended")
		}
	})
}
