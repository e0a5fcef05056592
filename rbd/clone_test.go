//go:build ceph

package rbd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A clone of either kind has the parent's data and object size, and is written to by itself.
func TestClone(t *testing.T) {
	c := testservers.SharedCeph(t)
	text, err := os.ReadFile(c.Conf)
	must(t, err)
	features := []string{"layering", "exclusive-lock", "object-map", "fast-diff", "deep-flatten"}
	for kind, features := range map[string][]string{"1": features, "2": append(features, "operations")} {
		cluster := connect(t, c, "cloner", func(cfg *Config) {
			cfg.Conf = filepath.Join(t.TempDir(), "ceph.conf")
			must(t, os.WriteFile(cfg.Conf, slices.Concat(text, []byte("[client]\nrbd default clone format = "+kind+"\n")), 0o600))
		})
		ctx := t.Context()
		images, vms := cluster.Pool("images"), cluster.Pool("vms")
		name := newImage(t, images)
		must(t, images.Clone(ctx, name, "snap", vms, name))
		wantError(t, "Clone by a name that is taken", images.Clone(ctx, name, "snap", vms, name), ErrExists)
		var info struct {
			Size     int64
			Order    int
			Features []string
			Parent   struct{ Pool, Image, Snapshot string }
		}
		out, err := c.RBD(ctx, "vms", "info", "--format", "json", "vms/"+name)
		must(t, err)
		must(t, json.Unmarshal([]byte(out), &info))
		if info.Size != 3<<20 || info.Order != 20 || info.Parent.Pool != "images" || info.Parent.Image != name || info.Parent.Snapshot != "snap" ||
			!slices.Equal(info.Features, features) {
			t.Errorf("kind %s: rbd info says %+v", kind, info)
		}
		disk := open(t, vms, name, "", Writable)
		must(t, disk.WriteAt(ctx, []byte("another"), 0))
		must(t, disk.Flush(ctx))
		parent := open(t, images, name, "snap", Watched)
		for img, want := range map[*Image]string{disk: "another789", parent: "0123456789"} {
			b := make([]byte, 10)
			if _, err := img.ReadAt(ctx, b, 0); err != nil || string(b) != want {
				t.Errorf("kind %s: %s begins with %q, %v, want %q", kind, img, b, err, want)
			}
		}
		b := make([]byte, 1<<20-100)
		if _, err := disk.ReadAt(ctx, b, 100); err != nil || !bytes.Equal(b, content()[100:1<<20]) {
			t.Errorf("kind %s: the clone gives other bytes, %v", kind, err)
		}
		children, err := open(t, images, name, "", Writable).Children(ctx, "snap")
		if err != nil || !slices.Equal(children, []string{"vms/" + name}) {
			t.Errorf("kind %s: Children = %v, %v", kind, children, err)
		}
		wantError(t, "Resize beyond what there can be", disk.Resize(ctx, 1<<60), ErrInvalid)
	}
}

func TestClonesThatAreRefused(t *testing.T) {
	c := testservers.SharedCeph(t)
	cluster := connect(t, c, "cloner", nil)
	ctx := t.Context()
	images, vms := cluster.Pool("images"), cluster.Pool("vms")
	name := newImage(t, images)
	i := open(t, images, name, "", Writable)
	must(t, i.Snapshot(ctx, "loose"))
	wantError(t, "Clone of an image that is not there", images.Clone(ctx, "nothing", "snap", vms, "new"), ErrNotFound)
	wantError(t, "Clone of a snapshot that is not there", images.Clone(ctx, name, "nothing", vms, "new"), ErrNotFound)
	wantError(t, "Clone of a snapshot that is not protected", images.Clone(ctx, name, "loose", vms, "new"), ErrInvalid)
	wantError(t, "Clone into a pool that is not there", images.Clone(ctx, name, "snap", cluster.Pool("nothing"), "new"), ErrNoPool)
	other := connect(t, c, "images", nil)
	wantError(t, "Clone into a pool without rights", other.Pool("images").Clone(ctx, name, "snap", other.Pool("vms"), "new"), ErrDenied)
	if names, err := vms.List(ctx); err != nil || slices.Contains(names, "new") {
		t.Errorf("List = %v, %v", names, err)
	}
}
