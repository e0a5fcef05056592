package metadatatest

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// testLargePages checks that pages of large images end early, and that the next ones go on behind them.
func testLargePages(t *testing.T, db metadata.DB) {
	var want []image.ID
	at := newImage().CreatedAt
	for i := range 5 {
		img := newImage()
		img.Hidden, img.CreatedAt = false, at.Add(-time.Duration(i)*time.Second)
		img.Properties = map[string]string{}
		for k := range 6 {
			img.Properties["key"+strconv.Itoa(k)] = strings.Repeat("v", image.PageBytes/9)
		}
		create(t, db, img)
		want = append(want, img.ID)
	}
	q := image.Query{Caller: admin, Limit: 9}
	wantList(t, db, q, want[:2]...)
	q.Marker = want[1]
	wantList(t, db, q, want[2:4]...)
	q.Marker = want[3]
	wantList(t, db, q, want[4])
	q.Marker, q.Limit = "", 1
	wantList(t, db, q, want[0])
}
