package image

import (
	"fmt"
	"strings"
	"time"
	"unicode"
)

// A Pin keeps an image from being deleted for a guest, also while that is stopped.
type Pin struct {
	Guest     string
	CreatedAt time.Time
}

// MaxPins is how many pins an image may have.
const MaxPins = 1000

// CheckGuest refuses what cannot be the name of a guest. Error: ErrInvalid.
func CheckGuest(guest string) error {
	const what = "The name of a guest"
	if guest == "" || guest == "." || guest == ".." || strings.ContainsFunc(guest, unicode.IsControl) {
		return Errorf(ErrInvalid, "%s may not be empty, a dot or two, and has no control characters", what)
	}
	return checkText(what, guest, MaxNameLength)
}

// toldPins is how many pins an error names.
const toldPins = 10

// PinUsers returns the guests that need an image as an InUseError tells of them: the first ones, and how many more there are.
func PinUsers(pins []Pin) (users []string) {
	for _, p := range pins[:min(len(pins), toldPins)] {
		users = append(users, "pinned for "+p.Guest)
	}
	if more := len(pins) - toldPins; more > 0 {
		users = append(users, fmt.Sprintf("pinned for %d more", more))
	}
	return users
}
