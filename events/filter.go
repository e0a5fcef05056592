package events

import (
	"fmt"
	"slices"
	"strings"
)

// A filter chooses events by names, or by what names begin with: "image" stands for image.create and for
// image.member.create, "image.member" for the latter.
type filter struct {
	only     []string // nil for all
	disabled []string
}

// newFilter refuses what is the name of no event, nor the beginning of one.
func newFilter(only, disabled []string) (filter, error) {
	for _, pattern := range slices.Concat(only, disabled) {
		if !slices.ContainsFunc(definitions, func(d Definition) bool { return matches(pattern, d.Name) }) {
			return filter{}, fmt.Errorf("%q is no event, and no event's name begins with it", pattern)
		}
	}
	return filter{only, disabled}, nil
}

// allows reports whether the filter lets the event pass.
func (f filter) allows(name Name) bool {
	match := func(pattern string) bool { return matches(pattern, name) }
	return (len(f.only) == 0 || slices.ContainsFunc(f.only, match)) && !slices.ContainsFunc(f.disabled, match)
}

func matches(pattern string, name Name) bool {
	rest, begins := strings.CutPrefix(string(name), pattern)
	return begins && pattern != "" && (rest == "" || rest[0] == '.')
}
