package importer

import (
	"crypto/sha512"
	"encoding/hex"
	"slices"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/ova/ovatest"
)

// TestSums are made of what came, if something else was made of it, and of the disk, if it is not too long.
func TestSums(t *testing.T) {
	of := func(what string, content []byte) image.ContentSum {
		h := sha512.Sum512(content)
		return image.ContentSum{Of: what, Algo: "sha512", Value: hex.EncodeToString(h[:]), Size: int64(len(content))}
	}
	qcow2 := qemuImage(t, "qcow2")
	vmdk := qemuImage(t, "vmdk", "-o", "subformat=streamOptimized")
	for _, tt := range []struct {
		name      string
		plugins   []string
		container string
		data      []byte
		stored    []byte
		received  bool
		max       int64
		disk      bool
	}{
		{"as it is", nil, "bare", qcow2, qcow2, false, 8 << 20, true},
		{"a disk that is too long", nil, "bare", qcow2, qcow2, false, 8<<20 - 1, false},
		{"unpacked", []string{Decompression}, "bare", packGzip(t, qcow2), qcow2, true, 8 << 20, true},
		{"converted", []string{Decompression, Conversion}, "bare", packGzip(t, qcow2), disk(), true, 1, true},
		{"out of an OVA", []string{Extraction}, "ova", ovatest.VMware(vmdk), vmdk, true, 8 << 20, true},
		{"no disk", nil, "docker", qcow2, qcow2, false, 8 << 20, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t)
			l.usePlugins(PluginConfig{Enabled: tt.plugins})
			l.imp.diskSums = tt.max
			id := l.createAs("qcow2", tt.container)
			if err := l.Stage(t.Context(), id, upload(tt.data)); err != nil {
				t.Fatal(err)
			}
			l.do(id, image.Import{Method: image.ImportStaged})
			want := []image.ContentSum{of(image.SumStored, tt.stored)}
			if tt.received {
				want = append(want, of(image.SumReceived, tt.data))
			}
			if tt.disk {
				want = append(want, of(image.SumDisk, disk()))
			}
			got, err := l.Sums(t.Context(), id)
			if err != nil || len(got) != len(want) {
				t.Fatalf("Sums = %+v, %v, want %+v", got, err, want)
			}
			for _, s := range want {
				if !slices.Contains(got, s) {
					t.Errorf("Sums = %+v, without %+v", got, s)
				}
			}
			if img, err := l.Get(t.Context(), id); err != nil || img.Properties[image.PropertyImportTask] != "" {
				t.Errorf("%+v, %v", img, err)
			}
		})
	}
}
