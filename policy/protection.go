package policy

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// A protection is a section of a property protection file.
type protection struct {
	heading string
	pattern *regexp.Regexp
	grants  map[Action]grant
}

// A grant says who may.
type grant struct {
	line      int
	everybody bool
	rule      string   // of Policies, "" for none
	roles     []string // of Roles
	empty     bool     // neither roles nor ! are there
}

// parseProtections reads a property protection file. A file without sections is refused: nothing would be protected, or
// everything, and it rather is one that is just being written.
func parseProtections(data []byte, format Format) ([]protection, error) {
	sections, err := parseSections(data)
	if err != nil {
		return nil, err
	}
	if len(sections) == 0 {
		return nil, errors.New("there is no section in it")
	}
	var table []protection
	for _, s := range sections {
		p, err := parseProtection(s, format)
		if err != nil {
			return nil, err
		}
		table = append(table, p)
	}
	return table, nil
}

func parseProtection(s section, format Format) (protection, error) {
	pattern, err := compile(s.heading)
	if err != nil {
		return protection{}, fmt.Errorf("line %d: section [%s]: %w", s.line, shorten(s.heading), err)
	}
	p := protection{heading: s.heading, pattern: pattern, grants: make(map[Action]grant)}
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if !slices.Contains(actions, Action(key)) {
			return p, fmt.Errorf("line %d: %s is none of create, read, update, delete", s.values[key].line, shorten(key))
		}
	}
	for _, action := range actions {
		e, ok := s.values[string(action)]
		if !ok {
			return p, fmt.Errorf("line %d: section [%s] says nothing of %s; %s = ! would allow nobody", s.line, shorten(s.heading), action, action)
		}
		g, err := parseGrant(e.text, format)
		if err != nil {
			return p, fmt.Errorf("line %d: %w", e.line, err)
		}
		g.line = e.line
		p.grants[action] = g
	}
	return p, nil
}

// parseGrant reads a list of roles, or the name of a rule. @ is everybody and ! nobody, each of them alone.
func parseGrant(text string, format Format) (grant, error) {
	var names []string
	for name := range strings.SplitSeq(text, ",") {
		if name = strings.TrimSpace(name); strings.ContainsRune(name, '\n') {
			return grant{}, errors.New("a comma is missing at the end of a line, or the next one is indented by mistake")
		}
		if strings.ContainsRune(name, '=') { // Python takes it for a role
			return grant{}, errors.New("a line is indented by mistake, so that it belongs to the one before")
		}
		if name != "" {
			names = append(names, name)
		}
	}
	alone := slices.Contains(names, "@") || slices.Contains(names, "!")
	switch {
	case len(names) == 0:
		return grant{empty: true}, nil
	case alone && len(names) > 1:
		return grant{}, errors.New("@ and ! stand alone")
	case names[0] == "@":
		return grant{everybody: true}, nil
	case names[0] == "!":
		return grant{}, nil
	case format == Roles:
		return grant{roles: names}, nil
	case len(names) > 1 || strings.ContainsRune(text, ','):
		return grant{}, errors.New("one rule is expected; rules are combined in the policy file")
	}
	return grant{rule: names[0]}, nil
}

// maxPattern bounds a pattern, in bytes.
const maxPattern = 1000

// class matches what RE2 takes for the name of a set of characters, and Python for the characters themselves.
var class = regexp.MustCompile(`\[:\^?\w+:\]`)

// compile reads a regular expression. Its syntax is RE2's. What Python reads otherwise than RE2 is refused, as is what
// RE2 does not know.
func compile(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > maxPattern {
		return nil, fmt.Errorf("the pattern is %d bytes long, at most %d are allowed", len(pattern), maxPattern)
	}
	if strings.Contains(pattern, "{,") {
		return nil, errors.New("write {0,n} instead of {,n}")
	}
	if class.MatchString(pattern) {
		return nil, errors.New("write out the characters instead of a class such as [:alpha:]")
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, fmt.Errorf("%w (patterns are RE2's: without lookaround and references back, \\z instead of \\Z)", err)
	}
	return re, nil
}
