package daemon_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestGlanceImports lets the glance client import images, which are copied then, and lose copies.
func TestGlanceImports(t *testing.T) {
	testservers.Require(t, "glance")
	data := bytes.Repeat([]byte("disk"), 300_000)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(data) }))
	defer srv.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "disk.raw")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	d := testdaemon.Start(t, testdaemon.Config{Dir: dir, TOML: fmt.Sprintf("[outgoing]\nallow_networks = [\"127.0.0.1\"]\nallowed_ports = []\n"+
		"[stores.fast]\ntype = \"file\"\npath = %q\ndefault = true\n[stores.slow]\ntype = \"file\"\npath = %q\n",
		filepath.Join(dir, "fast"), filepath.Join(dir, "slow"))})
	var ids []string
	for range 3 {
		img, err := d.Client.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: "raw"},
			{Op: image.EditAdd, Name: "container_format", Value: "bare"}})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, string(img.ID))
	}
	staged, fetched, missing := ids[0], ids[1], ids[2]
	settle := func(id string, status image.Status, stores int) {
		t.Helper()
		img, err := d.Client.Get(t.Context(), image.ID(id))
		for end := time.Now().Add(time.Minute); err == nil && img.Properties[image.PropertyImportTask] != "" && time.Now().Before(end); {
			img, err = d.Client.Get(t.Context(), image.ID(id))
		}
		if err != nil || img.Status != status || len(img.Locations) != stores {
			t.Errorf("image %s is %+v, %v, want it %s in %d stores", id, img, err, status, stores)
		}
	}
	runGlance(t, d, dir, []glanceStep{
		{"image-stage --file " + file + " " + staged, nil},
		{"image-import --import-method glance-direct " + staged, []string{staged}},
		{"image-import --import-method web-download --uri " + srv.URL + "/disk --stores fast,slow " + fetched, []string{fetched, "importing"}},
		{"image-import --import-method web-download --uri http://nowhere.invalid/disk " + missing, []string{missing}},
	})
	settle(staged, image.Active, 1)
	settle(fetched, image.Active, 2)
	settle(missing, image.Queued, 0)
	tasks, err := d.Client.ImageTasks(t.Context(), image.ID(missing))
	if err != nil || len(tasks) != 1 || tasks[0].Status != image.TaskFailure || !strings.Contains(tasks[0].Message, "could not be fetched") {
		t.Errorf("the tasks of what is not there are %+v, %v", tasks, err)
	}
	runGlance(t, d, dir, []glanceStep{
		{"image-import --import-method copy-image --stores slow " + staged, []string{staged}},
		{"stores-delete --store fast " + fetched, nil},
		{"stores-delete --store slow " + fetched, []string{"!403"}}, // the last copy
	})
	settle(staged, image.Active, 2)
	settle(fetched, image.Active, 1)
}
