package auth

import (
	"encoding/json"
	"testing"
)

func TestPathPattern(t *testing.T) {
	for _, tt := range []struct {
		pattern, path string
		want          bool
	}{
		{"/v2/images", "/v2/images", true},
		{"/v2/images", "/v2/images/", false},
		{"/v2/images/*", "/v2/images/1", true},
		{"/v2/images/*", "/v2/images/1/file", false},
		{"/v2/images/*", "/v2/images/", false},
		{"/v2/images/{id}/file", "/v2/images/1/file", true},
		{"/v2/**", "/v2/images/1/file", true},
		{"/v2/**", "/v1/images", false},
		{"/v2.images", "/v2/images", false},
		{"/v2/{", "/v2/{", true},
		{"", "/v2", false},
	} {
		if got := pathPattern(tt.pattern).MatchString(tt.path); got != tt.want {
			t.Errorf("%q for %q = %t, want %t", tt.pattern, tt.path, got, tt.want)
		}
	}
}

func FuzzTokenAnswer(f *testing.F) {
	f.Add(`{"token": {"expires_at": "2030-01-01T00:00:00.000000Z", "user": {"id": "u"}, "roles": [{"name": "admin"}],
		"application_credential": {"access_rules": [{"service": "image", "method": "GET", "path": "/v2/{id}/**"}]}}}`)
	f.Add(`{"token": {"expires_at": "2030-01-01T00:00:00Z", "user": {"id": "u"}, "application_credential": {"access_rules": []}}}`)
	f.Fuzz(func(t *testing.T, body string) {
		var answer tokenAnswer
		if json.Unmarshal([]byte(body), &answer) != nil {
			return
		}
		who, err := answer.identity()
		if err != nil {
			return
		}
		if who.caller.UserID == "" || who.caller.Anonymous || who.caller.Token != "" {
			t.Errorf("%s describes %+v", body, who.caller)
		}
		if answer.Token.ApplicationCredential.AccessRules != nil && len(who.rules) == 0 && who.allows("GET", "/") {
			t.Error("no rule allows everything")
		}
	})
}
