package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

func TestDurationsInTheLogAreReadable(t *testing.T) {
	for format, want := range map[string]string{"json": `"after":1.5}`, "text": "after=1.5s"} {
		var out bytes.Buffer
		newLogger(LogConfig{Format: format}, slog.LevelInfo, &out).Info("requests were cut off", "after", 1500*time.Millisecond)
		if got := strings.TrimSpace(out.String()); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s at its end", format, got, want)
		}
	}
}
