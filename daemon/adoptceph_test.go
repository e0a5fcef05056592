//go:build ceph

package daemon_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestAdoptGlanceOnCeph moves from a Glance that keeps images in a pool of Ceph.
func TestAdoptGlanceOnCeph(t *testing.T) {
	testservers.Require(t, "glanceserver", "fuse")
	c := testservers.SharedCeph(t)
	text, err := os.ReadFile(c.Conf)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "ceph.conf")
	if err := os.WriteFile(conf, fmt.Appendf(text, "\n[client.images]\nkeyring = %s\n", c.Keyring("images")), 0o644); err != nil {
		t.Fatal(err)
	}
	moveFromGlance(t, testservers.GlanceConfig{Backends: "ceph:rbd",
		Options: "[ceph]\nrbd_store_pool = images\nrbd_store_user = images\nrbd_store_ceph_conf = " + conf + "\n"}, "ceph", "fast")
}
