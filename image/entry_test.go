package image

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEntryName(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{"debian-12", "debian-12"},
		{"Ubuntu 24.04 (noble)", "Ubuntu 24.04 (noble)"},
		{"naïve 日本", "naïve 日本"},
		{"a/b", "a%2Fb"},
		{"100%", "100%25"},
		{"a%2Fb", "a%252Fb"},
		{".", "%2E"},
		{"..", "%2E%2E"},
		{"...", "..."},
		{"a\nb\x00", "a%0Ab%00"},
		{"\xff", "%FF"},
		{"\u202egpj", "%E2%80%AEgpj"},
		{"", "%-e3b0c44298fc1c149afbf4c8996fb924"},
	} {
		if got := EntryName(tt.value); got != tt.want {
			t.Errorf("EntryName(%q) = %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestEntryNameCutsLongNames(t *testing.T) {
	long := strings.Repeat("日", 255)
	got, other := EntryName(long), EntryName(long[:len(long)-3]+"本")
	if len(got) > MaxEntryName || !utf8.ValidString(got) || got == other || got[:200] != other[:200] {
		t.Errorf("EntryName of a long name = %q (%d bytes), of its neighbour %q", got, len(got), other)
	}
}

func FuzzEntryName(f *testing.F) {
	for _, s := range []string{"", ".", "..", "a/b", "%", "%-", strings.Repeat("/", 100), strings.Repeat("é", 200)} {
		f.Add(s, s+"x")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		x, y := EntryName(a), EntryName(b)
		if x == "" || x == "." || x == ".." || len(x) > MaxEntryName || strings.ContainsAny(x, "/\x00\n") {
			t.Errorf("EntryName(%q) = %q", a, x)
		}
		if (x == y) != (a == b) {
			t.Errorf("EntryName(%q) = %q and EntryName(%q) = %q", a, x, b, y)
		}
	})
}
