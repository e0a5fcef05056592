package wire

import "github.com/vitrine-image/vitrine/image"

// Sums is the document of the sums of an image's content.
type Sums struct {
	Sums []image.ContentSum `json:"sums"`
}

// NewSums returns the document, whose list is never null.
func NewSums(sums []image.ContentSum) Sums { return Sums{append([]image.ContentSum{}, sums...)} }
