package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/rivo/uniseg"

	"github.com/vitrine-image/vitrine/image"
)

// A table writes rows in columns that are as wide on a terminal as their widest cell so far. Cells must be printable.
type table struct{ widths []int }

func (t *table) write(w io.Writer, rows [][]string) error {
	for _, row := range rows {
		for i, cell := range row {
			if i == len(t.widths) {
				t.widths = append(t.widths, 0)
			}
			t.widths[i] = max(t.widths[i], uniseg.StringWidth(cell))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		for i, cell := range row {
			b.WriteString(cell)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", t.widths[i]-uniseg.StringWidth(cell)+2))
			}
		}
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTable writes one table.
func writeTable(w io.Writer, rows [][]string) error { return new(table).write(w, rows) }

// printable replaces what would move the cursor, turn the text around or hide in it: names are chosen by strangers.
func printable(s string) string {
	if !strings.ContainsFunc(s, unprintable) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRuneToASCII(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool {
	return r == unicode.ReplacementChar || !unicode.IsGraphic(r) || r != ' ' && unicode.IsSpace(r)
}

// printImages writes a table of images, one per line, from any number of images in little memory.
func printImages(w io.Writer, images iter.Seq2[*image.Image, error]) error {
	t := new(table)
	rows := [][]string{{"ID", "NAME", "STATUS", "VISIBILITY", "FORMAT", "SIZE", "CREATED"}}
	for img, err := range images {
		if err != nil && t.widths == nil && len(rows) == 1 {
			return err // without a heading over nothing
		}
		if err != nil {
			return errors.Join(t.write(w, rows), err)
		}
		if rows = append(rows, imageRow(img)); len(rows) < pageSize {
			continue
		}
		if err := t.write(w, rows); err != nil {
			return err
		}
		rows = rows[:0]
	}
	return t.write(w, rows)
}

func imageRow(img *image.Image) []string {
	size := "-"
	if img.Size != nil {
		size = bytesText(*img.Size)
	}
	return []string{string(img.ID), printable(nameOf(img)), printable(string(img.Status)), printable(string(img.Visibility)),
		printable(orDash(img.DiskFormat)), size, img.CreatedAt.Format(time.DateTime)}
}

// printImage writes all that is known of one image.
func printImage(w io.Writer, img *image.Image) error {
	size := func(n *int64) string {
		if n == nil {
			return "-"
		}
		return exactText(*n)
	}
	var stores []string
	for _, loc := range img.Locations {
		stores = append(stores, loc.Store)
	}
	rows := [][]string{
		{"id", string(img.ID)},
		{"name", nameOf(img)},
		{"status", string(img.Status)},
		{"visibility", string(img.Visibility)},
		{"owner", orDash(img.Owner)},
		{"disk format", orDash(img.DiskFormat)},
		{"container format", orDash(img.ContainerFormat)},
		{"size", size(img.Size)},
		{"virtual size", size(img.VirtualSize)},
		{"minimum disk", strconv.FormatInt(img.MinDisk, 10) + " GiB"},
		{"minimum memory", strconv.FormatInt(img.MinRAM, 10) + " MiB"},
		{"checksum", orDash(img.Checksum)},
		{orDefault(img.HashAlgo, "hash"), orDash(img.HashValue)},
		{"protected", strconv.FormatBool(img.Protected)},
		{"hidden", strconv.FormatBool(img.Hidden)},
		{"tags", orDash(strings.Join(img.Tags, ", "))},
		{"created", img.CreatedAt.Format(time.RFC3339)},
		{"updated", img.UpdatedAt.Format(time.RFC3339)},
	}
	if stores != nil {
		rows = append(rows, []string{"stores", strings.Join(stores, ", ")})
	}
	for _, key := range slices.Sorted(maps.Keys(img.Properties)) {
		rows = append(rows, []string{"property " + key, img.Properties[key]})
	}
	for _, row := range rows {
		row[0], row[1] = printable(row[0]), printable(row[1])
	}
	return writeTable(w, rows)
}

func nameOf(img *image.Image) string {
	if img.Name == nil {
		return "-"
	}
	return *img.Name
}

func orDash(s string) string { return orDefault(s, "-") }

func orDefault(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// exactText writes a number of bytes, and a shorter one beside it if that is easier to read.
func exactText(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	return fmt.Sprintf("%d (%s)", n, bytesText(n))
}

// bytesText writes a number of bytes with three digits and a binary unit.
func bytesText(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, unit := float64(n)/1024, 0
	for v >= 999.5 && unit < 5 {
		v, unit = v/1024, unit+1
	}
	digits := 0
	if v < 99.95 {
		digits = 1
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + []string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"}[unit]
}
