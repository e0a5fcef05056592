package wire

import (
	"encoding/json"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
)

// Extents is the document of a page of extents.
type Extents struct {
	Format  string   `json:"format"`
	Size    int64    `json:"size"`
	Extents []Extent `json:"extents"`
	Next    string   `json:"next,omitempty"` // the link to the next page
}

// An Extent is one of them.
type Extent struct {
	Offset int64 `json:"offset"`
	Length int64 `json:"length"`
	Data   bool  `json:"data"`
}

// NewExtents returns the document of a page, with the link to the next one.
func NewExtents(page image.ExtentPage, next string) Extents {
	doc := Extents{Format: page.Format, Size: page.Size, Extents: make([]Extent, len(page.Extents)), Next: next}
	for i, e := range page.Extents {
		doc.Extents[i] = Extent(e)
	}
	return doc
}

// ParseExtents reads the document of the page that begins at an offset, and believes nothing that does not fit together.
func ParseExtents(text []byte, offset int64) (image.ExtentPage, error) {
	var doc Extents
	if err := json.Unmarshal(text, &doc); err != nil {
		return image.ExtentPage{}, fmt.Errorf("extents: %w", err)
	}
	page := image.ExtentPage{Format: doc.Format, Size: doc.Size, Next: offset}
	for _, e := range doc.Extents {
		if e.Offset != page.Next || e.Length <= 0 || e.Length > doc.Size-e.Offset {
			return image.ExtentPage{}, fmt.Errorf("extents: %d bytes at %d of %d do not go on at %d", e.Length, e.Offset, doc.Size, page.Next)
		}
		page.Extents = append(page.Extents, image.Extent(e))
		page.Next += e.Length
	}
	if more := page.Next < doc.Size; page.Next > doc.Size || more != (doc.Next != "") || more && len(doc.Extents) == 0 {
		return image.ExtentPage{}, fmt.Errorf("extents: %d of %d bytes are told of, and the next page is %q", page.Next, doc.Size, doc.Next)
	}
	return page, nil
}
