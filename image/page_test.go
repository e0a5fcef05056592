package image

import (
	"strings"
	"testing"
)

func TestFullPages(t *testing.T) {
	name := "name"
	small := &Image{Name: &name, Tags: []string{"a"}, Properties: map[string]string{"k": "v"}}
	if n := small.TextBytes(); n != 7 {
		t.Errorf("TextBytes = %d, want 7", n)
	}
	large := &Image{Properties: map[string]string{"k": strings.Repeat("v", PageBytes-8)}}
	for _, tt := range []struct {
		limit int
		page  []*Image
		want  bool
	}{
		{2, nil, false},
		{2, []*Image{small}, false},
		{2, []*Image{small, small}, true},
		{3, []*Image{large}, false},
		{3, []*Image{large, small}, true},
	} {
		if got := (Query{Limit: tt.limit}).Full(tt.page); got != tt.want {
			t.Errorf("%d images of at most %d: full %v, want %v", len(tt.page), tt.limit, got, tt.want)
		}
	}
}
