package daemon

import (
	"io"
	"log/slog"
	"os"

	"github.com/coreos/go-systemd/v22/journal"
	"golang.org/x/term"

	"github.com/vitrine-image/vitrine/internal/requestid"
)

// newLogger writes fields to systemd's journal, text to a terminal, and JSON elsewhere, unless the configuration says which.
func newLogger(cfg LogConfig, level slog.Leveler, w io.Writer) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	file, isFile := w.(*os.File)
	var handler slog.Handler
	switch {
	case cfg.Format == "auto" && isJournal(w):
		handler = &journalHandler{level: level, send: journal.Send, lost: slog.NewTextHandler(w, opts)}
	case cfg.Format == "text" || cfg.Format == "auto" && isFile && term.IsTerminal(int(file.Fd())):
		handler = slog.NewTextHandler(w, opts)
	default:
		opts.ReplaceAttr = inSeconds
		handler = slog.NewJSONHandler(w, opts)
	}
	return slog.New(requestid.Handler(handler))
}

// level returns the level that the configuration names.
func (c LogConfig) level() (level slog.Level) {
	level.UnmarshalText([]byte(c.Level)) // checked before
	return level
}

// inSeconds makes durations numbers of seconds, which JSON would have as nanoseconds without saying so.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}
