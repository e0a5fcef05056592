package diskformat

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// QEMU's own images are what they say.
func TestImagesMadeByQEMU(t *testing.T) {
	testservers.Require(t, "qemu")
	for _, tt := range []struct {
		options string
		want    Info
	}{
		{"-f raw", Info{Raw, 3 << 20}},
		{"-f qcow2", Info{QCOW2, 3 << 20}},
		{"-f qcow2 -o compat=0.10", Info{QCOW2, 3 << 20}},
		{"-f qcow2 -o cluster_size=512", Info{QCOW2, 3 << 20}},
		{"-f qcow2 -o cluster_size=2M", Info{QCOW2, 3 << 20}},
		{"-f qcow2 -o extended_l2=on", Info{QCOW2, 3 << 20}},
	} {
		t.Run(tt.options, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			args := append(append([]string{"create"}, strings.Fields(tt.options)...), path, "3M")
			out, err := exec.Command("qemu-img", args...).CombinedOutput()
			if err != nil {
				t.Fatalf("qemu-img: %v: %s", err, out)
			}
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			i := NewInspector()
			if _, err := io.Copy(i, f); err != nil {
				t.Fatal(err)
			}
			if got, err := i.Result(); got != tt.want || err != nil {
				t.Errorf("inspected as %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}
