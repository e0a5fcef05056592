package wire

import (
	"encoding/json"
	"fmt"

	"github.com/vitrine-image/vitrine/image"
)

// A Page is one answer to a list. First and Next are paths with a query; Next is empty on the last page.
type Page struct {
	Images      []*image.Image
	First, Next string
}

// AppendImages appends the document of a list.
func AppendImages(dst []byte, page Page, opts Options) []byte {
	dst = append(dst, `{"images":[`...)
	for i, img := range page.Images {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = AppendImage(dst, img, opts)
	}
	dst = append(dst, ']')
	dst = appendField(dst, "first", page.First)
	if page.Next != "" {
		dst = appendField(dst, "next", page.Next)
	}
	return append(dst, `,"schema":"`+ImagesSchema+`"}`...)
}

// ParseImages reads the document of a list.
func ParseImages(data []byte) (Page, error) {
	var doc struct {
		Images      []json.RawMessage
		First, Next string
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return Page{}, fmt.Errorf("parse a list of images: %w", err)
	}
	page := Page{First: doc.First, Next: doc.Next, Images: make([]*image.Image, 0, len(doc.Images))}
	for _, raw := range doc.Images {
		img, err := ParseImage(raw)
		if err != nil {
			return Page{}, err
		}
		page.Images = append(page.Images, img)
	}
	return page, nil
}
