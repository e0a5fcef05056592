package policy

import (
	"errors"
	"fmt"
	"strings"
)

// A section is a part of an INI file: a heading in brackets with keys and values.
type section struct {
	heading string
	line    int
	values  map[string]entry // by key, in lower case
}

// An entry is a value of an INI file. Its lines are joined with "\n".
type entry struct {
	text string
	line int
}

// defaultHeading is that of a section whose values every other one has, unless it says otherwise.
const defaultHeading = "DEFAULT"

// parseSections reads an INI file as Python's configparser does, since there are such files: the order counts, = and :
// separate keys from values, a line that is indented more than its key goes on with the value, # and ; begin comments at
// the beginning of a line, and a heading ends at the last bracket of its line.
func parseSections(data []byte) ([]section, error) {
	if len(data) > maxFileSize {
		return nil, fmt.Errorf("it is %d bytes long, at most %d are allowed", len(data), maxFileSize)
	}
	var p sectionParser
	for i, line := range strings.Split(strings.TrimPrefix(string(data), "\ufeff"), "\n") {
		if err := p.add(i+1, strings.TrimRight(line, " \t\r")); err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	return p.finish(), nil
}

type sectionParser struct {
	sections []section
	defaults map[string]entry
	current  map[string]entry // the section being read
	key      string           // read last, "" for none
	indent   int              // of that key
	headings map[string]int   // lines
}

func (p *sectionParser) add(number int, line string) error {
	text := strings.TrimLeft(line, " \t")
	if text == "" || text[0] == '#' || text[0] == ';' {
		return nil
	}
	indent := len(line) - len(text)
	if p.key != "" && indent > p.indent {
		e := p.current[p.key]
		e.text += "\n" + text
		p.current[p.key] = e
		return nil
	}
	p.indent = indent
	if text[0] == '[' {
		return p.heading(number, text)
	}
	i := strings.IndexAny(text, "=:")
	if i < 0 {
		return errors.New("a section in brackets, or a key and a value are expected")
	}
	if p.current == nil {
		return errors.New("a value is there before the first section")
	}
	key := strings.ToLower(strings.TrimSpace(text[:i]))
	if key == "" {
		return errors.New("a value without a key")
	}
	if before, twice := p.current[key]; twice {
		return fmt.Errorf("%s is in line %d already", shorten(key), before.line)
	}
	p.key = key
	p.current[key] = entry{strings.TrimSpace(text[i+1:]), number}
	return nil
}

func (p *sectionParser) heading(number int, text string) error {
	end := strings.LastIndexByte(text, ']')
	if end < 2 {
		return errors.New("the heading of a section has nothing in its brackets, or no closing one")
	}
	if rest := strings.TrimSpace(text[end+1:]); rest != "" && rest[0] != '#' && rest[0] != ';' {
		return errors.New("something follows the heading of a section")
	}
	heading := text[1:end]
	p.key, p.current = "", make(map[string]entry)
	if before, twice := p.headings[heading]; twice {
		return fmt.Errorf("section [%s] is in line %d already", shorten(heading), before)
	}
	if p.headings == nil {
		p.headings = make(map[string]int)
	}
	p.headings[heading] = number
	if heading == defaultHeading {
		p.defaults = p.current
		return nil
	}
	p.sections = append(p.sections, section{heading, number, p.current})
	return nil
}

// finish gives every section the default values that it lacks.
func (p *sectionParser) finish() []section {
	for _, s := range p.sections {
		for key, e := range p.defaults {
			if _, ok := s.values[key]; !ok {
				s.values[key] = e
			}
		}
	}
	return p.sections
}
