package auth

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// An identity is what Keystone says of a token. It does not change.
type identity struct {
	caller  image.Caller // without the token
	expires time.Time
	rules   []accessRule // of an application credential: one must fit; nil when there are none to keep to

	fresh time.Time // until then it is taken as valid
	grace time.Time // and until then, while Keystone cannot be asked
}

// An accessRule allows one kind of request.
type accessRule struct {
	method string
	path   *regexp.Regexp
}

// A tokenAnswer is the body of an answer to GET /v3/auth/tokens, as much of it as matters.
type tokenAnswer struct {
	Token struct {
		ExpiresAt time.Time `json:"expires_at"`
		User      scope     `json:"user"`
		Project   scope     `json:"project"`
		Domain    scope     `json:"domain"`
		Roles     []struct {
			Name string `json:"name"`
		} `json:"roles"`
		ApplicationCredential struct {
			AccessRules []struct {
				Service string `json:"service"`
				Method  string `json:"method"`
				Path    string `json:"path"`
			} `json:"access_rules"`
		} `json:"application_credential"`
	} `json:"token"`
}

// A scope is a user, a project or a domain; the first two are in a domain.
type scope struct {
	ID     string `json:"id"`
	Domain struct {
		ID string `json:"id"`
	} `json:"domain"`
}

// identity returns what the answer says, or an error when it is not about a token.
func (a *tokenAnswer) identity() (*identity, error) {
	t := &a.Token
	if t.User.ID == "" || t.ExpiresAt.IsZero() {
		return nil, errors.New("the answer describes no token")
	}
	who := &identity{expires: t.ExpiresAt, caller: image.Caller{UserID: t.User.ID, ProjectID: t.Project.ID, DomainID: t.Domain.ID,
		UserDomainID: t.User.Domain.ID, ProjectDomainID: t.Project.Domain.ID}}
	for _, role := range t.Roles {
		who.caller.Roles = append(who.caller.Roles, role.Name)
	}
	who.caller.Roles = slices.Clip(who.caller.Roles) // many requests share it: who appends to it must get another one
	if t.ApplicationCredential.AccessRules == nil {
		return who, nil
	}
	who.rules = []accessRule{}
	for _, rule := range t.ApplicationCredential.AccessRules {
		if rule.Service == serviceType {
			who.rules = append(who.rules, accessRule{rule.Method, pathPattern(rule.Path)})
		}
	}
	return who, nil
}

// allows reports whether the access rules, if there are any, allow the request.
func (i *identity) allows(method, path string) bool {
	if i.rules == nil {
		return true
	}
	for _, rule := range i.rules {
		if rule.method == method && rule.path.MatchString(path) {
			return true
		}
	}
	return false
}

// wildcards are what stands for more than itself in the path of an access rule.
var wildcards = regexp.MustCompile(`\{[^}]*\}|\*\*|\*`)

// pathPattern compiles the path of an access rule: * and {name} stand for one part of a path, ** for any number.
// Source: Keystone's documentation of application credentials.
func pathPattern(path string) *regexp.Regexp {
	var expression strings.Builder
	expression.WriteString(`^`)
	for path != "" {
		at := wildcards.FindStringIndex(path)
		if at == nil {
			break
		}
		expression.WriteString(regexp.QuoteMeta(path[:at[0]]))
		if path[at[0]:at[1]] == "**" {
			expression.WriteString(`.*`)
		} else {
			expression.WriteString(`[^/]+`)
		}
		path = path[at[1]:]
	}
	return regexp.MustCompile(expression.String() + regexp.QuoteMeta(path) + `$`)
}
