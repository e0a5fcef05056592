package auth

import (
	"cmp"
	"net/http"

	"github.com/vitrine-image/vitrine/image"
)

// None asks for no credentials: every caller is an admin of one project. It belongs on a loopback address or a unix
// socket, and behind a check that no web page sent the request.
type None struct{ caller image.Caller }

// DefaultProject is the project of None when none is named.
const DefaultProject = "default"

// NewNone returns a None whose callers belong to the project ("" is DefaultProject).
func NewNone(project string) *None {
	return &None{image.Caller{ProjectID: cmp.Or(project, DefaultProject), UserID: "admin",
		Roles: []string{"admin", "member", "reader"}}}
}

// Authenticate returns the admin.
func (n *None) Authenticate(*http.Request) (image.Caller, error) { return n.caller, nil }

// AnonymousReads is true: there are no credentials.
func (n *None) AnonymousReads() bool { return true }
