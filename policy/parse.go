package policy

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
)

// Limits of a rule. Real ones have tens of checks.
const (
	maxRuleLength = 64 << 10 // bytes of text
	maxDepth      = 100      // parentheses and "not" within each other
)

// parse reads a rule. The grammar is that of oslo.policy, whose parser nothing but its results documents: words are
// separated by white space; parentheses stand at the beginning and the end of a word only, so that %(name)s may be within
// one; "not" binds tighter than "and", and that tighter than "or"; these three may be written in any case. The empty text
// allows everybody, blanks alone are an error.
func parse(text string) (*node, error) {
	if text == "" {
		return &node{op: opTrue}, nil
	}
	if len(text) > maxRuleLength {
		return nil, fmt.Errorf("it is %d bytes long, at most %d are allowed", len(text), maxRuleLength)
	}
	tokens, err := tokenize(text)
	if err != nil {
		return nil, err
	}
	p := parser{tokens: tokens}
	n, err := p.or()
	if err != nil {
		return nil, err
	}
	if len(p.tokens) > 0 {
		if p.tokens[0].kind == tokenClose {
			return nil, errors.New("a closing parenthesis has no opening one")
		}
		return nil, fmt.Errorf("and, or is missing before %q", shorten(p.tokens[0].text))
	}
	return n, nil
}

// parseList reads a rule in its oldest form, a list of lists: one of the outer, all checks of an inner one. Each text is
// a single check; an inner list of one may be that check itself.
func parseList(list [][]string) (*node, error) {
	if len(list) == 0 {
		return &node{op: opTrue}, nil
	}
	either := &node{op: opOr}
	for _, inner := range list {
		all := &node{op: opAnd}
		for _, text := range inner {
			check, err := parseCheck(text)
			if err != nil {
				return nil, err
			}
			all.nodes = append(all.nodes, check)
		}
		if len(all.nodes) > 0 { // an empty one is as good as none
			either.nodes = append(either.nodes, all)
		}
	}
	return either, nil
}

type tokenKind int

const (
	tokenCheck tokenKind = iota
	tokenOpen
	tokenClose
	tokenAnd
	tokenOr
	tokenNot
)

type token struct {
	kind  tokenKind
	text  string
	check *node // of tokenCheck
}

var keywords = map[string]tokenKind{"and": tokenAnd, "or": tokenOr, "not": tokenNot}

func tokenize(text string) ([]token, error) {
	var tokens []token
	for _, word := range strings.FieldsFunc(text, isSpace) {
		rest := strings.TrimLeft(word, "(")
		for range len(word) - len(rest) {
			tokens = append(tokens, token{kind: tokenOpen, text: "("})
		}
		clean := strings.TrimRight(rest, ")")
		if kind, ok := keywords[strings.ToLower(clean)]; ok {
			tokens = append(tokens, token{kind: kind, text: clean})
		} else if clean != "" {
			if isString(rest) {
				return nil, fmt.Errorf("%s is a text where a check is expected", shorten(rest))
			}
			check, err := parseCheck(clean)
			if err != nil {
				return nil, err
			}
			tokens = append(tokens, token{kind: tokenCheck, text: clean, check: check})
		}
		for range len(rest) - len(clean) {
			tokens = append(tokens, token{kind: tokenClose, text: ")"})
		}
	}
	return tokens, nil
}

// isSpace knows what Python's regular expressions call white space.
func isSpace(r rune) bool { return unicode.IsSpace(r) || 0x1c <= r && r <= 0x1f }

// isString reports whether a word begins and ends with the same quote: never a check, not even 'a':'b'.
func isString(word string) bool {
	return len(word) >= 2 && (word[0] == '"' || word[0] == '\'') && word[0] == word[len(word)-1]
}

type parser struct {
	tokens []token // those that are left
	depth  int
}

func (p *parser) or() (*node, error) { return p.chain(tokenOr, opOr, p.and) }

func (p *parser) and() (*node, error) { return p.chain(tokenAnd, opAnd, p.operand) }

// chain reads operands with the same word between them.
func (p *parser) chain(between tokenKind, op op, operand func() (*node, error)) (*node, error) {
	n, err := operand()
	if err != nil || !p.take(between) {
		return n, err
	}
	chain := &node{op: op, nodes: []*node{n}}
	for {
		n, err := operand()
		if err != nil {
			return nil, err
		}
		chain.nodes = append(chain.nodes, n)
		if !p.take(between) {
			return chain, nil
		}
	}
}

// operand reads a check, a negation, or what stands in parentheses.
func (p *parser) operand() (*node, error) {
	if len(p.tokens) == 0 {
		return nil, errors.New("it ends where a check is expected")
	}
	if p.depth++; p.depth > maxDepth {
		return nil, fmt.Errorf("it is nested more than %d levels deep", maxDepth)
	}
	defer func() { p.depth-- }()
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	switch t.kind {
	case tokenCheck:
		return t.check, nil
	case tokenNot:
		n, err := p.operand()
		if err != nil {
			return nil, err
		}
		return &node{op: opNot, nodes: []*node{n}}, nil
	case tokenOpen:
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		if !p.take(tokenClose) {
			return nil, errors.New("an opening parenthesis has no closing one")
		}
		return n, nil
	}
	return nil, fmt.Errorf("a check is expected before %q", t.text)
}

// take reads a token of the kind, if one is next.
func (p *parser) take(kind tokenKind) bool {
	if len(p.tokens) == 0 || p.tokens[0].kind != kind {
		return false
	}
	p.tokens = p.tokens[1:]
	return true
}

// shorten cuts a text of somebody's file down to what a message can hold.
func shorten(text string) string {
	if len(text) > 60 {
		return strings.ToValidUTF8(text[:60], "") + "..."
	}
	return text
}
