package importer

import (
	"archive/zip"
	"bytes"
	stdgzip "compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/internal/signature/signaturetest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// pack packs with a program.
func pack(t *testing.T, data []byte, name string, args ...string) []byte {
	t.Helper()
	testservers.Require(t, name)
	path, err := testservers.Program(name)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Stdin = bytes.NewReader(data)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func packGzip(t *testing.T, data []byte) []byte {
	var b bytes.Buffer
	w := stdgzip.NewWriter(&b)
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packZip(t *testing.T, method uint16, files ...[]byte) []byte {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, data := range files {
		f, err := w.CreateHeader(&zip.FileHeader{Name: "disk.raw", Method: method})
		if err != nil {
			t.Fatal(err)
		}
		f.Write(data)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func packZstd(t *testing.T, data []byte) []byte {
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return enc.EncodeAll(data, nil)
}

func packLZ4(t *testing.T, data []byte, opts ...lz4.Option) []byte {
	var b bytes.Buffer
	w := lz4.NewWriter(&b)
	if err := w.Apply(opts...); err != nil {
		t.Fatal(err)
	}
	w.Write(data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// packZip64 stores a file whose sizes stand in an extra field, as of those above 4 GiB.
func packZip64(t *testing.T, data []byte) []byte {
	p := packZip(t, zip.Store, data)
	extra := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64([]byte{1, 0, 16, 0}, uint64(len(data))), uint64(len(data)))
	head := len("disk.raw") + 30
	copy(p[18:26], "\xff\xff\xff\xff\xff\xff\xff\xff")
	p[6] &^= 8 // no descriptor: the sum stands in the header
	binary.LittleEndian.PutUint32(p[14:], crc32.ChecksumIEEE(data))
	binary.LittleEndian.PutUint16(p[28:], uint16(len(extra)))
	end := head + len(data)
	return slices.Concat(p[:head], extra, data, p[end+16:])
}

// packings pack data in the ways that are known.
var packings = map[string]func(t *testing.T, data []byte) []byte{
	"gzip":  packGzip,
	"zstd":  packZstd,
	"lz4":   func(t *testing.T, data []byte) []byte { return packLZ4(t, data) },
	"zip":   func(t *testing.T, data []byte) []byte { return packZip(t, zip.Deflate, data) },
	"bzip2": func(t *testing.T, data []byte) []byte { return pack(t, data, "bzip2", "-c") },
	"xz":    func(t *testing.T, data []byte) []byte { return pack(t, data, "xz", "-c") },
}

// joined are the packings that unpack several, one behind the other, as one.
var joined = []string{"gzip", "zstd", "lz4", "bzip2", "xz"}

func TestUnpack(t *testing.T) {
	want := bytes.Repeat(data, 8) // more than one chunk
	ways := map[string]func(t *testing.T) []byte{
		"zip64": func(t *testing.T) []byte { return packZip64(t, want) },
		"lz4 blocks": func(t *testing.T) []byte {
			return packLZ4(t, want, lz4.BlockSizeOption(lz4.Block64Kb), lz4.BlockChecksumOption(true), lz4.SizeOption(uint64(len(want))))
		},
		"lz4 -9":     func(t *testing.T) []byte { return pack(t, want, "lz4", "-9c") },
		"lz4 linked": func(t *testing.T) []byte { return pack(t, want, "lz4", "-BDc") },
		"xz -9":      func(t *testing.T) []byte { return pack(t, want, "xz", "-9c") },
		"xz blocks": func(t *testing.T) []byte {
			return pack(t, want, "xz", "-c", "--block-size=500000", "--check=sha256", "-T2")
		},
		"pzstd": func(t *testing.T) []byte {
			return append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00size"), packZstd(t, want)...)
		},
		"xz no check": func(t *testing.T) []byte { return pack(t, want, "xz", "-c", "--check=none") },
	}
	for name, packed := range packings {
		ways[name] = func(t *testing.T) []byte { return packed(t, want) }
	}
	for _, name := range joined {
		packed := packings[name]
		ways["two "+name] = func(t *testing.T) []byte { return append(packed(t, want[:1000]), packed(t, want[1000:])...) }
	}
	for name, packed := range ways {
		t.Run(name, func(t *testing.T) {
			p := packed(t)
			out, err := unpack(iotest.HalfReader(bytes.NewReader(p)))
			if err != nil || out == nil {
				t.Fatal(out, err)
			}
			got, err := io.ReadAll(out)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v, want %d", len(got), err, len(want))
			}
			out.Close()
			for _, cut := range []int{len(p) / 2, len(p) * 3 / 4, len(p) - 1} {
				out, err := unpack(bytes.NewReader(p[:cut]))
				if err == nil {
					_, err = io.ReadAll(out)
					out.Close()
				}
				if err == nil {
					t.Errorf("%d of %d bytes unpack without an error", cut, len(p))
				}
			}
			damaged := bytes.Clone(p)
			damaged[len(p)/3] ^= 0x55
			if out, err = unpack(bytes.NewReader(damaged)); err == nil {
				_, err = io.ReadAll(out)
				out.Close()
			}
			if err == nil && name != "xz no check" {
				t.Error("damage goes unnoticed")
			}
		})
	}
	if out, err := unpack(bytes.NewReader(data)); out != nil || err != nil {
		t.Errorf("what is not packed gives %v, %v", out, err)
	}
	if out, err := unpack(bytes.NewReader(nil)); out != nil || err != nil {
		t.Errorf("nothing gives %v, %v", out, err)
	}
}

// TestStoreFailsWhileUnpacking anywhere: that is no fault of the data.
func TestStoreFailsWhileUnpacking(t *testing.T) {
	few := data[:3000]
	for name, packed := range packings {
		t.Run(name, func(t *testing.T) {
			p := packed(t, few)
			if slices.Contains(joined, name) {
				p = append(p, packed(t, few)...)
			}
			for at := range len(p) + 1 {
				out, err := unpack(io.MultiReader(bytes.NewReader(p[:at]), iotest.ErrReader(image.ErrStoreOffline)))
				if err == nil && out != nil {
					_, err = io.ReadAll(out)
					out.Close()
				}
				if !errors.Is(err, image.ErrStoreOffline) {
					t.Fatalf("a store that fails after %d of %d bytes gives %v", at, len(p), err)
				}
			}
		})
	}
}

func TestUnpackRefuses(t *testing.T) {
	large := pack(t, []byte("x"), "xz", "-c", "--lzma2=dict=1GiB")
	hidden := packZip(t, zip.Deflate, data) // of which only the directory tells
	entry := bytes.LastIndex(hidden, []byte("PK\x01\x02"))
	hidden = slices.Concat(hidden[:entry], hidden[entry:len(hidden)-22], hidden[entry:])
	negative := packZip64(t, data)
	negative[30+len("disk.raw")+4+15] = 0x80
	encrypted := packZip(t, zip.Deflate, data)
	encrypted[6] |= 1
	for name, packed := range map[string][]byte{
		"a large dictionary": large,
		"two files":          packZip(t, zip.Deflate, data, data),
		"encrypted":          encrypted,
		"a hidden file":      hidden,
		"a negative size":    negative,
		"unknown behind lz4": append(packLZ4(t, data), "\x02\x21\x4c\x18...."...), // an old frame
	} {
		out, err := unpack(bytes.NewReader(packed))
		if err == nil {
			_, err = io.ReadAll(out)
			out.Close()
		}
		if err == nil {
			t.Errorf("%s is unpacked", name)
		}
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4\x46\x02\x00\x21\x01\x16\x00\x00\x00\x74\x2f\xe5\xa3"))
	f.Add([]byte("PK\x03\x04"))
	f.Add([]byte("\x1f\x8b\x08\x00"))
	f.Add([]byte("\x28\xb5\x2f\xfd\x00"))
	f.Add([]byte("\x04\x22\x4d\x18\x64\x40\xa7\x01\x00\x00\x80x\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, packed []byte) {
		out, err := unpack(bytes.NewReader(packed))
		if err != nil || out == nil {
			return
		}
		defer out.Close()
		io.Copy(io.Discard, io.LimitReader(out, 1<<20))
	})
}

// TestBehindThePacked lets nothing stand there that is not packed as well, and what is skipped be skipped.
func TestBehindThePacked(t *testing.T) {
	for name, packed := range packings {
		for _, behind := range []string{"x", "more bytes than any of them has at its end, none of which means anything"} {
			out, err := unpack(strings.NewReader(string(packed(t, data)) + behind))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(out); err == nil {
				t.Errorf("%s and %q unpack as %d bytes", name, behind, len(got))
			}
			out.Close()
		}
	}
	for name, behind := range map[string]string{"xz": "\x00\x00\x00\x00\x00\x00\x00\x00", "lz4": "\x52\x2a\x4d\x18\x03\x00\x00\x00abc", "zstd": "\x52\x2a\x4d\x18\x03\x00\x00\x00abc"} {
		out, err := unpack(strings.NewReader(string(packings[name](t, data)) + behind))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(out); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s with padding is %d bytes, %v", name, len(got), err)
		}
		out.Close()
	}
}

// TestBombs stop at the limit of the size or of the ratio, and leave nothing.
func TestBombs(t *testing.T) {
	bomb := make([]byte, 3<<20)
	for name, packed := range packings {
		t.Run(name, func(t *testing.T) {
			p := packed(t, bomb)
			for message, cfg := range map[string]PluginConfig{
				"limit":              {},
				"100 times as large": {MaxRatio: 100, free: 1 << 20},
			} {
				l := start(t)
				cfg.Enabled = []string{Decompression}
				l.usePlugins(cfg)
				if message == "limit" {
					l.imp.maxSize = 2 << 20
				}
				id := l.create()
				if err := l.Stage(t.Context(), id, upload(p)); err != nil {
					t.Fatal(err)
				}
				l.do(id, image.Import{Method: image.ImportStaged})
				l.check(id, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: message})
			}
		})
	}
}

// TestPackedTwice is unpacked once, and is no raw disk then.
func TestPackedTwice(t *testing.T) {
	for inner, packed := range packings {
		l := start(t)
		l.usePlugins(PluginConfig{Enabled: []string{Decompression}})
		id := l.createAs("qcow2", "bare")
		if err := l.Stage(t.Context(), id, upload(packGzip(t, packed(t, data)))); err != nil {
			t.Fatal(err)
		}
		l.do(id, image.Import{Method: image.ImportStaged})
		l.check(id, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: "packed with " + inner})
	}
}

// plugins sets what the importer of a lab does with data.
func (l *lab) usePlugins(cfg PluginConfig) {
	l.t.Helper()
	imp, err := New(Config{Images: l.svc, Outgoing: l.imp.outgoing, MaxSize: 64 << 20, Plugins: cfg})
	if err != nil {
		l.t.Fatal(err)
	}
	l.imp = imp
}

func TestDecompression(t *testing.T) {
	url := serveBytes(t, packGzip(t, data))
	for _, tt := range []struct {
		name, container string
		stores          []string
		want            []byte
	}{
		{"into one store", "bare", []string{"first"}, data},
		{"into two", "bare", []string{"first", "second"}, data},
		{"what is to stay compressed", "compressed", []string{"first"}, packGzip(t, data)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t)
			l.usePlugins(PluginConfig{Enabled: []string{Decompression}})
			id := l.createAs("raw", tt.container)
			l.do(id, image.Import{Method: image.ImportURL, URL: url, Stores: tt.stores})
			l.check(id, want{status: image.Active, stores: strings.Join(tt.stores, ","), task: image.TaskSuccess, data: tt.want})
		})
	}
	l := start(t)
	l.usePlugins(PluginConfig{Enabled: []string{Decompression}})
	id := l.create()
	if err := l.Stage(t.Context(), id, upload(packGzip(t, data)[:100])); err != nil {
		t.Fatal(err)
	}
	l.do(id, image.Import{Method: image.ImportStaged})
	l.check(id, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: "cannot be decompressed"})
}

