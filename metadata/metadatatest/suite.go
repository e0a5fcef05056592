// Package metadatatest is the suite that every metadata.DB must pass. Run calls it; model.go says in plain Go what a list
// shows, and random.go compares the database with it.
package metadatatest

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// Run tests the database that open gives. It is called once for each test, for a new database with nothing in it, and sees
// to the closing.
func Run(t *testing.T, open func(t *testing.T) metadata.DB) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, metadata.DB)
	}{
		{"create and read", testCreate},
		{"create refuses ids for ever", testCreateConflict},
		{"save every field", testSave},
		{"save refuses", testSaveRefuses},
		{"a deleted image leaves a tombstone", testTombstone},
		{"every image", testEveryImage},
		{"shared data is no garbage", testSharedLocation},
		{"text is kept as it is", testText},
		{"visibility of lists", testVisibility},
		{"visibility of markers", testMarkers},
		{"null in lists", testNull},
		{"sort keys", testSortKeys},
		{"pages of large images", testLargePages},
		{"many values", testManyValues},
		{"list refuses", testListRefuses},
		{"lists as the model has them", testRandomLists},
		{"members", testMembers},
		{"uploads", testUploads},
		{"tasks", testTasks},
		{"pages of tasks", testTaskPages},
		{"staged data", testStaged},
		{"sums of content", testContentSums},
		{"pins", testPins},
		{"namespaces of definitions", testNamespaces},
		{"definitions", testDefinitions},
		{"usage", testUsage},
		{"garbage", testGarbage},
		{"instances", testInstances},
		{"store identities", testStoreIdentities},
		{"database identity", testDatabaseID},
		{"changes", testChanges},
		{"changes dropped", testChangesDropped},
		{"wait for a change", testWaitChange},
		{"directories", testTree},
		{"labels of directories", testTreeLabels},
		{"labels dropped", testLabelsDropped},
		{"images of many projects", testManyProjects},
		{"directories as the model has them", testRandomTree},
		{"an update is all or nothing", testUpdateUndone},
		{"updates that panic or exit", testUpdatePanics},
		{"updates that end early", testUpdateContext},
		{"concurrent updates", testConcurrentUpdates},
		{"a view is a snapshot", testSnapshot},
		{"a freeing update is all or nothing", onFreeing(testUpdateUndone)},
		{"freeing updates that panic or exit", onFreeing(testUpdatePanics)},
		{"freeing updates that end early", onFreeing(testUpdateContext)},
		{"concurrent freeing updates", onFreeing(testConcurrentUpdates)},
		{"ready", testReady},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

var ctx = context.Background()

// epoch is a moment with microseconds.
var epoch = time.Date(2026, 11, 20, 18, 10, 26, 123456000, time.UTC)

func pointer[T any](v T) *T { return &v }

// newImage is a valid image that is active and has all its fields.
func newImage() *image.Image {
	return &image.Image{
		ID: image.NewID(), Name: pointer("debian-12"), Owner: "project-1", Status: image.Active, Visibility: image.Shared,
		Protected: true, Hidden: true, DiskFormat: "qcow2", ContainerFormat: "bare", MinDisk: 10, MinRAM: 512,
		Size: pointer(int64(3)), VirtualSize: pointer(int64(1 << 40)), Checksum: "900150983cd24fb0d6963f7d28e17f72",
		HashAlgo: "sha512", HashValue: "ddaf35", Tags: []string{"a", "lts"}, Properties: map[string]string{"os_distro": "debian", "empty": ""},
		CreatedAt: epoch, UpdatedAt: epoch.Add(time.Minute),
		Locations: []image.Location{{Store: "local", URL: "file:///images/1", Metadata: map[string]string{"k": "v"}}, {Store: "ceph", URL: "rbd://x"}},
	}
}

// queued is an image as it is first created.
func queued() *image.Image {
	return &image.Image{ID: image.NewID(), Status: image.Queued, Visibility: image.Shared, CreatedAt: epoch, UpdatedAt: epoch}
}

func update(t *testing.T, db metadata.DB, fn func(metadata.WriteTx) error) {
	t.Helper()
	if err := db.Update(ctx, fn); err != nil {
		t.Fatalf("Update = %v", err)
	}
}

func view(t *testing.T, db metadata.DB, fn func(metadata.Tx) error) {
	t.Helper()
	if err := db.View(ctx, fn); err != nil {
		t.Fatalf("View = %v", err)
	}
}

func create(t *testing.T, db metadata.DB, images ...*image.Image) {
	t.Helper()
	update(t, db, func(tx metadata.WriteTx) error {
		for _, img := range images {
			if err := tx.CreateImage(img); err != nil {
				return err
			}
		}
		return nil
	})
}

func save(t *testing.T, db metadata.DB, img *image.Image) {
	t.Helper()
	update(t, db, func(tx metadata.WriteTx) error { return tx.SaveImage(img) })
}

func read(t *testing.T, db metadata.DB, id image.ID) *image.Image {
	t.Helper()
	var img *image.Image
	view(t, db, func(tx metadata.Tx) (err error) {
		img, err = tx.Image(id)
		return err
	})
	return img
}

// sameAs fails the test unless the image is as wanted. Nil and empty tags, properties and locations are the same.
func sameAs(t *testing.T, got, want *image.Image) {
	t.Helper()
	if g, w := print(got), print(want); g != w {
		t.Errorf("image is\n%s\nwant\n%s", g, w)
	}
}

func print(img *image.Image) string {
	c := img.Clone()
	c.CreatedAt, c.UpdatedAt = c.CreatedAt.UTC(), c.UpdatedAt.UTC()
	if len(c.Tags) == 0 {
		c.Tags = nil
	}
	if len(c.Properties) == 0 {
		c.Properties = nil
	}
	if len(c.Locations) == 0 {
		c.Locations = nil
	}
	b, err := json.Marshal(c)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// wantError checks what a function of a transaction answers.
func wantError(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s = %v, want %v", what, err, want)
	}
}
