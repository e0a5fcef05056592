package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileSize bounds the files that operators write.
const maxFileSize = 1 << 20

// parseFile reads policy.yaml: a mapping of names to rules, or the same as JSON, which is YAML too. A rule is a text, or
// a list of lists of texts.
func parseFile(data []byte) ([]*rule, error) {
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("it is %d bytes long, at most %d are allowed", len(data), maxFileSize)
	}
	root, err := parseYAML(data)
	if err != nil || root == nil {
		return nil, err
	}
	if root.Kind != yaml.MappingNode {
		return nil, fmt.Errorf("line %d: names of rules and their texts are expected, such as get_image: \"role:reader\"", root.Line)
	}
	var rules []*rule
	lines := make(map[string]int)
	for i := 0; i < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || key.Value == "" {
			return nil, fmt.Errorf("line %d: the name of a rule is expected", key.Line)
		}
		r := &rule{name: key.Value, line: key.Line, anyScope: true}
		if line, twice := lines[r.name]; twice {
			return nil, fmt.Errorf("%s is there already, in line %d", r.where(), line)
		}
		lines[r.name] = r.line
		if r.root, err = parseValue(value); err != nil {
			return nil, fmt.Errorf("%s: %w", r.where(), err)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

// parseYAML returns the one document, nil if there is nothing in it.
func parseYAML(data []byte) (*yaml.Node, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if err := decoder.Decode(&more); err == nil {
		return nil, fmt.Errorf("line %d: a second document begins", more.Line)
	} else if !errors.Is(err, io.EOF) {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	root := document.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	return root, nil
}

var errNoText = errors.New(`a text in quotes is expected: "@" allows everybody, "!" nobody`)

// parseValue reads a rule. What YAML makes of unquoted words is refused: a missing text, or an unquoted exclamation mark,
// would allow everybody.
func parseValue(value *yaml.Node) (*node, error) {
	value = resolve(value)
	if value.Kind != yaml.SequenceNode {
		text, ok := scalar(value)
		if !ok {
			return nil, errNoText
		}
		return parse(text)
	}
	var list [][]string
	for _, inner := range value.Content {
		inner = resolve(inner)
		if text, ok := scalar(inner); ok {
			list = append(list, []string{text})
			continue
		}
		if inner.Kind != yaml.SequenceNode {
			return nil, errNoText
		}
		checks := []string{}
		for _, check := range inner.Content {
			text, ok := scalar(resolve(check))
			if !ok {
				return nil, errNoText
			}
			checks = append(checks, text)
		}
		list = append(list, checks)
	}
	return parseList(list)
}

// scalar returns a text as it was written; numbers, booleans, null and tagged values are none.
func scalar(n *yaml.Node) (string, bool) {
	tagged := n.Style&yaml.TaggedStyle != 0 || n.Tag == "!"
	return n.Value, n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" && !tagged
}

// resolve returns what an alias stands for.
func resolve(n *yaml.Node) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		return n.Alias
	}
	return n
}
