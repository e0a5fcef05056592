package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

// noDeadline is one of no connection.
func noDeadline() *deadline { return &deadline{set: func(time.Time) error { return nil }} }

func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		first := b.try(60, noDeadline())
		if first == nil || b.try(60, noDeadline()) != nil {
			t.Fatal("a budget of 100 gives 60 never or twice")
		}
		started := time.Now()
		if s, err := b.take(t.Context(), time.Minute, 41, noDeadline()); !errors.Is(err, image.ErrUnavailable) || time.Since(started) != time.Minute {
			t.Errorf("take = %v, %v after %s, want ErrUnavailable after a minute", s, err, time.Since(started))
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := b.take(gone, time.Minute, 41, noDeadline()); !errors.Is(err, context.Canceled) {
			t.Errorf("take of somebody who left = %v", err)
		}
		if b.pressed() {
			t.Error("there is a hurry although nobody waits")
		}
		go first.release()
		all, err := b.take(t.Context(), time.Minute, 1000, noDeadline()) // more than there is
		if err != nil || !all.covers(1000) {
			t.Fatalf("take of everything = %v, %v", all, err)
		}
		all.release()
		all.release()
		if s := b.try(100, noDeadline()); s == nil || b.try(1, noDeadline()) != nil {
			t.Error("what was given back is not there, or there twice")
		}
	})
}

// TestSharesHurry: whoever has a share keeps its time until somebody waits, and has less from then on.
func TestSharesHurry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(100)
		var until time.Time
		d := &deadline{set: func(at time.Time) error { until = at; return nil }}
		d.allow(time.Hour)
		first := b.try(100, d)
		if got := time.Until(until); got != time.Hour {
			t.Errorf("%s are left", got)
		}
		go func() {
			if s, err := b.take(t.Context(), 0, 50, noDeadline()); err == nil {
				s.release()
			}
		}()
		synctest.Wait()
		if got := time.Until(until); got != hurryTime {
			t.Errorf("%s are left while somebody waits, want %s", got, hurryTime)
		}
		time.Sleep(time.Second)
		if got := d.allow(time.Hour); got != hurryTime || time.Until(until) != hurryTime {
			t.Errorf("the next step has %s, want %s", got, hurryTime)
		}
		first.release()
		synctest.Wait()
		if got := d.allow(time.Hour); got != time.Hour {
			t.Errorf("there is %s for a step that holds nothing", got)
		}
	})
}

// held returns how many bytes of a budget are given away.
func held(b *budget) (n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for s := range b.shares {
		n += s.bytes
	}
	return n
}

// heap returns the bytes that are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC() // what a pool gave up at the first
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

// In tests of many clients the budget is small, and less than a third of what they ask for.
const (
	fewBytes = 16 << 20
	aLot     = fewBytes + 32<<20 // bytes of heap, connections included
)

// TestSlowReadersOfLongAnswers: hundreds of clients that ask for as much as there is and read none of it hold no more
// than the budget, delay nobody who wants little, and others not for long.
func TestSlowReadersOfLongAnswers(t *testing.T) {
	f := newFake()
	long := map[string]string{}
	for i := range 4 {
		long[fmt.Sprintf("p%02d", i)] = strings.Repeat("v", 60_000)
	}
	id := f.add(image.Image{Owner: "p1", Properties: long}, "")
	const short = "GET /v2/schemas/image HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for name, ask := range map[string]string{
		"list":  "GET /v2/images HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"show":  "GET /v2/images/" + string(id) + " HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"patch": "PATCH /v2/images/" + string(id) + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + patchType + "\r\nContent-Length: 2\r\n\r\n[]",
	} {
		t.Run(name, func(t *testing.T) {
			withServer(t, func(c *Config) { c.Images = f.as }, func(t *testing.T, s *server, dial func() net.Conn) {
				s.answers = newBudget(fewBytes)
				before := heap()
				for range 300 {
					c := dial()
					defer c.Close()
					go io.WriteString(c, ask)
				}
				synctest.Wait()
				if n := held(s.answers); n == 0 || n > fewBytes || !s.answers.pressed() {
					t.Errorf("%d bytes of the budget are held, while others wait: %v", n, s.answers.pressed())
				}
				if used := heap() - before; used > aLot {
					t.Errorf("%d MiB are held", used>>20)
				}
				quick := dial()
				defer quick.Close()
				started := time.Now()
				go io.WriteString(quick, short)
				if code, _, took := answer(t, quick, started); code != http.StatusOK || took != 0 {
					t.Errorf("a short answer: %d after %s", code, took)
				}
				go io.WriteString(quick, ask)
				code, body, took := answer(t, quick, time.Now())
				if code != http.StatusOK || !strings.Contains(body, `"p03":`) || took > time.Minute {
					t.Errorf("a long answer: %d, %d bytes, after %s", code, len(body), took)
				}
				time.Sleep(2 * time.Minute)
				if n := held(s.answers); n != 0 || s.answers.pressed() || len(s.loading) != 0 {
					t.Errorf("%d bytes are still held, pressed %v, %d lists are being made", n, s.answers.pressed(), len(s.loading))
				}
				again := dial()
				defer again.Close()
				started = time.Now()
				go io.WriteString(again, ask)
				if code, body, took := answer(t, again, started); code != http.StatusOK || took != 0 || !strings.Contains(body, `"p03":`) {
					t.Errorf("afterwards: %d, %d bytes, after %s", code, len(body), took)
				}
			})
		})
	}
}

