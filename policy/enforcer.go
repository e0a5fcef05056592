package policy

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/watchfile"
)

// Config is what an Enforcer is made of.
type Config struct {
	File   string     // the operator's policy.yaml, "" for the built-in rules alone
	HTTP   HTTPConfig // how the checks http: and https: ask
	Logger *slog.Logger
}

// An Enforcer decides by the built-in rules and the operator's. It is safe for concurrent use.
type Enforcer struct {
	rules  func() ruleSet
	remote *remote
	log    *slog.Logger
}

// Open reads the policy file. It is read again when it changes; a new one that cannot be read or understood changes
// nothing, and the log says why. Errors: those of reading, and of rules that make no sense, with file and line.
func Open(cfg Config) (*Enforcer, error) {
	log := cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	remote, err := newRemote(cfg.HTTP, log)
	if err != nil {
		return nil, err
	}
	e := &Enforcer{remote: remote, log: log}
	if cfg.File == "" {
		rules, err := combine(nil)
		if err != nil {
			return nil, fmt.Errorf("policy: %w", err)
		}
		e.rules = func() ruleSet { return rules }
		return e, nil
	}
	file, err := watchfile.Open(log, func(contents [][]byte) (ruleSet, error) {
		overrides, err := parseFile(contents[0])
		if err != nil {
			return nil, err
		}
		rules, err := combine(overrides)
		if err != nil {
			return nil, err
		}
		warn(log.With("path", cfg.File), overrides, rules)
		return rules, nil
	}, cfg.File)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	e.rules = file.Get
	return e, nil
}

// Close closes connections to servers that were asked. It is needed where HTTP checks are used.
func (e *Enforcer) Close() { e.remote.client.CloseIdleConnections() }

// Check returns an error unless the rule allows the caller what it is about. It may wait for a server if an operator's
// rule asks one, so no transaction should be open. Error: image.ErrForbidden.
func (e *Enforcer) Check(ctx context.Context, caller image.Caller, rule string, target Target) error {
	if e.Allows(ctx, caller, rule, target) {
		return nil
	}
	return image.Errorf(image.ErrForbidden, "You are not authorized to complete %s action.", rule)
}

// IsAdmin reports whether the caller is an administrator, which the rule context_is_admin says.
func (e *Enforcer) IsAdmin(ctx context.Context, caller image.Caller) bool {
	return e.Allows(ctx, caller, ContextIsAdmin, ForProject(caller.ProjectID))
}

// Allows reports whether the rule allows the caller what it is about; see Check. A rule that does not exist allows
// nobody.
func (e *Enforcer) Allows(ctx context.Context, caller image.Caller, name string, target Target) bool {
	rule := e.rules()[name]
	switch {
	case rule == nil:
		e.log.ErrorContext(ctx, "a policy rule was asked for that does not exist, which counts as no", "rule", name)
		return false
	case caller.Anonymous && rule.line == 0:
		return rule.anonymous && target.public()
	case !rule.anyScope && !caller.Anonymous && (caller.ProjectID == "" || caller.DomainID != ""):
		return false // the token is for a domain, or for the system
	}
	return rule.root.allows(&question{ctx: ctx, caller: caller, target: target, rule: name, remote: e.remote})
}

// public reports whether nothing about the target is hidden from anybody: it is public, or a list of what is.
func (t *Target) public() bool {
	switch visibility, state := t.field(fieldVisibility, ""); state {
	case present:
		return visibility == string(image.Public)
	case absent:
		return t.kind == ofProjectOnly
	}
	return false
}

// combine puts the operator's rules in the place of built-in ones of their name, and beside the others.
func combine(overrides []*rule) (ruleSet, error) {
	rules := make(ruleSet)
	for _, d := range Definitions() {
		root, err := parse(d.Expression)
		if err != nil {
			return nil, fmt.Errorf("the built-in rule %s: %w", d.Name, err)
		}
		rules[d.Name] = &rule{name: d.Name, root: root, anyScope: d.AnyScope, anonymous: d.Anonymous}
	}
	for _, r := range overrides {
		if builtin := rules[r.name]; builtin != nil {
			r.anyScope = builtin.anyScope
		}
		rules[r.name] = r
	}
	return rules, rules.link()
}

// warn tells the operator of what is in his rules and has no effect.
func warn(log *slog.Logger, overrides []*rule, rules ruleSet) {
	used := make(map[*rule]bool)
	for _, r := range rules {
		r.root.each(func(n *node) { used[n.rule] = true })
	}
	builtin := make(map[string]bool)
	for _, d := range Definitions() {
		builtin[d.Name] = true
	}
	for _, r := range overrides {
		if !builtin[r.name] && !used[r] {
			log.Warn("no operation asks for this rule and no other rule refers to it; property protections may", "rule", r.name, "line", r.line)
		}
		r.root.each(func(n *node) {
			switch {
			case n.op == opUnknown:
				log.Warn("nobody knows this kind of check, it counts as no", "rule", r.name, "line", r.line, "check", shorten(n.name))
			case n.op == opAttribute && n.attribute == never:
				log.Warn("tokens for the system are not accepted, this check is never true", "rule", r.name, "line", r.line)
			}
		})
	}
}

// each calls visit with the node and those below it.
func (n *node) each(visit func(*node)) {
	visit(n)
	for _, part := range n.nodes {
		part.each(visit)
	}
}
