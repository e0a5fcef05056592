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

// A PageWriter writes the document of a list, image by image.
type PageWriter struct {
	dst   []byte
	start int
	count int
	opts  Options
}

// NewPageWriter returns a writer that appends to dst.
func NewPageWriter(dst []byte, opts Options) *PageWriter {
	return &PageWriter{dst: append(dst, `{"images":[`...), start: len(dst), opts: opts}
}

// Add writes one more image.
func (w *PageWriter) Add(img *image.Image) {
	if w.count++; w.count > 1 {
		w.dst = append(w.dst, ',')
	}
	w.dst = AppendImage(w.dst, img, w.opts)
}

// Len returns how many bytes were written.
func (w *PageWriter) Len() int { return len(w.dst) - w.start }

// End writes the links and returns all that was appended to. next is empty on the last page.
func (w *PageWriter) End(first, next string) []byte {
	w.dst = appendField(append(w.dst, ']'), "first", first)
	if next != "" {
		w.dst = appendField(w.dst, "next", next)
	}
	return append(w.dst, `,"schema":"`+ImagesSchema+`"}`...)
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