func TestInjection(t *testing.T) {
	for _, tt := range []struct {
		ignored []string
		want    string
	}{{[]string{"ADMIN"}, ""}, {nil, "yes"}} {
		l := start(t)
		l.usePlugins(PluginConfig{Enabled: []string{Injection}, Inject: map[string]string{"imported": "yes"}, IgnoreRoles: tt.ignored})
		id := l.create()
		if err := l.Stage(t.Context(), id, upload(data)); err != nil {
			t.Fatal(err)
		}
		l.do(id, image.Import{Method: image.ImportStaged})
		img, err := l.Get(t.Context(), id)
		if err != nil || img.Properties["imported"] != tt.want {
			t.Errorf("properties = %q, %v", img.Properties, err)
		}
	}
	_, err := New(Config{Images: start(t).svc, Plugins: PluginConfig{Inject: map[string]string{image.PropertyImportTask: "x"}}})
	if err == nil {
		t.Error("a property of the server's own can be injected")
	}
}

// qemuImage returns an image of a format with something in it.
func qemuImage(t *testing.T, format string, args ...string) []byte {
	t.Helper()
	testservers.Require(t, "qemu")
	path := filepath.Join(t.TempDir(), "disk")
	raw := path + ".raw"
	if err := os.WriteFile(raw, disk(), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("qemu-img", append(append([]string{"convert", "-f", "raw", "-O", format}, args...), raw, path)...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img: %v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// disk is 8 MiB with data at its beginning.
func disk() []byte { return append(bytes.Clone(data), make([]byte, 8<<20-len(data))...) }

func TestConversion(t *testing.T) {
	for _, format := range []string{"qcow2", "vmdk", "vdi", "vhdx"} {
		t.Run(format, func(t *testing.T) {
			l := start(t)
			l.usePlugins(PluginConfig{Enabled: []string{Decompression, Conversion}})
			packed := packGzip(t, qemuImage(t, format))
			img, err := l.Create(t.Context(), "", append(signaturetest.Default().Edits(t, packed), // which is what was signed
				image.Edit{Op: image.EditAdd, Name: "disk_format", Value: format}, image.Edit{Op: image.EditAdd, Name: "container_format", Value: "bare"}))
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Stage(t.Context(), img.ID, upload(packed)); err != nil {
				t.Fatal(err)
			}
			l.do(img.ID, image.Import{Method: image.ImportStaged, AllStores: true})
			l.check(img.ID, want{status: image.Active, stores: "first,second", task: image.TaskSuccess, data: disk()})
			if img, err := l.Get(t.Context(), img.ID); err != nil || img.DiskFormat != "raw" || *img.VirtualSize != 8<<20 {
				t.Errorf("image = %+v, %v", img, err)
			}
		})
	}
}

// TestConversionTargets brings an image to each format, which reads as the same disk.
func TestConversionTargets(t *testing.T) {
	for _, format := range convertible {
		t.Run(format, func(t *testing.T) {
			l := start(t)
			l.usePlugins(PluginConfig{Enabled: []string{Conversion}, Formats: image.StoreFormats{"": format}})
			from := "vmdk"
			if format == from {
				from = "vhdx"
			}
			id := l.createAs(from, "bare")
			if err := l.Stage(t.Context(), id, upload(qemuImage(t, from))); err != nil {
				t.Fatal(err)
			}
			l.do(id, image.Import{Method: image.ImportStaged})
			data, err := l.Open(t.Context(), id, imageservice.OpenOptions{Format: "raw"})
			if err != nil {
				t.Fatal(err)
			}
			defer data.Reader.Close()
			got := make([]byte, data.Reader.Size())
			if _, err := data.Reader.ReadAt(t.Context(), got, 0); err != nil && err != io.EOF || !bytes.Equal(got, disk()) || data.Image.DiskFormat != format {
				t.Errorf("%s: %d bytes of another disk, %v", data.Image.DiskFormat, len(got), err)
			}
		})
	}
}

// TestFormatsOfStores converts to what the stores want, if that is one format, and says of copies that they stay as they are.
func TestFormatsOfStores(t *testing.T) {
	for _, tt := range []struct {
		formats image.StoreFormats
		stores  []string
		want    string
	}{
		{image.StoreFormats{"": "raw", "second": "vdi"}, []string{"first"}, "raw"},
		{image.StoreFormats{"": "raw", "second": "vdi"}, []string{"second"}, "vdi"},
		{image.StoreFormats{"second": "raw"}, []string{"first"}, "qcow2"},
		{image.StoreFormats{"second": "raw"}, []string{"first", "second"}, "raw"},
		{image.StoreFormats{"first": "vhd", "second": "raw"}, []string{"first", "second"}, ""},
	} {
		l := start(t)
		l.usePlugins(PluginConfig{Enabled: []string{Conversion}, Formats: tt.formats})
		id := l.createAs("qcow2", "bare")
		if err := l.Stage(t.Context(), id, upload(qemuImage(t, "qcow2"))); err != nil {
			t.Fatal(err)
		}
		l.do(id, image.Import{Method: image.ImportStaged, Stores: tt.stores})
		if tt.want == "" {
			l.check(id, want{status: image.Queued, failed: "first,second", task: image.TaskFailure, message: `Store "first" takes disks as vhd and store "second" as raw`})
			continue
		}
		img, err := l.Get(t.Context(), id)
		if err != nil || img.DiskFormat != tt.want || len(img.Locations) != len(tt.stores) {
			t.Fatalf("%v into %q: %+v, %v", tt.formats, tt.stores, img, err)
		}
		if tt.want != "raw" || len(tt.stores) > 1 {
			continue
		}
		l.do(id, image.Import{Method: image.ImportCopy, Stores: []string{"second"}})
		l.check(id, want{status: image.Active, stores: "first,second", task: image.TaskSuccess, data: disk(),
			message: `Copies are not converted: store "second" has it as raw now, and takes new images as vdi`})
	}
}

// TestConversionRefuses converts nothing that is not what was declared, or that refers to other files.
func TestConversionRefuses(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("a secret of the host"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, format string
		data         func(t *testing.T) []byte
		message      string
	}{
		{"another format", "qcow2", func(t *testing.T) []byte { return data }, "cannot be stored as qcow2"},
		{"a backing file", "qcow2", func(t *testing.T) []byte { return backed(t, secret) }, "backing"},
		{"qcow2 as raw", "raw", func(t *testing.T) []byte { return qemuImage(t, "qcow2") }, "cannot be stored as raw"},
		{"a disk that is too large", "qcow2", func(t *testing.T) []byte { return sized(t, "1T") }, "limit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t)
			l.usePlugins(PluginConfig{Enabled: []string{Conversion}})
			id := l.createAs(tt.format, "bare")
			if err := l.Stage(t.Context(), id, upload(tt.data(t))); err != nil {
				t.Fatal(err)
			}
			l.do(id, image.Import{Method: image.ImportStaged})
			l.check(id, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: tt.message})
		})
	}
}

func backed(t *testing.T, file string) []byte {
	return create(t, "-F", "raw", "-b", file)
}

func sized(t *testing.T, size string) []byte { return create(t, size) }

func create(t *testing.T, args ...string) []byte {
	t.Helper()
	testservers.Require(t, "qemu")
	path := filepath.Join(t.TempDir(), "disk.qcow2")
	all := append([]string{"create", "-q", "-f", "qcow2"}, args[:len(args)-1]...)
	last := args[len(args)-1]
	if len(args) == 1 {
		all = append(all, path, last)
	} else {
		all = append(all, last, path)
	}
	if out, err := exec.Command("qemu-img", all...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img: %v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func serveBytes(t *testing.T, b []byte) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(b) }))
	t.Cleanup(srv.Close)
	return srv.URL
}
