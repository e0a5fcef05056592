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

// QEMU's own images are what they say, and have the size that QEMU sees, before there is data in them.
func TestImagesMadeByQEMU(t *testing.T) {
	testservers.Require(t, "qemu")
	create := func(format, options, size string) {
		t.Run(fmt.Sprintf("%s %s %s", format, options, size), func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "image")
			args := []string{"create", "-q", "-f", format}
			if options != "" {
				args = append(args, "-o", options)
			}
			qemuImg(t, append(args, path, size)...)
			checkAgainstQEMU(t, path, format)
		})
	}
	for _, size := range []string{"3M", "5000192", "5G"} {
		create("parallels", "", size)
		create("parallels", "cluster_size=4M", size)
		for _, format := range formattest.QEMUFormats() {
			for _, options := range formattest.QEMUOptions(format) {
				if size == "5G" && (strings.Contains(options, "alloc") || strings.Contains(options, "fixed") || strings.Contains(options, "static") ||
					strings.Contains(options, "=512") || format == "raw") {
					continue // hundreds of megabytes
				}
				create(format, options, size)
			}
		}
	}
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
		format := formattest.FromQEMU(qemu.Format)
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

func qemuImg(t *testing.T, args ...string) []byte {
	t.Helper()
	out, err := formattest.Run(append([]string{"qemu-img"}, args...)...)
	if err != nil {
		t.Fatal(err)
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
	want := formattest.FromQEMU(format)
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
