package image

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestRoles(t *testing.T) {
	c := Caller{Roles: []string{"Member", "a@b"}, ServiceRoles: []string{"SERVICE"}}
	for role, want := range map[string]bool{"member": true, "MEMBER": true, "service": false, "memberx": false, "a`b": false, "A@B": true} {
		if got := c.HasRole(role); got != want {
			t.Errorf("HasRole(%q) = %t", role, got)
		}
	}
	if !c.HasServiceRole("service") || !c.IsService() || c.IsAdmin() {
		t.Error("a service that asks in somebody's name is not known as one")
	}
	if (Caller{Roles: []string{"\u017fervice"}}).IsService() {
		t.Error("a role that looks like service counts as service")
	}
}

func TestATokenIsNotShown(t *testing.T) {
	c := Caller{Token: "gAAAAA"}
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "token", c.Token)
	for _, text := range []string{fmt.Sprint(c), fmt.Sprintf("%+v %#v %s %q", c, c, c.Token, c.Token), log.String()} {
		if strings.Contains(text, "gAAAAA") {
			t.Errorf("the token is shown: %s", text)
		}
	}
}
