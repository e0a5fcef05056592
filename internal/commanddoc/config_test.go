package commanddoc

import (
	"testing"
)

func TestConfigPage(t *testing.T) {
	page := ConfigPage{Name: "example.toml", Short: "an example", Sample: `# What all of it is.
#
# In two paragraphs.

# What one key is for, which
# .begins = a line like a command.
#key = "a\b"

# About the section:
#   [section.one]
#   key = 1
# and so on.
#[section]
# Two at once.
#first = 1
#second = -1
`}
	const want = `.TH "EXAMPLE.TOML" 5 "Nov 2026" "example 1" "Vitrine"
.SH NAME
example.toml \- an example
.SH DESCRIPTION
.PP
What all of it is.
.PP
In two paragraphs.
.TP
\fBkey = \(dqa\eb\(dq\fR
What one key is for, which
\&.begins = a line like a command.
.SH "[section]"
.PP
About the section:
.nf
  [section.one]
  key = 1
.fi
and so on.
.TP
\fBfirst = 1\fR
.TQ
\fBsecond = \-1\fR
Two at once.
`
	if got := string(page.roff("example 1", "Nov 2026")); got != want {
		t.Errorf("the page is\n%s\nwant\n%s", got, want)
	}
}
