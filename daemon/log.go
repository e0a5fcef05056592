package daemon

import (
	"context"
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
		return slog.New(withRequestID{slog.NewTextHandler(w, opts)})
	}
	return slog.New(withRequestID{slog.NewJSONHandler(w, opts)})
}

// withRequestID adds the id of the request that a record was written for, from its context.
type withRequestID struct{ slog.Handler }

func (h withRequestID) Handle(ctx context.Context, r slog.Record) error {
	if id := requestid.From(ctx); id != "" {
		r.AddAttrs(slog.String("request_id", id))
	}
	return h.Handler.Handle(ctx, r)
}

func (h withRequestID) WithAttrs(attrs []slog.Attr) slog.Handler {
	return withRequestID{h.Handler.WithAttrs(attrs)}
}

func (h withRequestID) WithGroup(name string) slog.Handler {
	return withRequestID{h.Handler.WithGroup(name)}
}
