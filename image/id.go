package image

import (
	"crypto/rand"
	"encoding/hex"
)

// An ID is an image's UUID in its canonical form: 8-4-4-4-12 hex digits, lower case. Make one with ParseID or NewID.
type ID string

// NewID returns a random (version 4) UUID.
func NewID() ID {
	var b [16]byte
	rand.Read(b[:]) // never fails: it aborts the program instead
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var s [36]byte
	hex.Encode(s[0:8], b[0:4])
	hex.Encode(s[9:13], b[4:6])
	hex.Encode(s[14:18], b[6:8])
	hex.Encode(s[19:23], b[8:10])
	hex.Encode(s[24:36], b[10:16])
	s[8], s[13], s[18], s[23] = '-', '-', '-', '-'
	return ID(s[:])
}

// ParseID accepts a UUID in either case; ok is false for anything else.
func ParseID(s string) (id ID, ok bool) {
	if len(s) != 36 {
		return "", false
	}
	var b [36]byte
	for i := range len(s) {
		c := s[i]
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return "", false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f':
		case c >= 'A' && c <= 'F':
			c += 'a' - 'A'
		default:
			return "", false
		}
		b[i] = c
	}
	return ID(b[:]), true
}