// TestWhatIsDoneIsAnswered: a change that was carried out must not be answered with a refusal, however long its answer waits.
func TestWhatIsDoneIsAnswered(t *testing.T) {
	f := newFake()
	f.add(image.Image{ID: anID, Owner: "p1", Properties: map[string]string{"long": strings.Repeat("v", 2*shortDocument)}}, "")
	patch := `[{"op":"add","path":"/done","value":"yes"}]`
	for name, tt := range map[string]struct {
		ask   string
		code  int
		after time.Duration
	}{
		"patch": {"PATCH /v2/images/" + anID + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + patchType +
			fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(patch), patch), http.StatusOK, 10 * time.Minute},
		"show": {showImage, http.StatusServiceUnavailable, time.Minute / 2},
	} {
		t.Run(name, func(t *testing.T) {
			withServer(t, func(c *Config) { c.Images = f.as }, func(t *testing.T, s *server, dial func() net.Conn) {
				all := s.answers.try(documentMemory, noDeadline())
				go func() {
					time.Sleep(10 * time.Minute)
					all.release()
				}()
				c, started := dial(), time.Now()
				defer c.Close()
				go io.WriteString(c, tt.ask)
				code, body, took := answer(t, c, started)
				if code != tt.code || took != tt.after || code == http.StatusOK && !strings.Contains(body, `"done":"yes"`) {
					t.Errorf("%d after %s, want %d after %s: %.200s", code, took, tt.code, tt.after, body)
				}
				time.Sleep(10 * time.Minute)
			})
		})
	}
}

// TestWaitingTakesHalfAMinuteInAll: who waited for one thing has less time for the next.
func TestWaitingTakesHalfAMinuteInAll(t *testing.T) {
	f := newFake()
	f.add(image.Image{ID: anID, Owner: "p1", Properties: map[string]string{"long": strings.Repeat("v", 2*shortDocument)}}, "")
	withServer(t, func(c *Config) { c.Images = f.as }, func(t *testing.T, s *server, dial func() net.Conn) {
		all := s.answers.try(documentMemory, noDeadline())
		defer all.release()
		for range maxLoading {
			s.loading <- struct{}{}
		}
		go func() {
			time.Sleep(20 * time.Second)
			<-s.loading
		}()
		c, started := dial(), time.Now()
		defer c.Close()
		go io.WriteString(c, "GET /v2/images?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if code, body, took := answer(t, c, started); code != http.StatusServiceUnavailable || took != time.Minute/2 {
			t.Errorf("%d after %s, want 503 after half a minute: %.200s", code, took, body)
		}
	})
}

// TestShortListsDoNotWaitForLongOnes: while all places are taken there is one more for lists of few records.
func TestShortListsDoNotWaitForLongOnes(t *testing.T) {
	for _, tt := range []struct {
		ask  string
		code int
		took time.Duration
	}{
		{"images?limit=1", http.StatusOK, 0},
		{"images", http.StatusOK, 0},
		{"tasks?limit=25", http.StatusOK, 0},
		{"images?limit=26", http.StatusServiceUnavailable, time.Minute / 2},
		{"tasks?limit=26", http.StatusServiceUnavailable, time.Minute / 2},
		{"metadefs/namespaces", http.StatusServiceUnavailable, time.Minute / 2},
	} {
		t.Run(tt.ask, func(t *testing.T) {
			withServer(t, func(c *Config) { c.Images = newFake().as }, func(t *testing.T, s *server, dial func() net.Conn) {
				for range maxLoading {
					s.loading <- struct{}{}
				}
				c, started := dial(), time.Now()
				defer c.Close()
				go io.WriteString(c, "GET /v2/"+tt.ask+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
				if code, body, took := answer(t, c, started); code != tt.code || took != tt.took {
					t.Errorf("%d after %s, want %d after %s: %.200s", code, took, tt.code, tt.took, body)
				}
				if len(s.loading) != maxLoading || len(s.loadingFew) != 0 {
					t.Errorf("%d and %d places are taken afterwards", len(s.loading), len(s.loadingFew))
				}
			})
		})
	}
}

// TestSlowSendersOfLongBodies: the same for documents on their way in.
func TestSlowSendersOfLongBodies(t *testing.T) {
	for name, head := range map[string]string{
		"with Content-Length": postJSON + fmt.Sprintf("Content-Length: %d\r\n\r\n", 1<<20),
		"chunked":             postJSON + chunked + "fffff\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			withServer(t, func(c *Config) { c.Images = newFake().as }, func(t *testing.T, s *server, dial func() net.Conn) {
				s.bodies = newBudget(fewBytes)
				before := heap()
				for range 300 {
					c := dial()
					defer c.Close()
					go io.WriteString(c, head+strings.Repeat(" ", shortDocument+10_000))
				}
				synctest.Wait()
				if n := held(s.bodies); n == 0 || n > fewBytes || !s.bodies.pressed() {
					t.Errorf("%d bytes of the budget are held, while others wait: %v", n, s.bodies.pressed())
				}
				if used := heap() - before; used > aLot {
					t.Errorf("%d MiB are held", used>>20)
				}
				quick := dial()
				defer quick.Close()
				started := time.Now()
				go io.WriteString(quick, postJSON+"Content-Length: 2\r\n\r\n{}")
				if code, _, took := answer(t, quick, started); code != http.StatusCreated || took != 0 {
					t.Errorf("a short document: %d after %s", code, took)
				}
				time.Sleep(3 * time.Minute)
				if n := held(s.bodies); n != 0 || s.bodies.pressed() {
					t.Errorf("%d bytes are still held, pressed %v", n, s.bodies.pressed())
				}
				document := `{"tags":["a"]` + strings.Repeat(" ", 100_000) + "}"
				again := dial()
				defer again.Close()
				started = time.Now()
				go io.WriteString(again, postJSON+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(document), document))
				if code, body, took := answer(t, again, started); code != http.StatusCreated || took != 0 {
					t.Errorf("afterwards: %d %s after %s", code, body, took)
				}
			})
		})
	}
}

