package api

import (
	"net/url"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// A parameter is one name and value of a query.
type parameter struct{ key, value string }

// parameters are those of a query in their order. Names may repeat.
type parameters []parameter

// parseQuery splits a query. Unlike url.ParseQuery it keeps the order, which links to further pages preserve.
func parseQuery(raw string) (parameters, error) {
	var list parameters
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		key, value, _ := strings.Cut(pair, "=")
		var p parameter
		var err error
		if p.key, err = url.QueryUnescape(key); err == nil {
			p.value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return nil, image.Errorf(image.ErrInvalid, "The query cannot be decoded: %q", pair)
		}
		if err := checkText(p.key); err != nil {
			return nil, err
		}
		if err := checkText(p.value); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
}

// last returns the value of the last parameter of that name.
func (list parameters) last(key string) (value string, given bool) {
	for _, p := range list {
		if p.key == key {
			value, given = p.value, true
		}
	}
	return value, given
}

// all returns the values of every parameter of that name.
func (list parameters) all(key string) []string {
	var values []string
	for _, p := range list {
		if p.key == key {
			values = append(values, p.value)
		}
	}
	return values
}

// link returns the path with the parameters, those named marker left out and one with the given marker added unless it
// is empty.
func (list parameters) link(path, marker string) string {
	var b strings.Builder
	b.WriteString(path)
	separator := byte('?')
	add := func(key, value string) {
		b.WriteByte(separator)
		b.WriteString(url.QueryEscape(key))
		b.WriteByte('=')
		b.WriteString(url.QueryEscape(value))
		separator = '&'
	}
	for _, p := range list {
		if p.key != "marker" {
			add(p.key, p.value)
		}
	}
	if marker != "" {
		add("marker", marker)
	}
	return b.String()
}
