package importer

import (
	"bytes"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/ova/ovatest"
)

func TestOVA(t *testing.T) {
	streamed := func(t *testing.T) []byte { return qemuImage(t, "vmdk", "-o", "subformat=streamOptimized") }
	raw := disk()
	for _, tt := range []struct {
		name    string
		plugins []string
		data    func(t *testing.T) []byte
		url     bool
		format  string
		want    func(t *testing.T) []byte
	}{
		{"taken out", []string{Extraction}, func(t *testing.T) []byte { return ovatest.VMware(streamed(t)) }, false, "vmdk", nil},
		{"taken out and converted", []string{Decompression, Extraction, Conversion}, func(t *testing.T) []byte { return packGzip(t, ovatest.VMware(streamed(t))) }, false, "raw",
			func(*testing.T) []byte { return raw }},
		{"packed", []string{Extraction}, func(t *testing.T) []byte {
			return ovatest.VirtualBox(packGzip(t, raw), "disk.raw.gz", `ovf:compression="gzip"`)
		}, true, "raw", func(*testing.T) []byte { return raw }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t)
			l.usePlugins(PluginConfig{Enabled: tt.plugins})
			id := l.createAs("vmdk", "ova")
			l.edit(id, image.Edit{Op: image.EditAdd, Name: "hw_disk_bus", Value: "virtio"})
			data := tt.data(t)
			if tt.url {
				l.do(id, image.Import{Method: image.ImportURL, URL: serveBytes(t, data), AllStores: true})
			} else {
				if err := l.Stage(t.Context(), id, upload(data)); err != nil {
					t.Fatal(err)
				}
				l.do(id, image.Import{Method: image.ImportStaged, AllStores: true})
			}
			img, err := l.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if img.DiskFormat != tt.format || img.ContainerFormat != "bare" || img.VirtualSize == nil || *img.VirtualSize != int64(len(raw)) {
				t.Errorf("image = %+v", img)
			}
			if img.MinRAM < 1024 || img.Properties["hw_disk_bus"] != "virtio" || img.Properties["os_type"] == "" {
				t.Errorf("min_ram %d, properties %q", img.MinRAM, img.Properties)
			}
			if tt.want != nil {
				l.check(id, want{status: image.Active, stores: "first,second", task: image.TaskSuccess, data: tt.want(t)})
			}
		})
	}
	t.Run("left alone", func(t *testing.T) {
		l := start(t)
		l.usePlugins(PluginConfig{Enabled: []string{Decompression, Conversion}})
		id, data := l.createAs("vmdk", "ova"), ovatest.VMware(data)
		if err := l.Stage(t.Context(), id, upload(data)); err != nil {
			t.Fatal(err)
		}
		l.do(id, image.Import{Method: image.ImportStaged})
		l.check(id, want{status: image.Active, stores: "first", task: image.TaskSuccess, data: data})
	})
}

func TestOVARefused(t *testing.T) {
	damaged := ovatest.VMware(disk())
	damaged[bytes.Index(damaged, data)] ^= 1
	for _, tt := range []struct {
		name, message string
		data          func(t *testing.T) []byte
	}{
		{"no OVA", "is no tar", func(*testing.T) []byte { return data }},
		{"a damaged disk", "sum that stands beside it", func(*testing.T) []byte { return damaged }},
		{"a backing file", "backing", func(t *testing.T) []byte { return ovatest.VMware(backed(t, "/etc/passwd")) }},
		{"not packed", "cannot be decompressed", func(*testing.T) []byte { return ovatest.VirtualBox(data, "disk.vmdk", `ovf:compression="gzip"`) }},
		{"a bomb", "100 times as large", func(t *testing.T) []byte {
			return ovatest.VirtualBox(packGzip(t, make([]byte, 3<<20)), "disk.vmdk", `ovf:compression="gzip"`)
		}},
		{"a larger bomb", "limit", func(t *testing.T) []byte {
			return ovatest.VirtualBox(packGzip(t, bytes.Repeat(data, 200)), "disk.vmdk", `ovf:compression="gzip"`)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t)
			l.usePlugins(PluginConfig{Enabled: []string{Extraction}, MaxRatio: 100, free: 1 << 20})
			if tt.message == "limit" {
				l.imp.maxSize, l.imp.plugins.free = 8<<20, 1<<30
			}
			id := l.createAs("vmdk", "ova")
			if err := l.Stage(t.Context(), id, upload(tt.data(t))); err != nil {
				t.Fatal(err)
			}
			l.do(id, image.Import{Method: image.ImportStaged})
			l.check(id, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: tt.message})
		})
	}
}
