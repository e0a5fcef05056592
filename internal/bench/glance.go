package main

import (
	"context"
	"fmt"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// glance starts Debian's Glance with its files in dir.
func (b *bench) glance(ctx context.Context, dir string) (*server, error) {
	if b.peer != "glance" {
		return nil, fmt.Errorf("no way to start the peer %q is known, only glance", b.peer)
	}
	g, err := testservers.StartGlance(ctx, dir, testservers.GlanceConfig{})
	if err != nil {
		return nil, err
	}
	b.atEnd(g.Stop)
	return &server{Server: g.Server, dir: dir}, nil
}
