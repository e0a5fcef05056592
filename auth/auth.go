// Package auth tells who sends a request: an Authenticator turns its credentials into an image.Caller.
package auth

import (
	"net/http"

	"github.com/vitrine-image/vitrine/image"
)

// An Authenticator finds the caller of a request. It is safe for concurrent use. What it can do beyond that it says by
// implementing AnonymousReader and Challenger.
type Authenticator interface {
	// Authenticate returns who sends the request; Anonymous callers are those without credentials where that is allowed.
	// Errors: image.ErrUnauthorized for missing or bad credentials, image.ErrUnavailable when they cannot be checked now.
	Authenticate(r *http.Request) (image.Caller, error)
}

// An AnonymousReader lets everybody read what is public, so that caches in between may keep it.
type AnonymousReader interface {
	// AnonymousReads reports whether a request without any credentials may read public images.
	AnonymousReads() bool
}

// A Challenger names how to authenticate.
type Challenger interface {
	// Challenge returns the header WWW-Authenticate of an answer 401.
	Challenge() string
}

// The kinds of authenticators, as a configuration and logs name them.
const (
	KindNone     = "none"
	KindKeystone = "keystone"
	KindBasic    = "basic"
	KindTrusted  = "trusted_headers"
)

// Kind returns which of the kinds the authenticator is, "" for none of them.
func Kind(a Authenticator) string {
	switch a.(type) {
	case *None:
		return KindNone
	case *Keystone:
		return KindKeystone
	case *Basic:
		return KindBasic
	case *Trusted:
		return KindTrusted
	}
	return ""
}

// AnonymousReads reports whether the authenticator lets everybody read what is public.
func AnonymousReads(a Authenticator) bool {
	reader, ok := a.(AnonymousReader)
	return ok && reader.AnonymousReads()
}
