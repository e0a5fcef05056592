package fusefs

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

func TestTree(t *testing.T) {
	f := newFake(t)
	raw := f.add(t, "debian", []byte("raw bytes"), func(img *image.Image) { img.Tags = []string{"linux", "stable"} })
	qcow := f.add(t, "debian", []byte("qcow bytes"), func(img *image.Image) { img.DiskFormat = "qcow2"; img.Owner = "p2" })
	ova := f.add(t, "appliance", []byte("tar"), func(img *image.Image) {
		img.DiskFormat, img.ContainerFormat, img.HashValue, img.Visibility = "vmdk", "ova", "", image.Private
	})
	s, c := serve(t, f), startChild(t)

	for _, tt := range []struct {
		dir  string
		want []string
	}{
		{".", []string{"by-id", "by-name", "by-project", "by-tag"}},
		{"by-id", []string{string(raw.ID), string(qcow.ID), string(ova.ID)}},
		{"by-id/" + string(raw.ID), []string{"disk.raw", "image.raw", "metadata.json", "sha512sum"}},
		{"by-id/" + string(qcow.ID), []string{"image.qcow2", "metadata.json", "sha512sum"}},
		{"by-id/" + string(ova.ID), []string{"image.tar", "metadata.json"}},
		{"by-name", []string{"debian"}},
		{"by-name/debian", []string{string(raw.ID), string(qcow.ID), "latest"}},
		{"by-tag", []string{"linux", "stable"}},
		{"by-tag/linux", []string{string(raw.ID)}},
		{"by-project", []string{"p1", "p2"}},
		{"by-project/p1", []string{"by-id", "by-name", "by-tag"}},
		{"by-project/p1/by-id", []string{string(raw.ID), string(ova.ID)}},
		{"by-project/p1/by-name", []string{"appliance", "debian"}},
		{"by-project/p1/by-name/debian", []string{string(raw.ID), "latest"}},
		{"by-project/p1/by-tag/stable", []string{string(raw.ID)}},
		{"by-project/p2/by-tag", nil},
	} {
		for _, size := range []int{0, 300} { // bytes that a listing takes at once
			a := c.ok(request{Op: "list", Path: s.in(tt.dir), Size: size})
			if !slices.Equal(a.Names, tt.want) {
				t.Errorf("%s holds %q, want %q", tt.dir, a.Names, tt.want)
			}
			for _, name := range a.Names {
				if st := c.stat(s.in(tt.dir, name)); st.Errno != 0 || !slices.Contains(a.Inos, st.Stat.Ino) {
					t.Errorf("%s/%s: %v, inode %#x is not listed", tt.dir, name, st.Errno, st.Stat.Ino)
				}
			}
		}
	}
	for path, want := range map[string]string{
		"by-name/debian/" + string(raw.ID):                "../../by-id/" + string(raw.ID),
		"by-name/debian/latest":                           "../../by-id/" + string(qcow.ID),
		"by-tag/linux/" + string(raw.ID):                  "../../by-id/" + string(raw.ID),
		"by-project/p1/by-id/" + string(raw.ID):           "../../../by-id/" + string(raw.ID),
		"by-project/p1/by-name/debian/latest":             "../../../../by-id/" + string(raw.ID),
		"by-project/p1/by-tag/stable/" + string(raw.ID):   "../../../../by-id/" + string(raw.ID),
		"by-project/p2/by-name/debian/" + string(qcow.ID): "../../../../by-id/" + string(qcow.ID),
	} {
		got := c.link(s.in(path))
		if st := c.stat(s.in(path)).Stat; got != want || st.Size != int64(len(want)) || st.Mode != syscall.S_IFLNK|0o777 {
			t.Errorf("%s -> %s (size %d, mode %o), want %s", path, got, st.Size, st.Mode, want)
		}
	}
	for path, want := range map[string]string{
		"by-name/debian/latest/image.qcow2":                    "qcow bytes",
		"by-project/p1/by-name/debian/latest/disk.raw":         "raw bytes",
		"by-project/p1/by-id/" + string(ova.ID) + "/image.tar": "tar",
		"by-tag/linux/" + string(raw.ID) + "/sha512sum":        "cafe  image.raw\n",
		"by-id/" + string(qcow.ID) + "/metadata.json":          `{"id":"` + string(qcow.ID) + `","name":"debian","tags":null}`,
	} {
		if got := c.content(s.in(path)); got != want {
			t.Errorf("%s holds %q, want %q", path, got, want)
		}
	}
	for _, path := range []string{"x", "by-id/x", "by-id/" + strings.ToUpper(string(ova.ID)), "by-id/latest", "by-name/appliance",
		"by-name/x", "by-tag/linux/latest", "by-id/" + string(qcow.ID) + "/disk.raw", "by-project/p3", "by-project/p1/x",
		"by-name/debian/" + string(ova.ID), "by-name/\xff"} {
		if a := c.stat(s.in(path)); a.Errno != syscall.ENOENT {
			t.Errorf("%s: %v, want ENOENT", path, a.Errno)
		}
	}
	if a := c.stat(s.in("by-name", strings.Repeat("x", 256))); a.Errno != syscall.ENAMETOOLONG {
		t.Errorf("a name of 256 bytes: %v, want ENAMETOOLONG", a.Errno)
	}
}

