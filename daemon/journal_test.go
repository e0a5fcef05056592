package daemon

import (
	"bytes"
	"errors"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/journal"
)

func TestJournalFields(t *testing.T) {
	var message string
	var level journal.Priority
	var fields map[string]string
	h := &journalHandler{level: slog.LevelInfo, lost: slog.DiscardHandler, send: func(m string, p journal.Priority, f map[string]string) error {
		message, level, fields = m, p, f
		return nil
	}}
	log := slog.New(h)
	log.Debug("nobody asked for this")
	if message != "" {
		t.Errorf("a record below the level was written: %s", message)
	}
	log.With("store", "fast").WithGroup("copy").Warn("a copy was slow", "image_id", "7f3a", slog.Group("of", "bytes", 5),
		"duration", 1500*time.Millisecond, "_message", "none of journald's own")
	if want := `a copy was slow store=fast copy.image_id=7f3a copy.of.bytes=5 copy.duration=1.5s copy._message="none of journald's own"`; message != want {
		t.Errorf("the line is %s, want %s", message, want)
	}
	if level != journal.PriWarning {
		t.Errorf("the priority is %d, want %d", level, journal.PriWarning)
	}
	want := map[string]string{"STORE": "fast", "COPY_IMAGE_ID": "7f3a", "COPY_OF_BYTES": "5", "COPY_DURATION": "1.5s", "COPY__MESSAGE": "none of journald's own"}
	if !maps.Equal(fields, want) {
		t.Errorf("the fields are %v, want %v", fields, want)
	}
	log.Info("request", "request_id", "req-1", "message", "not the record's own")
	if want := map[string]string{"REQUEST_ID": "req-1"}; !maps.Equal(fields, want) {
		t.Errorf("the fields are %v, want %v", fields, want)
	}
}

// TestJournalIsAway writes what the journal does not take to where the log would go without it.
func TestJournalIsAway(t *testing.T) {
	var out bytes.Buffer
	h := &journalHandler{level: slog.LevelInfo, lost: slog.NewTextHandler(&out, nil),
		send: func(string, journal.Priority, map[string]string) error { return errors.New("journald is away") }}
	slog.New(h).With("store", "fast").Info("swept", "bytes", 5)
	if !strings.Contains(out.String(), "msg=swept store=fast bytes=5") {
		t.Errorf("the record was lost: %q", out.String())
	}
}
