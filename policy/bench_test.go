package policy_test

import (
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/policy"
)

var shown = &image.Image{ID: "i", Owner: "own", Visibility: image.Shared, Status: image.Active}

// guest asks for an image that is shared with somebody else: nearly every check of the rule is made.
var guest = image.Caller{UserID: "u", ProjectID: "guest", Roles: []string{"member", "reader"}}

func TestAQuestionAllocatesNothing(t *testing.T) {
	for name, e := range map[string]*policy.Enforcer{"built in": open(t, policy.Config{}), "file": open(t, policy.Config{File: write(t, "a: '@'\n")})} {
		ctx := t.Context()
		allowed := true
		if n := testing.AllocsPerRun(100, func() {
			allowed = allowed && e.Allows(ctx, guest, policy.DownloadImage, policy.ForImage(shown, ""))
		}); n > 0 || !allowed {
			t.Errorf("%s: %v allocations, allowed: %t", name, n, allowed)
		}
	}
}

func BenchmarkAllows(b *testing.B) {
	for name, file := range map[string]string{"built in": "", "file": write(b, "a: '@'\n")} {
		b.Run(name, func(b *testing.B) {
			e := open(b, policy.Config{File: file})
			b.ReportAllocs()
			for b.Loop() {
				if !e.Allows(b.Context(), guest, policy.DownloadImage, policy.ForImage(shown, "")) {
					b.Fatal("not allowed")
				}
			}
		})
	}
}
