package testservers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a user wrote is there after the OSD was killed, and the others may do what their capabilities say.
func TestCeph(t *testing.T) {
	c := OwnCeph(t)
	content := strings.Repeat("0123456789abcdef", 1<<16)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		user    string
		allowed bool
		args    []string
	}{
		{"stranger", false, []string{"ls", "images"}},
		{"reader", false, []string{"create", "--size", "1M", "images/other"}},
		{"images", true, []string{"import", file, "images/one"}},
		{"reader", true, []string{"info", "images/one"}},
		{"vms", true, []string{"create", "--size", "1M", "vms/one"}},
		{"reader", false, []string{"ls", "vms"}},
	} {
		if out, err := c.RBD(t.Context(), tt.user, tt.args...); (err == nil) != tt.allowed {
			t.Errorf("rbd %v as %s = %q, %v", tt.args, tt.user, out, err)
		}
	}
	c.KillOSD()
	if err := c.StartOSD(); err != nil {
		t.Fatal(err)
	}
	out, err := c.RBD(t.Context(), "reader", "export", "images/one", "-")
	if err != nil || out != content {
		t.Errorf("after the OSD was killed rbd export gives %d bytes, %v, want %d as they were", len(out), err, len(content))
	}
}
