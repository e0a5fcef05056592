package image

import (
	"log/slog"
	"slices"
)

// A Caller is who asks: made by auth, passed on explicitly.
type Caller struct {
	ProjectID string
	UserID    string
	Roles     []string
	Anonymous bool // carries no credentials; may read what is public

	DomainID        string   // of a token for a domain instead of a project, "" for others
	UserDomainID    string   // "" when nobody said
	ProjectDomainID string   // "" when nobody said
	ServiceRoles    []string // of the service that asks in the caller's name, nil when none does
	admin           *bool    // nil for what the roles say
	Token           Secret   // as the caller sent it, for requests made in his name; "" when there is none
}

// A Secret is a text that no log and no message shows.
type Secret string

// String returns a placeholder.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "redacted"
}

// GoString returns a placeholder.
func (s Secret) GoString() string { return s.String() }

// LogValue returns a placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// IsAdmin reports whether the caller may do everything: whether he has the role admin, unless WithAdmin said otherwise.
func (c Caller) IsAdmin() bool {
	if c.admin != nil {
		return *c.admin
	}
	return c.HasRole("admin")
}

var yes, no = true, false

// WithAdmin returns the caller as one who is an admin or is none, whatever his roles.
func (c Caller) WithAdmin(is bool) Caller {
	if c.admin = &no; is {
		c.admin = &yes
	}
	return c
}

// IsService reports whether a service asks, in its own name or in somebody's.
func (c Caller) IsService() bool { return c.HasRole("service") || c.HasServiceRole("service") }

// HasRole reports whether the caller has the role, in whatever case.
func (c Caller) HasRole(role string) bool { return hasRole(c.Roles, role) }

// HasServiceRole reports whether the service that asks in the caller's name has the role, in whatever case.
func (c Caller) HasServiceRole(role string) bool { return hasRole(c.ServiceRoles, role) }

func hasRole(roles []string, role string) bool {
	return slices.ContainsFunc(roles, func(r string) bool { return equalFold(r, role) })
}

// equalFold compares as Keystone does: letters of ASCII have no case. All of Unicode would make "ſervice" a service.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
