package daemon_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
)

const webhookSecret = "0123456789abcdef0123456789abcdef"

// A line is one of the event log, or of the audit log.
type line struct {
	Sequence  int64           `json:"sequence"`
	MessageID string          `json:"message_id"`
	EventType string          `json:"event_type"`
	RequestID string          `json:"request_id"`
	Payload   json.RawMessage `json:"payload"`

	Action  string `json:"action"`
	ID      string `json:"id"`
	Source  string `json:"source"`
	Auth    string `json:"auth"`
	Outcome string `json:"outcome"`
	Missed  int    `json:"missed"`
}

// about is the image that an event tells of.
func (l line) about() (id image.ID) {
	var payload struct{ ID image.ID }
	json.Unmarshal(l.Payload, &payload)
	return payload.ID
}

func readLines(t *testing.T, path string) (lines []line) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for s := bufio.NewScanner(bytes.NewReader(text)); s.Scan(); {
		var l line
		if err := json.Unmarshal(s.Bytes(), &l); err == nil { // a full disk may have torn it
			lines = append(lines, l)
		}
	}
	return lines
}

// A receiver takes webhooks, and believes only what is signed.
type receiver struct {
	*httptest.Server
	got     chan line
	holding atomic.Bool // gives no answer
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{got: make(chan line, 100)}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err == nil {
			err = events.Verify(req.Header, body, webhookSecret, time.Now())
		}
		var l line
		if err := errors.Join(err, json.Unmarshal(body, &l)); err != nil || l.MessageID != req.Header.Get(events.HeaderID) {
			t.Errorf("a webhook that is not to be believed: %v: %s", err, body)
		}
		r.got <- l
		if r.holding.Load() {
			<-req.Context().Done() // until the daemon is dead
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// waitFor returns the first event of that name about the image.
func (r *receiver) waitFor(t *testing.T, name events.Name, id image.ID) line {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for {
		select {
		case l := <-r.got:
			if l.EventType == string(name) && l.about() == id {
				return l
			}
		case <-ctx.Done():
			t.Fatalf("nobody told of %s of %s", name, id)
		}
	}
}

// TestWebhooks receives webhooks of a daemon that is killed before one is answered: the next daemon tells of it again, and goes
// on with what came after.
func TestWebhooks(t *testing.T) {
	r := newReceiver(t)
	dir := t.TempDir()
	secret := put(t, filepath.Join(dir, "secret"), webhookSecret+"\n")
	cfg := testdaemon.Config{Dir: dir, TOML: fmt.Sprintf("[events]\ndisabled = [\"image.send\"]\n[events.webhooks.test]\nurl = %q\nsecret_file = %q\nonly = [\"image\"]\n",
		r.URL+"/hook", secret)}
	d, err := testdaemon.Launch(cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := newRaw(t, d.Client)
	if got := r.waitFor(t, events.ImageCreate, first); got.RequestID == "" {
		t.Errorf("the event names no request: %+v", got)
	}
	if err := d.Client.Upload(t.Context(), first, client.Upload{Body: strings.NewReader("data"), Size: 4}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []events.Name{events.ImagePrepare, events.ImageUpload, events.ImageActivate} {
		r.waitFor(t, name, first)
	}
	r.holding.Store(true)
	second := newRaw(t, d.Client)
	before := r.waitFor(t, events.ImageCreate, second)
	d.Kill()
	r.holding.Store(false)

	d = testdaemon.Start(t, cfg)
	if again := r.waitFor(t, events.ImageCreate, second); again.MessageID != before.MessageID || again.Sequence != before.Sequence {
		t.Errorf("after the crash the event is %+v, before it %+v", again, before)
	}
	third := newRaw(t, d.Client)
	r.waitFor(t, events.ImageCreate, third)
	sequence := int64(0)
	for _, l := range readLines(t, filepath.Join(d.Data, "events.jsonl")) {
		if l.Sequence != sequence+1 {
			t.Errorf("the event after number %d is number %d", sequence, l.Sequence)
		}
		sequence = l.Sequence
	}
}

// TestLogsAreReopened moves the logs away, as logrotate does, and asks for new ones. The last lines before a stop are in them.
func TestLogsAreReopened(t *testing.T) {
	dir := t.TempDir()
	logs := []string{filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "audit.jsonl")}
	d, err := testdaemon.Launch(testdaemon.Config{Dir: dir, TOML: fmt.Sprintf("[events]\npath = %q\n[audit]\npath = %q\n", logs[0], logs[1])})
	if err != nil {
		t.Fatal(err)
	}
	before := newRaw(t, d.Client)
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for _, path := range logs {
		for len(readLines(t, path)) == 0 { // events are written in the background
			if ctx.Err() != nil {
				t.Fatalf("%s stays empty", path)
			}
		}
		if err := os.Rename(path, path+".old"); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Kill(d.Pid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for _, path := range logs {
		for _, err := os.Stat(path); err != nil; _, err = os.Stat(path) {
			select {
			case <-d.Done():
				t.Fatalf("SIGHUP ended the daemon:\n%s", d.Log())
			case <-ctx.Done():
				t.Fatalf("there is no new %s", path)
			default:
			}
		}
	}
	after := newRaw(t, d.Client)
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path string
		id   image.ID
	}{{logs[0] + ".old", before}, {logs[0], after}, {logs[1] + ".old", before}, {logs[1], after}} {
		lines := readLines(t, tt.path)
		if len(lines) != 1 {
			t.Fatalf("%s has %d lines, want 1: %+v", tt.path, len(lines), lines)
		}
		l := lines[0]
		if strings.Contains(tt.path, "events") {
			if l.EventType != "image.create" || l.about() != tt.id {
				t.Errorf("%s tells of %+v, want the creation of %s", tt.path, l, tt.id)
			}
		} else if l.Action != "create" || l.ID != string(tt.id) || l.Source != "127.0.0.1" || l.Auth != "none" || l.Outcome != "done" {
			t.Errorf("%s has the record %+v, want the creation of %s", tt.path, l, tt.id)
		}
	}
}

// TestStrictAudit fills the disk under an audit log without which nothing is done: requests that would have a record are answered
// with 503, others go on, and when there is room again everything does. Without strictness nobody notices.
func TestStrictAudit(t *testing.T) {
	for _, strict := range []bool{true, false} {
		t.Run(fmt.Sprintf("strict=%v", strict), func(t *testing.T) {
			disk := smallDisk(t)
			log := filepath.Join(disk, "audit.jsonl")
			d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), Faulty: true, TOML: fmt.Sprintf("[audit]\npath = %q\nstrict = %v\n", log, strict)})
			id := newRaw(t, d.Client)
			if err := d.Client.Upload(t.Context(), id, client.Upload{Body: strings.NewReader("data"), Size: 4}); err != nil {
				t.Fatal(err)
			}
			filler := fill(t, disk)
			download := func() error {
				data, err := d.Client.Download(t.Context(), id, client.DownloadOptions{})
				if err == nil {
					data.Close()
				}
				return err
			}
			create := func() error { _, err := d.Client.Create(t.Context(), "", nil); return err }
			for written := 4 << 10; written > 0; written -= 100 { // what is left of the page that the log ends in
				if err := create(); err != nil {
					break
				}
			}
			for what, err := range map[string]error{"create": create(), "download": download()} {
				if refused := (*client.Error)(nil); (errors.As(err, &refused) && refused.Status == 503) != strict {
					t.Errorf("%s while the log cannot be written: %v", what, err)
				}
			}
			if _, err := d.Client.Get(t.Context(), id); err != nil {
				t.Errorf("show while the log cannot be written: %v", err)
			}
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(t.Context(), time.Minute)
			defer stop()
			for err := create(); err != nil; err = create() {
				if ctx.Err() != nil {
					t.Fatalf("creating once there is room again: %v", err)
				}
			}
			missed := 0
			for _, l := range readLines(t, log) {
				missed += l.Missed
			}
			if missed == 0 || !strings.Contains(d.Log(), "this record is missing there") {
				t.Errorf("the audit log says that %d records are missing, and the daemon's log is\n%s", missed, d.Log())
			}
		})
	}
}