func TestAttributes(t *testing.T) {
	testservers.Require(t, "root") // to look at what belongs to others
	f := newFake(t)
	img := f.add(t, "debian", make([]byte, 10000), func(img *image.Image) { img.UpdatedAt = created.AddDate(1, 0, 0) })
	s := serve(t, f, func(cfg *Config) { cfg.UID, cfg.GID, cfg.AllowOther = 1234, 5678, true })
	c := startChild(t)
	dir := s.in("by-id", string(img.ID))
	disk, data := c.stat(dir+"/disk.raw").Stat, c.stat(dir+"/image.raw").Stat
	if disk.Ino != data.Ino || data.Nlink != 2 {
		t.Errorf("disk.raw is inode %#x, image.raw %#x with %d links, want one with 2", disk.Ino, data.Ino, data.Nlink)
	}
	if data.Mode != syscall.S_IFREG|0o440 || data.Uid != 1234 || data.Gid != 5678 {
		t.Errorf("image.raw has mode %o, owner %d:%d", data.Mode, data.Uid, data.Gid)
	}
	if data.Size != 10000 || data.Blocks >= 10000/512 || data.Blocks == 0 || data.Blksize != 4096 {
		t.Errorf("image.raw has size %d, %d blocks, block size %d", data.Size, data.Blocks, data.Blksize)
	}
	if data.Mtim.Sec != img.CreatedAt.Unix() || data.Mtim.Nsec != 678901000 {
		t.Errorf("image.raw is of %d.%d, want the time of creation %d.678901000", data.Mtim.Sec, data.Mtim.Nsec, img.CreatedAt.Unix())
	}
	if doc := c.stat(dir + "/metadata.json").Stat; doc.Mtim.Sec != img.UpdatedAt.Unix() || doc.Size != int64(len(c.content(dir+"/metadata.json"))) {
		t.Errorf("metadata.json is of %d with size %d", doc.Mtim.Sec, doc.Size)
	}
	if st := c.stat(dir).Stat; st.Mode != syscall.S_IFDIR|0o550 || st.Nlink != 2 || st.Mtim.Sec != img.CreatedAt.Unix() {
		t.Errorf("the image's directory has mode %o, %d links, time %d", st.Mode, st.Nlink, st.Mtim.Sec)
	}
	fs := c.ok(request{Op: "statfs", Path: s.path}).Statfs
	if fs.Bsize != 4096 || fs.Blocks != 10<<30/4096 || fs.Bavail != 3<<30/4096 || fs.Namelen != 255 {
		t.Errorf("statfs = %+v", fs)
	}
}

func TestNamesStayInTheTree(t *testing.T) {
	f := newFake(t)
	values := []string{"a/b", "..", ".", "a\nb", strings.Repeat("日", 255), strings.Repeat("日", 254) + "本", "Debian", "debian",
		"", "latest", "100%", "\u202eexe"}
	for _, v := range values {
		f.add(t, v, []byte(v), func(img *image.Image) { img.Tags, img.Owner = []string{v}, v })
	}
	s, c := serve(t, f), startChild(t)
	for _, dir := range []string{"by-name", "by-tag", "by-project"} {
		names := c.names(s.in(dir))
		if len(names) != len(values) || len(slices.Compact(slices.Clone(names))) != len(values) {
			t.Errorf("%s holds %d entries, want %d different ones: %q", dir, len(names), len(values), names)
		}
		for _, v := range values {
			entry := image.EntryName(v)
			path := dir + "/" + entry + "/latest/disk.raw"
			switch dir {
			case "by-tag":
				path = dir + "/" + entry + "/" + c.names(s.in(dir, entry))[0] + "/disk.raw"
			case "by-project":
				path = dir + "/" + entry + "/by-name/" + entry + "/latest/disk.raw"
			}
			if got := c.content(s.in(path)); got != v {
				t.Errorf("%s holds %q, want %q", path, got, v)
			}
		}
	}
}

func TestFilesOfEachFormat(t *testing.T) {
	m := &Mount{source: newFake(t)}
	for _, tt := range []struct {
		disk, container string
		virtual         int64 // 0 for unknown
		want            []string
	}{
		{"raw", "bare", 0, []string{"image.raw=13", "disk.raw=13"}},
		{"gpt", "bare", 0, []string{"image.gpt=13", "disk.raw=13"}},
		{"qcow2", "bare", 1, []string{"image.qcow2=13", "disk.raw=14"}},
		{"qcow2", "bare", 0, []string{"image.qcow2=13"}},
		{"qcow2", "compressed", 1, []string{"image.compressed=13"}},
		{"vmdk", "bare", 1, []string{"image.vmdk=13", "disk.raw=14"}},
		{"vmdk", "ova", 1, []string{"image.tar=13"}},
		{"vhd", "bare", 1, []string{"image.vhd=13", "disk.raw=14"}},
		{"vhdx", "bare", 1, []string{"image.vhdx=13", "disk.raw=14"}},
		{"vdi", "bare", 1, []string{"image.vdi=13", "disk.raw=14"}},
		{"ploop", "bare", 1, []string{"image.ploop=13"}},
		{"iso", "bare", 1, []string{"image.iso=13"}},
		{"raw", "compressed", 1, []string{"image.compressed=13"}},
		{"aki", "aki", 0, []string{"image.aki=13"}},
		{"root-tar", "bare", 0, []string{"image.root-tar=13"}},
	} {
		img := &image.Image{Number: 1, DiskFormat: tt.disk, ContainerFormat: tt.container}
		if tt.virtual > 0 {
			img.VirtualSize = &tt.virtual
		}
		var names []string
		for _, f := range m.files(img) {
			if f.name != documentName {
				names = append(names, fmt.Sprintf("%s=%x", f.name, uint8(f.node.kind())))
			}
		}
		if !slices.Equal(names, tt.want) {
			t.Errorf("%s in %s has the files %q, want %q", tt.disk, tt.container, names, tt.want)
		}
	}
}
