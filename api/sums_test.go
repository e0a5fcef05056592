package api

import (
	"context"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// Sums tells of one, unless it fails.
func (s *fakeSession) Sums(context.Context, image.ID) ([]image.ContentSum, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	return []image.ContentSum{{Of: image.SumDisk, Algo: "sha512", Value: "ab", Size: 5}}, nil
}

func TestSums(t *testing.T) {
	const path = "/vitrine/v1/images/71c675ab-d94f-49cd-a114-e12490b328d9/sums"
	for _, tt := range []struct {
		path string
		fail error
		code int
		want string
	}{
		{path, nil, 200, `{"sums":[{"of":"disk","algorithm":"sha512","value":"ab","size":5}]}`},
		{path, image.Errorf(image.ErrNotFound, "No such image."), 404, "No such image."},
		{"/vitrine/v1/images/x/sums", nil, 404, ""},
	} {
		f := newFake()
		f.fail = tt.fail
		if res := do(newHandler(t, f), request{"GET", tt.path, nil, ""}); res.Code != tt.code || !strings.Contains(res.Body.String(), tt.want) {
			t.Errorf("%s = %d %s", tt.path, res.Code, res.Body)
		}
	}
}
