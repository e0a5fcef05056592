package policy

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// parseCheck reads a single check: @, !, or a kind, a colon and what it is compared with.
//
//	rule:name                   another rule
//	role:name                   a role of the caller, in whatever case
//	http://... https://...      a question to a server
//	'text':..., True:..., 1:... a literal
//	project_id:... and so on    an attribute of the caller
//
// Kinds that nobody knows are denied and have a problem to report.
func parseCheck(text string) (*node, error) {
	switch text {
	case "@":
		return &node{op: opTrue}, nil
	case "!":
		return &node{op: opFalse}, nil
	}
	kind, match, found := strings.Cut(text, ":")
	if !found {
		return nil, fmt.Errorf("%q is no check; one has a kind and a colon, such as role:admin", shorten(text))
	}
	if kind == "rule" {
		return &node{op: opRule, name: match}, nil
	}
	value, err := parseTemplate(match)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", shorten(text), err)
	}
	if kind == "role" {
		return &node{op: opRole, value: value}, nil
	}
	if kind == "http" || kind == "https" {
		value[0].text = kind + ":" + value[0].text
		if err := checkURL(value); err != nil {
			return nil, fmt.Errorf("%q: %w", shorten(text), err)
		}
		return &node{op: opHTTP, value: value}, nil
	}
	if literal, ok := parseLiteral(kind); ok {
		return &node{op: opLiteral, name: literal, value: value}, nil
	}
	if a, ok := attributes[kind]; ok {
		return &node{op: opAttribute, attribute: a, value: value}, nil
	}
	return &node{op: opUnknown, name: kind}, nil
}

var number = regexp.MustCompile(`^(0|-?[1-9][0-9]{0,17})$`)

// parseLiteral returns the text of what Python would take for a literal: a quoted text without escapes, True, False,
// None, or an integer.
func parseLiteral(kind string) (string, bool) {
	switch {
	case kind == "True", kind == "False", kind == "None", number.MatchString(kind):
		return kind, true
	case isString(kind):
		inner := kind[1 : len(kind)-1]
		return inner, !strings.ContainsAny(inner, `'"\`)
	}
	return "", false
}

// checkURL refuses URLs in which a field of the target could choose the server.
func checkURL(value template) error {
	fixed := value[0].text
	if u, err := url.Parse(fixed); err != nil || u.Host == "" || u.Hostname() == "" {
		return errors.New("that is no URL of a server")
	}
	_, rest, _ := strings.Cut(fixed, "://")
	if len(value) > 1 && !strings.ContainsAny(rest, "/?#") {
		return errors.New("no field may be part of the server's name")
	}
	return nil
}

// A template is a text in which %(name)s stands for a field of the target, and %% for a percent sign. It has one part at
// least, and the first one is a text.
type template []part

// A part is a text and the field that follows it, noField for none.
type part struct {
	text  string
	field field
	name  string // of the field
}

func parseTemplate(text string) (template, error) {
	t := template{{}}
	for {
		before, after, found := strings.Cut(text, "%")
		last := &t[len(t)-1]
		last.text += before
		if !found {
			return t, nil
		}
		if rest, ok := strings.CutPrefix(after, "%"); ok {
			last.text += "%"
			text = rest
			continue
		}
		name, rest, closed := strings.Cut(after, ")s")
		name, opened := strings.CutPrefix(name, "(")
		if !opened || !closed || strings.ContainsAny(name, "()") {
			return nil, errors.New("a percent sign is followed by neither (name)s nor another one")
		}
		last.field, last.name = fieldNamed(name), name
		t = append(t, part{})
		text = rest
	}
}

// fieldAlone returns the field that the template consists of.
func (t template) fieldAlone() (part, bool) {
	return t[0], len(t) == 2 && t[0].text == "" && t[1].text == ""
}

// expand puts the target's fields into the text. A field that is null reads None; the state says that it was null only
// if the text is that field alone. escape may change the fields' values; nil leaves them.
func (t template) expand(target *Target, escape func(string) string) (string, state) {
	if len(t) == 1 {
		return t[0].text, present
	}
	if alone, ok := t.fieldAlone(); ok && escape == nil {
		return target.field(alone.field, alone.name)
	}
	var text strings.Builder
	for _, p := range t {
		text.WriteString(p.text)
		if p.field == noField {
			continue
		}
		value, state := target.field(p.field, p.name)
		if state == absent {
			return "", absent
		}
		if escape != nil {
			value = escape(value)
		}
		text.WriteString(value)
	}
	return text.String(), present
}
