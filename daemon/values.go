package daemon

import (
	"fmt"
	"strconv"
	"strings"
	"time"
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

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"PiB", 1 << 50},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	for _, u := range units {
		number, ok := strings.CutSuffix(string(text), u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err == nil && n >= 0 && n <= (1<<62)/u.bytes {
			*s = Size(n * u.bytes)
			return nil
		}
	}
	return fmt.Errorf("%q is no size such as \"512MiB\" or \"1TiB\"", text)
}

// MarshalText writes the size in the largest unit that divides it.
func (s Size) MarshalText() ([]byte, error) {
	best := units[len(units)-2]
	for _, u := range units[:5] {
		if s != 0 && int64(s)%u.bytes == 0 {
			best = u
		}
	}
	return []byte(strconv.FormatInt(int64(s)/best.bytes, 10) + best.suffix), nil
}

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
