package main

import (
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

func TestPrintCache(t *testing.T) {
	var out strings.Builder
	err := printCache(&out, wire.Cache{
		Cached: []wire.CachedImage{{ID: "one\x1b", Hits: 3, Size: 2048, LastAccessed: 1700000000.75}},
		Queued: []image.ID{"two"},
	})
	want := "IMAGE    STATE   SIZE     HITS  USED\n" +
		"one\\x1b  cached  2.0 KiB  3     2023-11-14 22:13:20\n" +
		"two      queued  -        -     -\n"
	if err != nil || out.String() != want {
		t.Errorf("printCache wrote %v\n%s\nwant\n%s", err, out.String(), want)
	}
}
