package diskformat

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
)

// inspect writes the data in steps.
func inspect(rules Rules, data []byte, step int) Info {
	i := NewInspector(rules)
	for p := range slices.Chunk(data, step) {
		i.Write(p)
	}
	i.End()
	return i.Info()
}

// steps are sizes of pieces in which the same bytes must give the same answer.
func steps(data []byte) []int {
	if len(data) > 1<<17 {
		return []int{len(data), 65536, 4099}
	}
	return []int{max(1, len(data)), 512, 7, 1}
}

func TestGoodImages(t *testing.T) {
	for _, s := range formattest.Good() {
		t.Run(s.Name, func(t *testing.T) {
			for _, step := range steps(s.Data) {
				got := inspect(Rules{}, s.Data, step)
				if got.Format != s.Format || got.VirtualSize != s.VirtualSize || len(got.Formats) != 1 || got.Problems != nil {
					t.Errorf("in steps of %d: %+v, want %s of %d bytes", step, got, s.Format, s.VirtualSize)
				}
			}
			declared := Declaration{DiskFormat: s.Declared, ContainerFormat: "bare"}
			if s.Declared == "" {
				declared.DiskFormat = s.Format
			}
			if err := (Rules{}).Check(declared, inspect(Rules{}, s.Data, 4096)); err != nil {
				t.Errorf("Check of %s: %v", declared.DiskFormat, err)
			}
		})
	}
}

func TestHostileImages(t *testing.T) {
	for _, s := range formattest.Hostile() {
		t.Run(s.Name, func(t *testing.T) {
			first := inspect(Rules{}, s.Data, max(1, len(s.Data)))
			for _, step := range steps(s.Data) {
				if got := inspect(Rules{}, s.Data, step); !reflect.DeepEqual(got, first) {
					t.Errorf("in steps of %d: %+v, at once: %+v", step, got, first)
				}
			}
			if !slices.Contains(first.Formats, s.Format) {
				t.Errorf("recognised as %q, want %s", first.Formats, s.Format)
			}
			declared := Declaration{DiskFormat: s.Declared, ContainerFormat: "bare"}
			err := (Rules{}).Check(declared, first)
			var unsafe *UnsafeError
			if errors.As(err, &unsafe) != (s.Check != "") {
				t.Fatalf("Check of %s = %v, want the failed check %q", s.Declared, err, s.Check)
			}
			if s.Check == "" && err == nil {
				t.Fatalf("Check of %s takes it: %+v", s.Declared, first)
			}
			if s.Check != "" && !strings.Contains(err.Error(), "(check "+s.Check+")") {
				t.Errorf("Check of %s = %v, want the failed check %q", s.Declared, err, s.Check)
			}
			if len(err.Error()) > 600 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			if err := (Rules{AnyFormat: true}).Check(declared, first); err == nil && s.Check != "" {
				t.Error("any format is allowed, and what is unsafe too")
			}
		})
	}
}

// What is refused early is refused in the end, too.
func TestEarlyAnswersHold(t *testing.T) {
	for _, s := range slices.Concat(formattest.Good(), formattest.Hostile()) {
		for _, format := range inspected {
			for _, rules := range []Rules{{}, {AnyFormat: true}} {
				declared := Declaration{DiskFormat: format, ContainerFormat: "bare"}
				i := NewInspector(rules)
				early := 0
				for p := range slices.Chunk(s.Data, 4096) {
					i.Write(p)
					if early == 0 && i.News() && rules.Check(declared, i.Info()) != nil {
						early = int(i.size)
					}
				}
				i.End()
				if early > 0 && rules.Check(declared, i.Info()) == nil {
					t.Errorf("%s as %s, any format %v: refused after %d bytes, and taken in the end", s.Name, format, rules.AnyFormat, early)
				}
			}
		}
	}
}

