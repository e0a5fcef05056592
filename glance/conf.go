package glance

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
)

// A Conf is what configuration files of Glance say: the options of each section, the last of which counts.
type Conf struct {
	options map[option]string
	dir     string // of the first file
}

type option struct{ section, name string }

func (o option) String() string { return "[" + o.section + "] " + o.name }

// ReadConf reads configuration files in the format of oslo.config, later ones over earlier ones.
func ReadConf(paths ...string) (*Conf, error) {
	c := &Conf{options: make(map[option]string)}
	for i, path := range paths {
		if i == 0 {
			c.dir = dirOf(path)
		}
		if err := c.read(path); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func dirOf(path string) string {
	if at := strings.LastIndexByte(path, '/'); at > 0 {
		return path[:at]
	}
	return "."
}

// separator keeps several values of one option apart, which multi-valued options such as filesystem_store_datadirs have.
const separator = "\n"

func (c *Conf) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var last option // whose value a line that begins with a space continues
	section := "DEFAULT"
	seen := make(map[option]bool)
	lines := bufio.NewScanner(f)
	for number := 1; lines.Scan(); number++ {
		line := lines.Text()
		text := strings.TrimSpace(line)
		switch {
		case text == "":
			last = option{}
		case text[0] == '#' || text[0] == ';':
		case line[0] == ' ' || line[0] == '\t':
			if last.name == "" {
				return fmt.Errorf("%s:%d: a line that continues none", path, number)
			}
			c.options[last] = strings.TrimSpace(c.options[last] + " " + text)
		case text[0] == '[' && strings.HasSuffix(text, "]"):
			section, last = strings.TrimSpace(text[1:len(text)-1]), option{}
		default:
			name, value, ok := strings.Cut(text, "=")
			if at := strings.IndexByte(text, ':'); at >= 0 && (!ok || at < len(name)) {
				name, value, ok = text[:at], text[at+1:], true
			}
			if !ok {
				return fmt.Errorf("%s:%d: neither a section nor an option", path, number)
			}
			last = option{section, strings.TrimSpace(name)}
			if value = unquote(strings.TrimSpace(value)); seen[last] {
				value = c.options[last] + separator + value
			}
			seen[last] = true
			c.options[last] = value
		}
	}
	return lines.Err()
}

func unquote(value string) string {
	if n := len(value); n > 1 && (value[0] == '"' || value[0] == '\'') && value[n-1] == value[0] {
		return value[1 : n-1]
	}
	return value
}

var reference = regexp.MustCompile(`\$\$|\$\{([A-Za-z0-9_.]+)\}|\$([A-Za-z0-9_]+)`)

// get returns the last value of an option with references to others put in, "" if nothing says it.
func (c *Conf) get(section, name string) string {
	all := c.all(section, name)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}

// all returns every value of a multi-valued option.
func (c *Conf) all(section, name string) []string {
	text, ok := c.options[option{section, name}]
	if !ok {
		return nil
	}
	text = reference.ReplaceAllStringFunc(text, func(ref string) string {
		if ref == "$$" {
			return "$"
		}
		section, name := "DEFAULT", strings.Trim(ref, "${}")
		if group, of, ok := strings.Cut(name, "."); ok {
			section, name = group, of
		}
		value, ok := c.options[option{section, name}]
		if !ok {
			return ref
		}
		return value
	})
	return strings.Split(text, separator)
}

// names returns the options that the files set, sorted.
func (c *Conf) names() []option {
	return slices.SortedFunc(maps.Keys(c.options), func(a, b option) int { return strings.Compare(a.String(), b.String()) })
}

// Database returns the URL of Glance's database, "" if the files do not say it.
func (c *Conf) Database() string { return c.get("database", "connection") }

// EncryptionKey returns the key of encrypted locations, "" if there is none.
func (c *Conf) EncryptionKey() string { return c.get("DEFAULT", "metadata_encryption_key") }
