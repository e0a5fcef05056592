package api

import (
	"mime"
	"strconv"
	"strings"
)

// preferred returns the offer that an Accept header likes best, the first of those that it likes alike, and "" when it
// takes none of them or is missing. A header that cannot be read takes everything.
func preferred(accept []string, offers ...string) string {
	header := strings.Join(accept, ",")
	if strings.TrimSpace(header) == "" {
		return ""
	}
	best, bestQuality := "", 0.0
	for _, offer := range offers {
		quality, ok := qualityOf(header, offer)
		if !ok {
			return offers[0]
		}
		if quality > bestQuality {
			best, bestQuality = offer, quality
		}
	}
	return best
}

// qualityOf returns the q of the most specific range that covers the offer, 0 if none does.
func qualityOf(header, offer string) (quality float64, ok bool) {
	kind, _, _ := strings.Cut(offer, "/")
	specific := -1
	for part := range strings.SplitSeq(header, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		mediaRange, params, err := mime.ParseMediaType(part)
		if err != nil {
			return 0, false
		}
		q := 1.0
		if text, have := params["q"]; have {
			if q, err = strconv.ParseFloat(text, 64); err != nil || !(q >= 0 && q <= 1) {
				return 0, false
			}
		}
		level := -1
		switch mediaRange {
		case offer:
			level = 2
		case kind + "/*":
			level = 1
		case "*/*":
			level = 0
		}
		if level > specific {
			specific, quality = level, q
		}
	}
	return quality, true
}