// A header that decides is enough: the rest need not come.
func TestRefusedEarly(t *testing.T) {
	atTheEnd := func(s formattest.Sample) bool { // these need the footer, or the number of bytes
		return s.Check == "footer" || (s.Format == VHD || s.Declared == VHD) && !bytes.HasPrefix(s.Data, []byte(vhdCookie)) ||
			strings.Contains(s.Name, "far away") || strings.Contains(s.Name, "cut short") || strings.Contains(s.Name, "behind the end")
	}
	early := 0
	for _, s := range formattest.Hostile() {
		if atTheEnd(s) {
			continue
		}
		i := NewInspector(Rules{})
		i.Write(s.Data)
		i.Write(make([]byte, 2<<20))
		if (Rules{}).Check(Declaration{DiskFormat: s.Declared, ContainerFormat: "bare"}, i.Info()) == nil {
			t.Errorf("%s is not refused yet after %d bytes: %+v", s.Name, i.size, i.Info())
		}
		early++
	}
	if early < 100 {
		t.Errorf("only %d images are refused early", early)
	}
}

func TestCheck(t *testing.T) {
	qcow2, gpt := formattest.QCOW2(1), formattest.MBR(formattest.Protective)
	backing := formattest.QCOW2Backing("/etc/passwd")
	for _, tt := range []struct {
		name     string
		declared Declaration
		rules    Rules
		data     []byte
		want     string // part of the error
	}{
		{"kernel", Declaration{DiskFormat: "aki", ContainerFormat: "aki"}, Rules{}, backing, ""},
		{"ami in a bare container", Declaration{DiskFormat: "ami", ContainerFormat: "bare"}, Rules{}, backing, ""},
		{"ploop", Declaration{DiskFormat: "ploop", ContainerFormat: "bare"}, Rules{}, []byte("anything"), ""},
		{"an operator's own format", Declaration{DiskFormat: "root-tar", ContainerFormat: "bare"}, Rules{}, backing, ""},
		{"OVA", Declaration{DiskFormat: "vmdk", ContainerFormat: "ova"}, Rules{}, []byte("a tar file"), ""},
		{"compressed", Declaration{DiskFormat: "qcow2", ContainerFormat: "compressed"}, Rules{}, []byte("\x1f\x8b"), ""},
		{"raw that is packed", Declaration{DiskFormat: "raw", ContainerFormat: "bare"}, Rules{}, []byte("\x1f\x8b"), ""},
		{"GPT as such", Declaration{DiskFormat: "gpt", ContainerFormat: "bare"}, Rules{}, gpt, ""},
		{"GPT that is none", Declaration{DiskFormat: "gpt", ContainerFormat: "bare"}, Rules{}, []byte("raw"), "its content is raw"},
		{"encrypted", Declaration{DiskFormat: "raw", ContainerFormat: "bare", Encrypted: true}, Rules{}, formattest.LUKS(1), ""},
		{"encrypted, newer", Declaration{DiskFormat: "raw", ContainerFormat: "bare", Encrypted: true}, Rules{}, formattest.LUKS(2), ""},
		{"LUKS without a key", Declaration{DiskFormat: "raw", ContainerFormat: "bare"}, Rules{}, formattest.LUKS(1), "its content is luks"},
		{"qcow2 with a key", Declaration{DiskFormat: "raw", ContainerFormat: "bare", Encrypted: true}, Rules{}, qcow2, "its content is qcow2"},
		{"packed qcow2", Declaration{DiskFormat: "qcow2", ContainerFormat: "bare"}, Rules{}, []byte("\x1f\x8b"), "packed with gzip"},
		{"archived VMDK", Declaration{DiskFormat: "vmdk", ContainerFormat: "bare"}, Rules{},
			append(make([]byte, 257), "ustar\x0000 more"...), "packed with tar"},
		{"any format", Declaration{DiskFormat: "raw", ContainerFormat: "bare"}, Rules{AnyFormat: true}, qcow2, ""},
		{"any format, none", Declaration{DiskFormat: "qcow2", ContainerFormat: "bare"}, Rules{AnyFormat: true}, []byte("raw"), ""},
		{"any format, unsafe", Declaration{DiskFormat: "raw", ContainerFormat: "bare"}, Rules{AnyFormat: true}, backing, "check backing_file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.rules.Check(tt.declared, inspect(tt.rules, tt.data, 4096))
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check = %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRules(t *testing.T) {
	bad := formattest.MBR(formattest.Partition{Boot: 1, Type: 0x83})
	flat := formattest.Descriptor("monolithicFlat", `RW 2048 FLAT "disk-flat.vmdk" 0`)
	for _, tt := range []struct {
		name  string
		rules Rules
		data  string
		size  int64
		bad   bool
	}{
		{"flat", Rules{}, flat, 0, true},
		{"flat, allowed", Rules{VMDKTypes: []string{"MonolithicFlat"}}, flat, 1 << 20, false},
		{"flat, allowed, on the host", Rules{VMDKTypes: []string{"monolithicFlat"}}, strings.Replace(flat, "disk-", "/etc/", 1), 0, true},
		{"sparse, no longer allowed", Rules{VMDKTypes: []string{"streamOptimized"}}, string(formattest.VMDK(formattest.Sparse)), 0, true},
		{"nothing allowed", Rules{VMDKTypes: []string{}}, string(formattest.VMDK(formattest.Sparse)), 0, true},
		{"without data, allowed", Rules{VMDKTypes: []string{"monolithicSparse"}}, formattest.Sparse, 0, true},
		{"boot flag", Rules{NonfatalPartitionChecks: []string{"protective_mbr"}}, string(bad), 0, true},
		{"boot flag, allowed", Rules{NonfatalPartitionChecks: []string{"boot_flag"}}, string(bad), 1 << 20, false},
		{"boot flag, all allowed", Rules{NonfatalPartitionChecks: []string{"mbr"}}, string(bad), 1 << 20, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := inspect(tt.rules, []byte(tt.data), 4096)
			if (len(got.Problems) > 0) != tt.bad || !tt.bad && got.VirtualSize != tt.size {
				t.Errorf("%+v, want problems: %v, %d bytes", got, tt.bad, tt.size)
			}
		})
	}
	if err := (Rules{NonfatalPartitionChecks: []string{"mbr", "boot_flag"}}).Validate(); err != nil {
		t.Error(err)
	}
	if (Rules{NonfatalPartitionChecks: []string{"backing_file"}}).Validate() == nil {
		t.Error("a check that is none of partition tables can be switched off")
	}
}

func TestVirtualSize(t *testing.T) {
	for _, tt := range []struct {
		declared, container string
		data                []byte
		want                int64 // -1 for none
	}{
		{"raw", "bare", []byte("hello"), 5},
		{"raw", "bare", formattest.MBR(formattest.Protective), 1 << 20},
		{"qcow2", "bare", formattest.QCOW2(5 << 30), 5 << 30},
		{"qcow2", "bare", []byte("hello"), -1},
		{"qcow2", "bare", formattest.QCOW2Backing("x"), -1},
		{"qcow2", "compressed", formattest.QCOW2(5 << 30), -1},
		{"ami", "bare", []byte("hello"), -1},
	} {
		size, ok := Declaration{DiskFormat: tt.declared, ContainerFormat: tt.container}.VirtualSize(inspect(Rules{}, tt.data, 512), int64(len(tt.data)))
		if !ok {
			size = -1
		}
		if size != tt.want {
			t.Errorf("the virtual size of %d bytes as %s in %s is %d, want %d", len(tt.data), tt.declared, tt.container, size, tt.want)
		}
	}
}

// What an Inspector keeps has a bound, whatever the bytes claim.
func TestMemory(t *testing.T) {
	long := []byte("# Disk DescriptorFile\n" + strings.Repeat("RW 1 SPARSE \"x\"\n", 1<<16))
	piece := bytes.Repeat([]byte{0}, 4096)
	for _, s := range append(formattest.Hostile(), formattest.Sample{Name: "many extents", Data: long}) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		i := NewInspector(Rules{})
		for p := range slices.Chunk(s.Data, 4096) {
			i.Write(p)
		}
		for range 256 {
			i.Write(piece)
		}
		i.End()
		runtime.ReadMemStats(&after)
		used := after.TotalAlloc - before.TotalAlloc
		if used > 24<<20 {
			t.Errorf("%s: %d MiB were allocated", s.Name, used>>20)
		}
	}
}

func TestConcurrentInspectors(t *testing.T) {
	var all sync.WaitGroup
	for _, s := range slices.Concat(formattest.Good(), formattest.Hostile()) {
		want := inspect(Rules{}, s.Data, 4096)
		for range 4 {
			all.Go(func() {
				if got := inspect(Rules{}, s.Data, 4096); !reflect.DeepEqual(got, want) {
					t.Errorf("%s: %+v, want %+v", s.Name, got, want)
				}
			})
		}
	}
	all.Wait()
}

// The seeds are every sample; whatever the bytes, their pieces do not matter, and nothing panics or takes back a refusal.
func FuzzInspector(f *testing.F) {
	for _, s := range slices.Concat(formattest.Good(), formattest.Hostile()) {
		f.Add(s.Data[:min(len(s.Data), HeadSize)], 13)
	}
	f.Fuzz(func(t *testing.T, data []byte, step int) {
		var whole Info
		usesLittle(t, func() error { whole = inspect(Rules{}, data, max(1, len(data))); return nil })
		pieces := inspect(Rules{}, data, max(1, step))
		if !reflect.DeepEqual(whole, pieces) {
			t.Errorf("at once %+v, in pieces %+v", whole, pieces)
		}
		if whole.VirtualSize < 0 || len(whole.Formats) == 0 {
			t.Errorf("inspected as %+v", whole)
		}
		if whole.Format == Raw && whole.VirtualSize != int64(len(data)) {
			t.Errorf("%d raw bytes have the virtual size %d", len(data), whole.VirtualSize)
		}
		for _, format := range inspected {
			declared := Declaration{DiskFormat: format, ContainerFormat: "bare"}
			early := NewInspector(Rules{})
			early.Write(data)
			if refused, final := (Rules{}).Check(declared, early.Info()), (Rules{}).Check(declared, whole); refused != nil && final == nil {
				t.Errorf("as %s refused while it came (%v), and taken in the end", format, refused)
			}
		}
	})
}

// FuzzDescriptor brings text to the reader of VMDK descriptors, which the fuzzer would not get to through the checksums and
// sizes before it.
func FuzzDescriptor(f *testing.F) {
	f.Add(formattest.Sparse)
	f.Add(formattest.Descriptor("monolithicFlat", `RW 2048 FLAT "/etc/passwd" 0`))
	f.Fuzz(func(t *testing.T, text string) {
		v := newVMDK(Rules{})
		d := v.descriptor([]byte(text))
		if len(v.problems) > 0 {
			return
		}
		for _, e := range d.extents {
			if strings.ContainsAny(e.file, `/\`) || e.sectors < 0 {
				t.Errorf("taken with the extent %+v", e)
			}
		}
		if seen, _, _ := strings.Cut(strings.ToLower(text), "\x00"); strings.Contains(seen, "parentfilenamehint") || !slices.Contains(
			[]string{"monolithicsparse", "streamoptimized"}, d.createType) {
			t.Errorf("taken: %q", text)
		}
	})
}

// FuzzMetadata brings bytes to the tables of a VHDX, with the checksums that hide them from the fuzzer put right.
func FuzzMetadata(f *testing.F) {
	image := formattest.VHDX(formattest.VHDXOptions{Size: 1 << 30})
	f.Add(image[192<<10:][:256], image[formattest.VHDXMetadata:][:256], image[formattest.VHDXItems:][:24])
	f.Fuzz(func(t *testing.T, regions, table, items []byte) {
		data := formattest.VHDX(formattest.VHDXOptions{Edit: func(b []byte) {
			copy(b[192<<10:256<<10], regions)
			copy(b[256<<10:320<<10], regions)
			copy(b[formattest.VHDXMetadata:formattest.VHDXItems], table)
			copy(b[formattest.VHDXItems:], items)
		}})
		whole, pieces := inspect(Rules{}, data, len(data)), inspect(Rules{}, data, 65521)
		if !reflect.DeepEqual(whole, pieces) || whole.VirtualSize < 0 || whole.VirtualSize > 64<<40 {
			t.Errorf("at once %+v, in pieces %+v", whole, pieces)
		}
	})
}

// BenchmarkInspector tells what the inspection of 1 MiB in a long upload costs; the largest headers come first.
func BenchmarkInspector(b *testing.B) {
	piece := make([]byte, 256<<10)
	for _, s := range formattest.Good() {
		b.Run(fmt.Sprint(s.Format, "/", s.Name), func(b *testing.B) {
			b.SetBytes(64 << 20)
			for b.Loop() {
				i := NewInspector(Rules{})
				i.Write(s.Data)
				for range (64 << 20) / len(piece) {
					i.Write(piece)
				}
				i.End()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/MiB")
		})
	}
}
