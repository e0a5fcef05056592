package policy

import (
	_ "embed"
	"fmt"
	"strings"
)

//go:embed introduction.md
var introduction string

// Sample returns a policy.yaml in which every built-in rule is a comment.
func Sample() string {
	var b strings.Builder
	b.WriteString(`# Rules in the place of the built-in ones. Each stands here as it is built in: take the # away to change it.
# An empty text, or "@", allows everybody and "!" nobody.
`)
	for _, g := range groups {
		fmt.Fprintf(&b, "\n# %s\n", g.title)
		for _, d := range g.definitions {
			fmt.Fprintf(&b, "\n# %s\n", d.Text)
			for _, operation := range d.Operations {
				fmt.Fprintf(&b, "# %s\n", operation)
			}
			fmt.Fprintf(&b, "#%q: %q\n", d.Name, d.Expression)
		}
	}
	return b.String()
}

// Reference returns the page docs/reference/policy.md: the language, and the built-in rules.
func Reference() string {
	var b strings.Builder
	b.WriteString(introduction)
	for _, g := range groups {
		fmt.Fprintf(&b, "## %s\n", g.title)
		for _, d := range g.definitions {
			fmt.Fprintf(&b, "\n### %s\n\n%s", d.Name, d.Text)
			if d.Anonymous {
				b.WriteString(" Callers without credentials may, of what is public.")
			}
			expression := d.Expression
			if expression == "" {
				expression = "@"
			}
			fmt.Fprintf(&b, "\n\n- rule: `%s`\n", expression)
			for i, operation := range d.Operations {
				if i == 0 {
					b.WriteString("- for: ")
				} else {
					b.WriteString(", ")
				}
				fmt.Fprintf(&b, "`%s`", operation)
			}
			if len(d.Operations) > 0 {
				b.WriteString("\n")
			}
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}
