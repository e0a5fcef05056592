package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func TestWriteTable(t *testing.T) {
	var b strings.Builder
	err := writeTable(&b, [][]string{{"A", "NAME", "X"}, {"1", "日本", "y"}, {"22", "naïve", "z"}, {"3", "👩‍👩‍👧", ""}})
	want := "A   NAME   X\n1   日本   y\n22  naïve  z\n3   👩‍👩‍👧     \n"
	if err != nil || b.String() != want {
		t.Errorf("writeTable wrote\n%s%v, want\n%s", b.String(), err, want)
	}
}

func TestLongListsKeepTheirColumns(t *testing.T) {
	long := strings.Repeat("n", 50)
	var b strings.Builder
	broken := errors.New("broken")
	err := printImages(&b, func(yield func(*image.Image, error) bool) {
		name := long
		for i := range 2*pageSize + 1 {
			if i == 1 {
				name = "short"
			}
			if !yield(&image.Image{ID: "id", Name: &name, Status: image.Active}, nil) {
				return
			}
		}
		yield(nil, broken)
	})
	lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
	if !errors.Is(err, broken) || len(lines) != 2*pageSize+2 {
		t.Fatalf("printImages wrote %d lines, %v", len(lines), err)
	}
	at := strings.Index(lines[0], "STATUS")
	for _, line := range lines[1:] {
		if !strings.HasPrefix(line[at:], "active ") {
			t.Fatalf("the status is not in its column: %q", line)
		}
	}
}

func TestListsThatFailHaveNoHeading(t *testing.T) {
	var b strings.Builder
	broken := errors.New("broken")
	err := printImages(&b, func(yield func(*image.Image, error) bool) { yield(nil, broken) })
	if !errors.Is(err, broken) || b.Len() != 0 {
		t.Errorf("printImages wrote %q, %v", b.String(), err)
	}
	if err := printImages(&b, func(func(*image.Image, error) bool) {}); err != nil || !strings.HasPrefix(b.String(), "ID ") {
		t.Errorf("printImages wrote %q, %v for an empty list", b.String(), err)
	}
}

func TestPrintable(t *testing.T) {
	for _, tt := range []struct{ s, want string }{
		{"plain", "plain"},
		{"日本 naïve 👍", "日本 naïve 👍"},
		{"a\nb\tc\x1b[2J", `a\nb\tc\x1b[2J`},
		{"\u202egnp", `\u202egnp`},
		{"\xff", `\ufffd`},
		{"a\u00a0b\u2028", `a\u00a0b\u2028`},
	} {
		if got := printable(tt.s); got != tt.want {
			t.Errorf("printable(%q) = %s, want %s", tt.s, got, tt.want)
		}
	}
}

func TestBytesText(t *testing.T) {
	for _, tt := range []struct {
		n    int64
		want string
	}{
		{0, "0 B"}, {1023, "1023 B"}, {1024, "1.0 KiB"}, {1536, "1.5 KiB"}, {102_300, "99.9 KiB"}, {102_400, "100 KiB"}, {1<<20 - 1, "1.0 MiB"},
		{1 << 30, "1.0 GiB"}, {2361393152, "2.2 GiB"}, {1<<63 - 1, "8.0 EiB"},
	} {
		if got := bytesText(tt.n); got != tt.want {
			t.Errorf("bytesText(%d) = %s, want %s", tt.n, got, tt.want)
		}
	}
}
