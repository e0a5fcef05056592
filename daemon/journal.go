package daemon

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-systemd/v22/journal"
)

// isJournal reports whether what is written there goes to systemd's journal, which can take more than lines.
func isJournal(w io.Writer) bool {
	if w != os.Stderr {
		return false
	}
	yes, err := journal.StderrIsJournalStream()
	return err == nil && yes && journal.Enabled()
}

// A journalHandler writes records to systemd's journal: for people a line with message and attributes, and each attribute as a
// field of its own, by which journalctl finds it: IMAGE_ID=, REQUEST_ID=.
type journalHandler struct {
	level  slog.Leveler
	group  string // of what comes, with a dot at its end
	fields []field
	send   func(message string, priority journal.Priority, fields map[string]string) error // journal.Send
	lost   slog.Handler                                                                    // has what the journal does not take
}

// A field is an attribute with the names of its groups, separated by dots.
type field struct{ key, value string }

func (h *journalHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.level.Level()
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	all := slices.Clone(h.fields)
	r.Attrs(func(a slog.Attr) bool { all = appendFields(all, h.group, a); return true })
	fields := make(map[string]string, len(all))
	var line bytes.Buffer
	line.WriteString(r.Message)
	text := slog.NewTextHandler(&line, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}})
	shown := slog.NewRecord(r.Time, r.Level, "", 0)
	for _, f := range all {
		shown.AddAttrs(slog.String(f.key, f.value))
		if name := fieldName(f.key); name != "" {
			fields[name] = f.value
		}
	}
	if len(all) > 0 {
		line.WriteByte(' ')
		if err := text.Handle(ctx, shown); err != nil {
			return err
		}
	}
	if err := h.send(strings.TrimSuffix(line.String(), "\n"), priority(r.Level), fields); err != nil {
		return h.lost.Handle(ctx, r)
	}
	return nil
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := *h
	more.fields = slices.Clone(h.fields)
	for _, a := range attrs {
		more.fields = appendFields(more.fields, h.group, a)
	}
	more.lost = h.lost.WithAttrs(attrs)
	return &more
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	more := *h
	more.group += name + "."
	more.lost = h.lost.WithGroup(name)
	return &more
}

// appendFields adds an attribute, or those of a group.
func appendFields(fields []field, group string, a slog.Attr) []field {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup {
		if a.Key == "" {
			return fields
		}
		return append(fields, field{group + a.Key, v.String()})
	}
	if a.Key != "" {
		group += a.Key + "."
	}
	for _, a := range v.Group() {
		fields = appendFields(fields, group, a)
	}
	return fields
}

// reserved are fields that the record itself has.
var reserved = []string{"MESSAGE", "PRIORITY"}

// fieldName is a key as journald wants it: capital letters, digits and underscores; "" for one that cannot be had.
// Source: sd_journal_print(3).
func fieldName(key string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, key)
	name = strings.TrimLeft(name, "_0123456789") // the first ones are journald's own
	if len(name) > 64 || slices.Contains(reserved, name) {
		return ""
	}
	return name
}

func priority(level slog.Level) journal.Priority {
	switch {
	case level >= slog.LevelError:
		return journal.PriErr
	case level >= slog.LevelWarn:
		return journal.PriWarning
	case level >= slog.LevelInfo:
		return journal.PriInfo
	}
	return journal.PriDebug
}
