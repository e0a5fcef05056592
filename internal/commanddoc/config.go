package commanddoc

import (
	"bytes"
	"fmt"
	"strings"
)

// A ConfigPage is the man page of a configuration file in section 5, written from its sample: comments, and below each the
// key that it explains, with its default, behind a # as well.
type ConfigPage struct {
	Name   string // of the file
	Short  string // what it is, in a few words
	Sample string
}

// roff returns the page.
func (p ConfigPage) roff(source, date string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, ".TH %q 5 %q %q \"Vitrine\"\n.SH NAME\n%s \\- %s\n.SH DESCRIPTION\n", strings.ToUpper(p.Name), date, source, p.Name, escape(p.Short))
	var about, keys []string // not written yet
	flush := func() {
		for i, key := range keys {
			request := ".TP"
			if i > 0 {
				request = ".TQ"
			}
			fmt.Fprintf(&out, "%s\n\\fB%s\\fR\n", request, escape(key))
		}
		if len(keys) == 0 && len(about) > 0 {
			out.WriteString(".PP\n")
		}
		writeText(&out, about)
		about, keys = nil, nil
	}
	for line := range strings.Lines(p.Sample) {
		line = strings.TrimRight(line, "\n")
		text, isText := strings.CutPrefix(line, "# ")
		switch {
		case line == "":
			flush()
		case isText:
			if len(keys) > 0 {
				flush()
			}
			about = append(about, text)
		case line == "#":
			about = append(about, "")
		case strings.HasPrefix(line, "#["):
			fmt.Fprintf(&out, ".SH %q\n", escape(line[1:]))
			flush()
		default:
			keys = append(keys, strings.TrimPrefix(line, "#"))
		}
	}
	flush()
	return out.Bytes()
}

// writeText writes lines of a comment. Those that are indented are examples and stay as they are.
func writeText(out *bytes.Buffer, lines []string) {
	example := false
	for _, line := range lines {
		if indented := strings.HasPrefix(line, " "); indented != example {
			example = indented
			out.WriteString(map[bool]string{true: ".nf\n", false: ".fi\n"}[example])
		}
		if line == "" {
			out.WriteString(".PP\n")
			continue
		}
		out.WriteString(escape(line) + "\n")
	}
	if example {
		out.WriteString(".fi\n")
	}
}

// escape keeps roff from reading commands out of text.
func escape(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`, `"`, `\(dq`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
