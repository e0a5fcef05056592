package diskformat

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// qemuOptions are what images are created with: each format with each option that changes what stands in the file.
var qemuOptions = []string{
	"-f raw",
	"-f qcow2", "-f qcow2 -o compat=0.10", "-f qcow2 -o compat=v3,lazy_refcounts=on",
	"-f qcow2 -o cluster_size=512", "-f qcow2 -o cluster_size=4K", "-f qcow2 -o cluster_size=2M",
	"-f qcow2 -o extended_l2=on", "-f qcow2 -o extended_l2=on,cluster_size=128K",
	"-f qcow2 -o compression_type=zlib", "-f qcow2 -o compression_type=zstd",
	"-f qcow2 -o refcount_bits=1", "-f qcow2 -o refcount_bits=64",
	"-f qcow2 -o preallocation=metadata", "-f qcow2 -o preallocation=falloc", "-f qcow2 -o preallocation=full",
	"-f vmdk", "-f vmdk -o subformat=monolithicSparse", "-f vmdk -o subformat=streamOptimized", "-f vmdk -o compat6=on",
	"-f vmdk -o adapter_type=lsilogic", "-f vmdk -o hwversion=14", "-f vmdk -o zeroed_grain=on", "-f vmdk -o adapter_type=buslogic,compat6=on",
	"-f vpc", "-f vpc -o subformat=dynamic", "-f vpc -o subformat=fixed", "-f vpc -o force_size=on", "-f vpc -o subformat=fixed,force_size=on",
	"-f vhdx", "-f vhdx -o subformat=dynamic", "-f vhdx -o subformat=fixed", "-f vhdx -o block_size=1M", "-f vhdx -o block_size=256M",
	"-f vhdx -o log_size=16M", "-f vhdx -o block_state_zero=off",
	"-f vdi", "-f vdi -o static=on",
	"-f parallels", "-f parallels -o cluster_size=4M",
}

// qemuNames are formats that QEMU calls otherwise.
var qemuNames = map[string]string{"vpc": VHD, "parallels": Parallels, "qcow": QCOW2}

// QEMU's own images are what they say, and have the size that QEMU sees, empty and with data.
func TestImagesMadeByQEMU(t *testing.T) {
	testservers.Require(t, "qemu")
	data := filepath.Join(t.TempDir(), "data")
	writeData(t, data)
	for _, options := range qemuOptions {
		for _, size := range []string{"3M", "5000192", "5G"} {
			if size == "5G" && (strings.Contains(options, "alloc") || strings.Contains(options, "fixed") || strings.Contains(options, "static") ||
				strings.Contains(options, "=512") || options == "-f raw") {
				continue // hundreds of megabytes
			}
			t.Run(options+" "+size, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "image")
				qemuImg(t, append(append([]string{"create", "-q"}, strings.Fields(options)...), path, size)...)
				checkAgainstQEMU(t, path, strings.Fields(options)[1])
			})
		}
		t.Run(options+" with data", func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			to := strings.Fields(strings.Replace(options, "-f", "-O", 1))
			qemuImg(t, append(append([]string{"convert", "-f", "raw", data}, to...), path)...)
			checkAgainstQEMU(t, path, to[1])
		})
	}
	t.Run("-c with data", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "image")
		qemuImg(t, "convert", "-c", "-f", "raw", "-O", "qcow2", data, path)
		qemuImg(t, "snapshot", "-c", "one", path)
		checkAgainstQEMU(t, path, "qcow2")
	})
}

// QEMU could make LUKS images, but for that it measures the processor for seconds. So it reads ours.
func TestLUKSReadByQEMU(t *testing.T) {
	testservers.Require(t, "qemu")
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, formattest.LUKS(1), 0o600); err != nil {
		t.Fatal(err)
	}
	checkAgainstQEMU(t, path, "luks")
}