// TestLongDocumentsArriveSlowly: without others who wait a client may take a minute for each piece.
func TestLongDocumentsArriveSlowly(t *testing.T) {
	f := newFake()
	f.add(image.Image{Owner: "p1", Properties: map[string]string{"p": strings.Repeat("v", 5*documentPiece), "q": "end"}}, "")
	inBubble(t, f, func(t *testing.T, dial func() net.Conn) {
		c, started := dial(), time.Now()
		defer c.Close()
		go io.WriteString(c, "GET /v2/images HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReaderSize(c, 4<<10), nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for buf := make([]byte, documentPiece); err == nil; time.Sleep(50 * time.Second) {
			var n int
			n, err = io.ReadFull(res.Body, buf)
			got = append(got, buf[:n]...)
		}
		if err != io.ErrUnexpectedEOF && err != io.EOF || int64(len(got)) != res.ContentLength || time.Since(started) < 4*time.Minute {
			t.Errorf("%d of %d bytes after %s: %v", len(got), res.ContentLength, time.Since(started), err)
		}
	})
}

// A fullStore reads an upload until it is told to stop, and then interrupts the Read under way.
type fullStore struct {
	Session
	stop chan struct{}
}

func (f fullStore) Upload(_ context.Context, _ image.ID, up imageservice.Upload) error {
	reading := make(chan struct{})
	go func() {
		defer close(reading)
		for err := error(nil); err == nil; {
			_, err = up.Body.Read(make([]byte, 1<<10))
			select {
			case <-f.stop:
				return
			default:
			}
		}
	}()
	<-f.stop
	up.Body.(interface{ SetReadDeadline(time.Time) error }).SetReadDeadline(time.Unix(1, 0))
	<-reading
	return image.ErrStoreFull
}

// TestAnInterruptedUploadHearsWhy: a client that sends everything before it looks for an answer finds one, although the
// server was waiting for its next bytes when it lost interest.
func TestAnInterruptedUploadHearsWhy(t *testing.T) {
	for name, head := range map[string]string{
		"with Content-Length": putData + fmt.Sprintf("Content-Length: %d\r\n\r\n", 1<<20),
		"chunked":             putData + chunked + "100000\r\n",
	} {
		t.Run(name, func(t *testing.T) {

			var store fullStore // its channel belongs to the bubble
			change := func(c *Config) { c.Images = func(image.Caller) Session { return store } }
			withServer(t, change, func(t *testing.T, _ *server, dial func() net.Conn) {
				store.stop = make(chan struct{})
				c := dial()
				defer c.Close()
				io.WriteString(c, head+strings.Repeat("x", 1<<10))
				synctest.Wait() // it reads, and nothing comes
				close(store.stop)
				synctest.Wait()
				sent := make(chan error, 1)
				in := bufio.NewReader(c)
				go func() {
					_, err := io.WriteString(c, strings.Repeat("x", 1<<20-1<<10))
					sent <- err
				}()
				res, err := http.ReadResponse(in, nil)
				if err != nil || res.StatusCode != http.StatusRequestEntityTooLarge {
					t.Fatalf("%v, %v, want 413", res, err)
				}
				if err := <-sent; err != nil {
					t.Errorf("the server did not let the client finish: %v", err)
				}
			})
		})
	}
}
