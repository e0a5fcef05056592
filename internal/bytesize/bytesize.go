// Package bytesize reads and writes numbers of bytes as people do: 512MiB, 1TiB, 10GB, 4096.
package bytesize

import (
	"fmt"
	"strconv"
	"strings"
)

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40}, {"PiB", 1 << 50},
	{"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12}, {"B", 1}, {"", 1},
}

// Parse reads a size.
func Parse(text string) (int64, error) {
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err == nil && n >= 0 && n <= (1<<62)/u.bytes {
			return n * u.bytes, nil
		}
	}
	return 0, fmt.Errorf("%q is no size such as \"512MiB\" or \"1TiB\"", text)
}

// Format writes a size in the largest unit that divides it.
func Format(size int64) string {
	best := units[len(units)-2]
	for _, u := range units[:5] {
		if size != 0 && size%u.bytes == 0 {
			best = u
		}
	}
	return strconv.FormatInt(size/best.bytes, 10) + best.suffix
}
