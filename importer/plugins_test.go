package importer

import (
	"archive/zip"
	"bytes"
	stdgzip "compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/vitrine-image/vitrine/image"
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

func TestUnpack(t *testing.T) {
	want := bytes.Repeat(data, 30) // several megabytes: more than one chunk
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, packed := range map[string]func(t *testing.T) []byte{
		"gzip":      func(t *testing.T) []byte { return packGzip(t, want) },
		"two gzips": func(t *testing.T) []byte { return append(packGzip(t, want[:1000]), packGzip(t, want[1000:])...) },
		"zstd":      func(t *testing.T) []byte { return enc.EncodeAll(want, nil) },
		"zip":       func(t *testing.T) []byte { return packZip(t, zip.Deflate, want) },
		"bzip2":     func(t *testing.T) []byte { return pack(t, want, "bzip2", "-c") },
		"xz":        func(t *testing.T) []byte { return pack(t, want, "xz", "-c") },
		"xz -9":     func(t *testing.T) []byte { return pack(t, want, "xz", "-9c") },
		"xz blocks": func(t *testing.T) []byte {
			return pack(t, want, "xz", "-c", "--block-size=1000000", "--check=sha256", "-T2")
		},
		"xz no check": func(t *testing.T) []byte { return pack(t, want, "xz", "-c", "--check=none") },
	} {
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
			for _, cut := range []int{len(p) / 2, len(p) * 3 / 4} {
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

func TestUnpackRefuses(t *testing.T) {
	large := pack(t, []byte("x"), "xz", "-c", "--lzma2=dict=1GiB")
	encrypted := packZip(t, zip.Deflate, data)
	encrypted[6] |= 1
	for name, packed := range map[string][]byte{
		"a large dictionary": large,
		"two files":          packZip(t, zip.Deflate, data, data),
		"encrypted":          encrypted,
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
	f.Fuzz(func(t *testing.T, packed []byte) {
		out, err := unpack(bytes.NewReader(packed))
		if err != nil || out == nil {
			return
		}
		defer out.Close()
		io.Copy(io.Discard, io.LimitReader(out, 1<<20))
	})
}

// TestBombs ends where much more comes out than went in.
func TestBombs(t *testing.T) {
	packed := &counted{n: 1000}
	r := &ratioReader{src: &zeros{}, packed: packed, ratio: 2_000_000}
	n, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{r}, make([]byte, 1<<20))
	if !errors.Is(err, image.ErrTooLarge) || n < 1<<30 || n > 3_000_000_000 {
		t.Errorf("%d bytes came out, %v, want %v", n, err, image.ErrTooLarge)
	}
}

type zeros struct{}

func (*zeros) Read(p []byte) (int, error) { return len(p), nil }

// plugins sets what the importer of a lab does with data.
func (l *lab) usePlugins(cfg PluginConfig) {
	l.t.Helper()
	cfg.Convert.WorkDir = l.t.TempDir()
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
			img, err := l.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: "raw"},
				{Op: image.EditAdd, Name: "container_format", Value: tt.container}})
			if err != nil {
				t.Fatal(err)
			}
			l.do(img.ID, image.Import{Method: image.ImportURL, URL: url, Stores: tt.stores})
			l.check(img.ID, want{status: image.Active, stores: strings.Join(tt.stores, ","), task: image.TaskSuccess, data: tt.want})
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

// TestConversionRefuses lets qemu-img see nothing that is not what was declared, or that refers to other files.
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
			img, err := l.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: tt.format},
				{Op: image.EditAdd, Name: "container_format", Value: "bare"}})
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Stage(t.Context(), img.ID, upload(tt.data(t))); err != nil {
				t.Fatal(err)
			}
			l.do(img.ID, image.Import{Method: image.ImportStaged})
			l.check(img.ID, want{status: image.Queued, failed: "first", task: image.TaskFailure, message: tt.message})
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

// TestJail ends a program that takes more than it may.
func TestJail(t *testing.T) {
	imp := start(t).imp
	for _, tt := range []struct {
		name string
		args []string
	}{
		{"memory", []string{"--as=67108864", "dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"}},
		{"file size", []string{"--fsize=1000", "dd", "if=/dev/zero", "of=/proc/self/fd/3", "bs=2000", "count=2"}},
	} {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := runJailed(t.Context(), imp.log, tt.args, f); err == nil {
			t.Errorf("%s: the program succeeded", tt.name)
		}
	}
	ctx, stop := context.WithTimeout(t.Context(), 50_000_000)
	defer stop()
	if err := runJailed(ctx, imp.log, []string{"--core=0", "sleep", "1000"}); !errors.Is(err, image.ErrTooLarge) {
		t.Errorf("a program that takes too long = %v, want %v", err, image.ErrTooLarge)
	}
}

func serveBytes(t *testing.T, b []byte) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(b) }))
	t.Cleanup(srv.Close)
	return srv.URL
}
