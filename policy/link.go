package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A rule is a name and what it means.
type rule struct {
	name      string
	line      int // in the operator's file, 0 for a built-in rule
	root      *node
	anyScope  bool
	anonymous bool // see Definition
	cost      int  // checks that an evaluation may make, 0 until it was counted
}

// where says which rule it is in messages.
func (r *rule) where() string {
	if r.line == 0 {
		return fmt.Sprintf("the built-in rule %q", r.name)
	}
	return fmt.Sprintf("line %d: rule %q", r.line, shorten(r.name))
}

// maxCost bounds how many checks one question may lead to, so that a few rules that each name another one many times do
// not take years.
const maxCost = 10_000

// A ruleSet is all the rules, linked: each that a rule refers to is there, and none refers to itself.
type ruleSet map[string]*rule

// link finds the rules that rules refer to.
func (s ruleSet) link() error {
	l := linker{rules: s}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if err := l.visit(s[name]); err != nil {
			return err
		}
	}
	return nil
}

// A linker walks from rule to rule.
type linker struct {
	rules ruleSet
	path  []*rule // those being visited, each referring to the next
}

// visit links a rule and those that it refers to, and counts its cost.
func (l *linker) visit(r *rule) error {
	if r.cost > 0 {
		return nil
	}
	if i := slices.Index(l.path, r); i >= 0 {
		return fmt.Errorf("%s refers to itself: %s", r.where(), names(append(l.path[i:], r)))
	}
	if len(l.path) == maxDepth {
		return fmt.Errorf("%s is at the end of more than %d rules that refer to each other", r.where(), maxDepth)
	}
	l.path = append(l.path, r)
	cost, err := l.walk(r, r.root)
	if err != nil {
		return err
	}
	l.path = l.path[:len(l.path)-1]
	r.cost = cost
	return nil
}

// walk links what is below a node of a rule and returns its cost.
func (l *linker) walk(r *rule, n *node) (int, error) {
	cost := 1
	for _, part := range n.nodes {
		c, err := l.walk(r, part)
		if err != nil {
			return 0, err
		}
		cost += c
		if cost > maxCost {
			return 0, tooCostly(r)
		}
	}
	name := n.name
	if n.op == opAttribute && n.attribute == isAdmin {
		name = ContextIsAdmin
	} else if n.op != opRule {
		return cost, nil
	}
	if n.rule = l.rules[name]; n.rule == nil {
		return 0, fmt.Errorf("%s refers to rule %q, which does not exist", r.where(), shorten(name))
	}
	if err := l.visit(n.rule); err != nil {
		return 0, err
	}
	if cost += n.rule.cost; cost > maxCost {
		return 0, tooCostly(r)
	}
	return cost, nil
}

func tooCostly(r *rule) error {
	return fmt.Errorf("%s leads to more than %d checks", r.where(), maxCost)
}

func names(path []*rule) string {
	var all []string
	for _, r := range path {
		all = append(all, shorten(r.name))
	}
	if len(all) > 8 {
		all = append(append(all[:4:4], "..."), all[len(all)-3:]...)
	}
	return strings.Join(all, " -> ")
}
