package auth

import (
	"net/http"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func TestNone(t *testing.T) {
	for _, tt := range []struct{ project, want string }{{"", DefaultProject}, {"ops", "ops"}} {
		caller, err := NewNone(tt.project).Authenticate(&http.Request{})
		if err != nil || caller.ProjectID != tt.want || !caller.IsAdmin() || caller.Anonymous {
			t.Errorf("the caller of project %q = %+v, %v", tt.project, caller, err)
		}
	}
	if !AnonymousReads(NewNone("")) {
		t.Error("what is public needs credentials although there are none")
	}
}

func TestAnonymousReadsIsOffUnlessSaid(t *testing.T) {
	if AnonymousReads(silent{}) {
		t.Error("an authenticator that says nothing lets everybody read")
	}
}

type silent struct{}

func (silent) Authenticate(*http.Request) (image.Caller, error) { return image.Caller{}, nil }
