package imageservice_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
)

// TestUsers asks the service itself, and through client and API, who uses an image.
func TestUsers(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	owner := session{svc.As(servicetest.Owner)}
	img := active(t, owner, "disk", "data")
	guest := image.Process{PID: 7, Command: "qemu", Unit: "machine.scope", Guest: "web"}
	svc.AskOpeners(func(asked *image.Image) []image.Process {
		if asked.Number != img.Number {
			t.Errorf("the mount is asked for image number %d, want %d", asked.Number, img.Number)
		}
		return []image.Process{guest, {PID: 8}}
	})
	remote := serve(t, svc, api.Config{})
	type asker interface {
		Users(context.Context, image.ID) (image.Users, error)
	}
	wantUsers := func(what string, opens, downloads int, guests ...string) {
		t.Helper()
		for name, as := range map[string]asker{"service": svc.As(servicetest.Admin), "client": remote(servicetest.Admin)} {
			u, err := as.Users(t.Context(), img.ID)
			var pinned []string
			for _, p := range u.Pins {
				pinned = append(pinned, p.Guest)
			}
			if err != nil || u.Opens != opens || u.Downloads != downloads || !slices.Equal(pinned, guests) || len(u.Clones) != 0 ||
				!slices.Equal(u.Processes, []image.Process{guest, {PID: 8}}) {
				t.Errorf("%s, by the %s: %+v, %v", what, name, u, err)
			}
		}
	}
	wantUsers("nobody", 0, 0)
	r, _, err := svc.Tree(imageservice.TreeConfig{}).Open(t.Context(), img.Number)
	if err != nil {
		t.Fatal(err)
	}
	data, err := owner.Session.Open(t.Context(), img.ID, imageservice.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.Pin(t.Context(), img.ID, "web-1"); err != nil {
		t.Fatal(err)
	}
	wantUsers("all of them", 1, 1, "web-1")
	data.Reader.Close()
	r.Close()
	wantUsers("the guest that is left", 0, 0, "web-1")

	for caller, want := range map[*image.Caller]error{&servicetest.Owner: image.ErrForbidden, &servicetest.Other: image.ErrNotFound} {
		if _, err := remote(*caller).Users(t.Context(), img.ID); !errors.Is(err, want) {
			t.Errorf("Users by %s: %v, want %v", caller.ProjectID, err, want)
		}
	}
}
