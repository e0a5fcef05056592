package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"github.com/vitrine-image/vitrine/metadata"
)

// prepareToken compares a token that was validated before with no authentication.
func prepareToken(ctx context.Context, b *bench, dir string) (row, error) {
	keystone, err := testservers.StartKeystone(ctx, dir)
	if err != nil {
		return row{}, err
	}
	b.atEnd(keystone.Stop)
	provider, err := openstack.AuthenticatedClient(ctx, keystone.AdminLogin())
	if err != nil {
		return row{}, err
	}
	r := row{name: "one image, one connection, Keystone's token", unit: "requests/s", passes: 2,
		targets: []target{{of: "vitrined", to: noAuth, ratio: 0.9}}}
	for _, with := range []struct{ name, config, token string }{
		{"vitrined", fmt.Sprintf("[auth]\ntype = \"keystone\"\n[auth.keystone]\nurl = %q\nusername = \"admin\"\npassword = %q\nproject = \"admin\"\n",
			keystone.AuthURL, keystone.Password), provider.Token()},
		{noAuth, "", ""},
	} {
		s, err := b.daemon(ctx, filepath.Join(dir, "token-"+strings.ReplaceAll(with.name, " ", "-")), false, with.config)
		if err != nil {
			return row{}, err
		}
		s.token = with.token
		id, err := s.newDisk(ctx, "image", "raw")
		if err != nil {
			return row{}, err
		}
		r.contestants = append(r.contestants, contestant{with.name,
			requests([]string{"-c1", "-t1", "-H", "X-Auth-Token: " + with.token, s.URL + "/v2/images/" + id})})
	}
	return r, nil
}

const noAuth = "no authentication"

const (
	guests       = "guests" // the project that images are shared with
	sharedImages = 10_000
)

// prepareShared compares the list of a project that owns nothing and sees another's images with the owner's own.
func prepareShared(ctx context.Context, b *bench, dir string) (row, error) {
	dir = filepath.Join(dir, "shared")
	err := seed(ctx, filepath.Join(dir, "data", "vitrine.db"), sharedImages, func(tx metadata.WriteTx, img *image.Image) error {
		return tx.SaveMember(img.Number, guests, image.MemberAccepted, time.Now())
	})
	if err != nil {
		return row{}, err
	}
	s, err := b.daemon(ctx, dir, false, "[auth]\ntype = \"trusted_headers\"\n")
	if err != nil {
		return row{}, err
	}
	r := row{name: "list of 100 out of 10,000 that others share", unit: "ms",
		targets: []target{{of: guests, to: seedOwner, ratio: 1.5, atMost: true}}}
	for _, project := range []string{guests, seedOwner} {
		r.contestants = append(r.contestants, contestant{project, latency("-H", "X-Identity-Status: Confirmed", "-H", "X-Roles: member,reader",
			"-H", "X-User-Id: user", "-H", "X-Project-Id: "+project, s.URL+"/v2/images?limit=100")})
	}
	return r, nil
}
