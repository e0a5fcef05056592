package daemon

import (
	"fmt"
	"time"

	"github.com/vitrine-image/vitrine/internal/bytesize"
)

// A Duration is written as "90s", "5m" or "1h30m".
type Duration time.Duration

// Units of time.
const (
	Second = Duration(time.Second)
	Minute = Duration(time.Minute)
	Hour   = Duration(time.Hour)
)

// UnmarshalText reads a duration, which may not be negative.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil || v < 0 {
		return fmt.Errorf("%q is no duration such as \"30s\" or \"1h\"", text)
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration as it is read.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// A Size is a number of bytes, written as "512MiB", "1TiB", "10GB" or "4096".
type Size int64

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	n, err := bytesize.Parse(string(text))
	if err == nil {
		*s = Size(n)
	}
	return err
}

// MarshalText writes the size in the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) { return []byte(bytesize.Format(int64(s))), nil }

// Shown says whose images appear: "all", "public", or a list of projects.
type Shown []string

// UnmarshalText reads a single word; the decoder reads lists by itself.
func (s *Shown) UnmarshalText(text []byte) error {
	if word := string(text); word != "all" && word != "public" {
		return fmt.Errorf("%q is neither all nor public; projects are a list: [%q]", word, word)
	}
	*s = Shown{string(text)}
	return nil
}
