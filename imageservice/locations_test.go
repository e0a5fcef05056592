package imageservice_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
)

func TestLocations(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	s := session{svc.As(admin)}
	img, blank := active(t, s, "disk", "data"), queued(t, s)
	service := image.Caller{ProjectID: "services", Roles: []string{"service"}, ServiceRoles: []string{"service"}}
	owner := image.Caller{ProjectID: admin.ProjectID, Roles: []string{"member", "reader"}}
	inName := owner
	inName.ServiceRoles = []string{"service"}
	foreign := image.Caller{ProjectID: "p2", Roles: []string{"member", "reader"}}
	for _, tt := range []struct {
		name   string
		caller image.Caller
		id     image.ID
		want   error
		n      int
	}{
		{"an admin", admin, img.ID, nil, 1},
		{"a service in somebody's name", inName, img.ID, nil, 1},
		{"a service that does not see the image", service, img.ID, image.ErrNotFound, 0},
		{"the owner", owner, img.ID, image.ErrForbidden, 0},
		{"somebody else", foreign, img.ID, image.ErrNotFound, 0},
		{"an image without data", admin, blank.ID, nil, 0},
		{"no image", admin, image.NewID(), image.ErrNotFound, 0},
	} {
		got, err := svc.As(tt.caller).Locations(t.Context(), tt.id)
		if !errors.Is(err, tt.want) || len(got) != tt.n {
			t.Errorf("%s: Locations = %v, %v, want %d, %v", tt.name, got, err, tt.n, tt.want)
		}
	}
}

// TestLocationsOverHTTP asks through client and API.
func TestLocationsOverHTTP(t *testing.T) {
	svc := open(t, t.TempDir(), nil)
	as := serve(t, svc, api.Config{})
	img, blank := active(t, session{svc.As(servicetest.Admin)}, "disk", "data"), queued(t, session{svc.As(servicetest.Admin)})
	got, err := as(servicetest.Admin).Locations(t.Context(), img.ID)
	if err != nil || len(got) != 1 || !reflect.DeepEqual(got, img.Locations) {
		t.Errorf("Locations = %+v, %v, want %+v", got, err, img.Locations)
	}
	if got, err := as(servicetest.Admin).Locations(t.Context(), blank.ID); err != nil || len(got) != 0 {
		t.Errorf("Locations of nothing = %+v, %v", got, err)
	}
}
