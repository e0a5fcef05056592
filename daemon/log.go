package daemon

import (
	"io"
	"log/slog"
	"os"

	"golang.org/x/term"

	"github.com/vitrine-image/vitrine/internal/requestid"
)

// newLogger writes text to a terminal and JSON elsewhere, unless the configuration says which.
func newLogger(cfg LogConfig, w io.Writer) *slog.Logger {
	var level slog.Level
	level.UnmarshalText([]byte(cfg.Level)) // checked before
	opts := &slog.HandlerOptions{Level: level}
	file, isFile := w.(*os.File)
	if cfg.Format == "text" || cfg.Format == "auto" && isFile && term.IsTerminal(int(file.Fd())) {
		return slog.New(requestid.Handler(slog.NewTextHandler(w, opts)))
	}
	opts.ReplaceAttr = inSeconds
	return slog.New(requestid.Handler(slog.NewJSONHandler(w, opts)))
}

// inSeconds makes durations numbers of seconds, which JSON would have as nanoseconds without saying so.
func inSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}