// Whatever QEMU takes for a format when nobody names one, the Inspector does, too; and what QEMU would complete with other
// files has a problem. The bytes are samples with some of them changed.
func TestNoFormatIsKnownToQEMUAlone(t *testing.T) {
	testservers.Require(t, "qemu")
	const rounds = 300
	random := rand.New(rand.NewPCG(1, 2))
	samples := slices.Concat(formattest.Good(), formattest.Hostile())
	path := filepath.Join(t.TempDir(), "image")
	recognised := 0
	for range rounds {
		s := samples[random.IntN(len(samples))]
		data := slices.Clone(s.Data)
		for range random.IntN(4) {
			if n := min(len(data), 1024); n > 0 {
				data[random.IntN(n)] = byte(random.IntN(256))
			}
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("qemu-img", "info", "--output=json", path).Output()
		if err != nil {
			continue // nothing that QEMU would open
		}
		var qemu struct {
			Format   string
			Backing  string `json:"backing-filename"`
			Specific struct {
				Data map[string]any
			} `json:"format-specific"`
		}
		if err := json.Unmarshal(out, &qemu); err != nil {
			t.Fatal(err)
		}
		if qemu.Format == "raw" {
			continue
		}
		recognised++
		got := inspect(Rules{}, data, 65536)
		format := qemu.Format
		if ours, other := qemuNames[format]; other {
			format = ours
		}
		if !slices.Contains(got.Formats, format) {
			t.Errorf("%s, changed: QEMU takes it for %s, the Inspector for %q", s.Name, format, got.Formats)
		}
		if (qemu.Backing != "" || qemu.Specific.Data["data-file"] != nil) && len(got.Problems) == 0 {
			t.Errorf("%s, changed: QEMU completes it with %q, %v, and the Inspector has no objection", s.Name, qemu.Backing, qemu.Specific.Data)
		}
	}
	if recognised < rounds/10 {
		t.Errorf("QEMU recognised only %d of %d images", recognised, rounds)
	}
}

// What QEMU would complete with other files is refused.
func TestUnsafeImagesMadeByQEMU(t *testing.T) {
	testservers.Require(t, "qemu")
	dir := t.TempDir()
	t.Chdir(dir)
	qemuImg(t, "create", "-q", "-f", "raw", "base.raw", "3M")
	qemuImg(t, "create", "-q", "-f", "vmdk", "base.vmdk", "3M")
	for _, tt := range []struct{ options, check string }{
		{"-f qcow2 -b base.raw -F raw", "backing_file"},
		{"-f qcow2 -o compat=0.10 -b base.raw -F raw", "backing_file"},
		{"-f qcow2 -o data_file=data.raw", "data_file"},
		{"-f qcow2 -o data_file=data.raw,data_file_raw=on", "data_file"},
		{"-f qed", "banned"},
		{"-f vmdk -b base.vmdk -F vmdk", "parent"},
		{"-f vmdk -o subformat=monolithicFlat", "create_type"},
		{"-f vmdk -o subformat=twoGbMaxExtentSparse", "create_type"},
		{"-f vmdk -o subformat=twoGbMaxExtentFlat", "create_type"},
	} {
		t.Run(tt.options, func(t *testing.T) {
			args := append([]string{"create", "-q"}, strings.Fields(tt.options)...)
			qemuImg(t, append(args, "image", "3M")...)
			got := inspectFile(t, "image")
			if !slices.ContainsFunc(got.Problems, func(p Problem) bool { return p.Check == tt.check }) {
				t.Errorf("inspected as %+v, want a failed check %s", got, tt.check)
			}
		})
	}
}

// writeData makes a raw file of 3 MiB with data at both ends and holes between.
func writeData(t *testing.T, path string) {
	t.Helper()
	data := make([]byte, 3<<20)
	for _, at := range []int{0, 1 << 20, 3<<20 - 65536} {
		for i := range 65536 {
			data[at+i] = byte(i * i >> 3)
		}
	}
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func qemuImg(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := exec.Command("qemu-img", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-img %s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

func inspectFile(t *testing.T, path string) Info {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	i := NewInspector(Rules{})
	if _, err := io.Copy(i, f); err != nil {
		t.Fatal(err)
	}
	i.End()
	return i.Info()
}

func checkAgainstQEMU(t *testing.T, path, format string) {
	t.Helper()
	var qemu struct {
		Size int64 `json:"virtual-size"`
	}
	if err := json.Unmarshal(qemuImg(t, "info", "--output=json", "-f", format, path), &qemu); err != nil {
		t.Fatal(err)
	}
	want := format
	if ours, other := qemuNames[format]; other {
		want = ours
	}
	got := inspectFile(t, path)
	if got.Format != want || got.VirtualSize != qemu.Size || len(got.Problems) > 0 {
		t.Errorf("inspected as %s, want %s of %d bytes", fmt.Sprintf("%+v", got), want, qemu.Size)
	}
}

// A VHD has two sizes: one that is written there, and one that its geometry makes. Which one counts depends on the program
// that made it.
func TestSizeOfVHD(t *testing.T) {
	testservers.Require(t, "qemu")
	path := filepath.Join(t.TempDir(), "image")
	const geometry, written = 3 * 4 * 17 * 512, 8 << 20
	for _, tt := range []struct {
		creator string
		want    int64
		known   bool // to Debian's QEMU; later ones know fewer that count by geometry
	}{
		{"vpc ", geometry, true}, {"qemu", geometry, true}, {"vs  ", geometry, true}, {"qem2", written, true}, {"win ", written, true},
		{"d2v ", written, true}, {"tap\x00", written, true}, {"CTXS", written, true}, {"wa\x00\x00", written, false}, {"vbox", written, false},
	} {
		for _, largest := range []bool{false, true} {
			footer := formattest.VHDFooter(2, written+100)
			copy(footer[28:], tt.creator)
			copy(footer[56:], []byte{0, 3, 4, 17})
			want := tt.want
			if largest {
				copy(footer[56:], []byte{0xff, 0xff, 16, 255})
				want = written
			}
			image := append(make([]byte, written+512), formattest.Summed(footer, 64)...)
			if err := os.WriteFile(path, image, 0o600); err != nil {
				t.Fatal(err)
			}
			got := inspect(Rules{}, image, 1<<20)
			if got.VirtualSize != want || len(got.Problems) > 0 {
				t.Errorf("%q, largest geometry %v: %+v, want %d bytes", tt.creator, largest, got, want)
			}
			if tt.known {
				checkAgainstQEMU(t, path, "vpc")
			}
		}
	}
}

// VirtualBox makes VDI images of odd sizes, too.
func TestSizeOfVDI(t *testing.T) {
	testservers.Require(t, "qemu")
	path := filepath.Join(t.TempDir(), "image")
	image := formattest.Put64LE(formattest.VDI(), 368, 2<<20+1)
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := inspect(Rules{}, image, 512); got.VirtualSize != 2<<20+512 || len(got.Problems) > 0 {
		t.Errorf("%+v, want %d bytes", got, 2<<20+512)
	}
	checkAgainstQEMU(t, path, "vdi")
}
