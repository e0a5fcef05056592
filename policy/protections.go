package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/watchfile"
)

// An Action is what a caller does with a property.
type Action string

// The actions.
const (
	Create Action = "create"
	Read   Action = "read"
	Update Action = "update"
	Delete Action = "delete"
)

var actions = []Action{Create, Read, Update, Delete}

// A Format says what a property protection file names.
type Format string

// The formats.
const (
	Roles    Format = "roles"    // lists of roles, with commas
	Policies Format = "policies" // one rule of the policy file each
)

// ProtectionsConfig is what Protections are made of.
type ProtectionsConfig struct {
	File     string    // "" protects nothing
	Format   Format    // "" is Roles
	Enforcer *Enforcer // knows the rules that Policies name; not needed for Roles
	Logger   *slog.Logger
}

// Protections say who may create, read, update and delete which properties. They are safe for concurrent use.
type Protections struct {
	table    func() []protection // nil when everything is allowed
	enforcer *Enforcer
}

// OpenProtections reads the file. It is read again when it changes; a new one that cannot be read or understood changes
// nothing, and the log says why.
func OpenProtections(cfg ProtectionsConfig) (*Protections, error) {
	cfg.Format = cmp.Or(cfg.Format, Roles)
	switch {
	case cfg.Format != Roles && cfg.Format != Policies:
		return nil, fmt.Errorf("policy: property protections name %s or %s, not %q", Roles, Policies, cfg.Format)
	case cfg.Format == Policies && cfg.Enforcer == nil && cfg.File != "":
		return nil, errors.New("policy: property protections that name rules need an Enforcer")
	}
	p := &Protections{enforcer: cfg.Enforcer}
	if cfg.File == "" {
		return p, nil
	}
	log := cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	file, err := watchfile.Open(log, func(contents [][]byte) ([]protection, error) {
		table, err := parseProtections(contents[0], cfg.Format)
		if err != nil {
			return nil, err
		}
		return table, examine(log.With("path", cfg.File), table, cfg.Enforcer)
	}, cfg.File)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	p.table = file.Get
	return p, nil
}

// examine refuses rules that do not exist, and tells the operator of actions that he left to nobody.
func examine(log *slog.Logger, table []protection, enforcer *Enforcer) error {
	for _, entry := range table {
		for _, action := range actions {
			g := entry.grants[action]
			if g.rule != "" && enforcer.rules()[g.rule] == nil {
				return fmt.Errorf("line %d: %s = %s: there is no rule of that name", g.line, action, shorten(g.rule))
			}
			if g.empty {
				log.Warn("a property protection names nobody, so nobody may", "section", shorten(entry.heading), "line", g.line, "action", action)
			}
		}
	}
	return nil
}

// Rights are what a caller may do with properties. They remember what they found out, belong to one request, and are not
// safe for concurrent use.
type Rights struct {
	protections *Protections
	caller      image.Caller
	table       []protection
	sections    map[string]int // of a property name: index in table, -1 for none
	answers     map[answerKey]bool
}

type answerKey struct {
	section int
	action  Action
}

// For returns the rights of a caller.
func (p *Protections) For(caller image.Caller) *Rights {
	r := &Rights{protections: p, caller: caller}
	if p.table != nil {
		r.table = p.table()
	}
	return r
}

// reservedPrefix begins the names of properties that are the service's own, which no client can write anyway. They are
// not protected, or no image could be imported.
const reservedPrefix = "os_glance"

// May reports whether the caller may do that with a property of that name. The first section whose pattern is found in
// the name decides; without one nobody may.
func (r *Rights) May(ctx context.Context, action Action, name string) bool {
	if r.protections.table == nil || strings.HasPrefix(name, reservedPrefix) {
		return true
	}
	section, known := r.sections[name]
	if !known {
		section = slices.IndexFunc(r.table, func(p protection) bool { return p.pattern.MatchString(name) })
		if r.sections == nil {
			r.sections, r.answers = make(map[string]int), make(map[answerKey]bool)
		}
		r.sections[name] = section
	}
	if section < 0 {
		return false
	}
	key := answerKey{section, action}
	allowed, known := r.answers[key]
	if !known {
		allowed = r.granted(ctx, r.table[section].grants[action])
		r.answers[key] = allowed
	}
	return allowed
}

func (r *Rights) granted(ctx context.Context, g grant) bool {
	switch {
	case g.everybody:
		return true
	case g.rule != "":
		return r.protections.enforcer.Allows(ctx, r.caller, g.rule, Target{})
	}
	return slices.ContainsFunc(g.roles, func(role string) bool {
		return r.caller.HasRole(role) || r.caller.HasServiceRole(role)
	})
}

// Check returns an error unless the caller may do that with the property. Error: image.ErrForbidden.
func (r *Rights) Check(ctx context.Context, action Action, name string) error {
	if r.May(ctx, action, name) {
		return nil
	}
	return image.Errorf(image.ErrForbidden, "Property '%s' is protected, you may not %s it.", name, action)
}

// Readable returns those of the properties that the caller may read, which is the map itself if it is all of them.
func (r *Rights) Readable(ctx context.Context, properties map[string]string) map[string]string {
	unreadable := 0
	for name := range properties {
		if !r.May(ctx, Read, name) {
			unreadable++
		}
	}
	if unreadable == 0 {
		return properties
	}
	readable := make(map[string]string, len(properties)-unreadable)
	for name, value := range properties {
		if r.May(ctx, Read, name) {
			readable[name] = value
		}
	}
	return readable
}
