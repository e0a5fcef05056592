package image

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxEntryName is the longest directory entry that Linux knows, in bytes.
const MaxEntryName = 255

// EntryName returns the name of the directory entry for an image's name, a tag or a project. It never contains a slash
// or a control character, is never empty, "." or "..", fits a directory entry, and no two values share one: readable
// values stay as they are, other bytes become %XX, and what is too long (or empty) is cut and given %- and a hash.
func EntryName(value string) string {
	var b strings.Builder
	for i, r := range value {
		_, size := utf8.DecodeRuneInString(value[i:])
		if mustEscape(r, size) || value == "." || value == ".." {
			for _, c := range []byte(value[i : i+size]) {
				b.WriteByte('%')
				b.WriteByte("0123456789ABCDEF"[c>>4])
				b.WriteByte("0123456789ABCDEF"[c&15])
			}
			continue
		}
		b.WriteString(value[i : i+size])
	}
	if s := b.String(); s != "" && len(s) <= MaxEntryName {
		return s
	}
	return cutEntry(b.String(), value)
}

func mustEscape(r rune, size int) bool {
	return r == '/' || r == '%' || r == utf8.RuneError && size == 1 || unicode.IsControl(r) ||
		r == '\u2028' || r == '\u2029' || unicode.Is(unicode.Bidi_Control, r)
}

// cutEntry shortens an escaped name at a character's border. %- cannot come from escaping, so nothing else gives it.
func cutEntry(escaped, value string) string {
	sum := sha256.Sum256([]byte(value))
	suffix := "%-" + hex.EncodeToString(sum[:16])
	cut := min(len(escaped), MaxEntryName-len(suffix))
	for cut > 0 && cut < len(escaped) && !utf8.RuneStart(escaped[cut]) {
		cut--
	}
	if i := strings.LastIndexByte(escaped[:cut], '%'); i >= 0 && cut-i < 3 {
		cut = i // not in the middle of an escape
	}
	return escaped[:cut] + suffix
}
