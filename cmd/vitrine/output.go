package main

import (
	"bytes"
	"encoding/json"
	"io"
	"iter"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// appendDocument appends the API's document of an image, with the places of its data as far as the server showed them.
func appendDocument(dst []byte, img *image.Image) []byte {
	opts := wire.Options{MultiStore: true}
	for _, loc := range img.Locations {
		opts.Locations = opts.Locations || loc.URL != ""
	}
	return wire.AppendImage(dst, img, opts)
}

// writeImage writes one image: as the API's document, or as a table for a person.
func (a *app) writeImage(w io.Writer, img *image.Image) error {
	if !a.json {
		return printImage(w, img)
	}
	var b bytes.Buffer
	if err := json.Indent(&b, appendDocument(nil, img), "", "  "); err != nil {
		return err
	}
	b.WriteByte('\n')
	_, err := b.WriteTo(w)
	return err
}

// writeImages writes a list as it comes: as the API's document, or as a table for a person.
func (a *app) writeImages(w io.Writer, images iter.Seq2[*image.Image, error]) error {
	if a.json {
		return writeDocuments(w, images)
	}
	return printImages(w, images)
}

// writeDocuments writes the document of a list, with one image in each line.
func writeDocuments(w io.Writer, images iter.Seq2[*image.Image, error]) error {
	line := []byte("{\"images\": [")
	separator := "\n"
	for img, err := range images {
		if err != nil {
			return err
		}
		line = appendDocument(append(line, separator...), img)
		if _, err := w.Write(line); err != nil {
			return err
		}
		line, separator = line[:0], ",\n"
	}
	_, err := w.Write(append(line, "\n]}\n"...))
	return err
}

// writeJSON writes any other document.
func writeJSON(w io.Writer, doc any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(doc)
}
