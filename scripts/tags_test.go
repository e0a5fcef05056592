package scripts_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTags runs the script with what tells the headers of librbd's releases apart.
func TestTags(t *testing.T) {
	for _, tt := range []struct{ release, header, want string }{
		{"pacific", "int rbd_encryption_load(rbd_image_t image);", "ceph,pacific\n"},
		{"reef", "int rbd_encryption_load2(rbd_image_t image);", "ceph,reef\n"},
		{"squid", "RBD_LOCK_MODE_EXCLUSIVE_TRANSIENT = 2,\nint rbd_encryption_load2(rbd_image_t image);", "ceph\n"},
		{"none", "", ""},
	} {
		t.Run(tt.release, func(t *testing.T) {
			include := t.TempDir()
			if tt.header != "" {
				if err := os.Mkdir(filepath.Join(include, "rbd"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(include, "rbd", "librbd.h"), []byte(tt.header), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			out, err := exec.Command("./tags", include).CombinedOutput()
			if err != nil || string(out) != tt.want {
				t.Errorf("tags = %q, %v, want %q", out, err, tt.want)
			}
		})
	}
}
