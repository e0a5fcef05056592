package requestid

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

func TestHandlerAddsTheID(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(Handler(slog.NewTextHandler(&out, nil))).With("store", "fast")
	log.InfoContext(With(context.Background(), "req-1"), "object stored")
	log.Info("sweep done")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "store=fast request_id=req-1") ||
		strings.Contains(lines[1], "request_id") {
		t.Errorf("logged %q", lines)
	}
}

func TestFromWithoutID(t *testing.T) {
	if id := From(context.Background()); id != "" {
		t.Errorf("From an empty context = %q", id)
	}
}
