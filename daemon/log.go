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
	return slog.New(requestid.Handler(slog.NewJSONHandler(w, opts)))
}
