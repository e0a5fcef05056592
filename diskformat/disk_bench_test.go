package diskformat

import (
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// benchImages are what the benchmarks read: qemu-img's options to convert to each.
var benchImages = []struct{ name, options string }{
	{"plain", "-O qcow2"},
	{"extended_l2", "-O qcow2 -o extended_l2=on"},
	{"clusters of 2 MiB", "-O qcow2 -o cluster_size=2M"},
	{"zlib", "-c -O qcow2"},
	{"zstd", "-c -O qcow2 -o compression_type=zstd"},
}

const (
	benchSize  = 128 << 20
	benchCache = 64 << 20
	benchBlock = 4 << 10
	benchDepth = 16
)

// makeBenchImage writes an image of benchSize bytes, the test program again and again.
func makeBenchImage(b *testing.B, options string) string {
	b.Helper()
	testservers.Require(b, "qemu")
	program, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	raw, err := os.Create(filepath.Join(dir, "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	for n := 0; n < benchSize; {
		part, err := raw.Write(data[:min(len(data), benchSize-n)])
		if err != nil {
			b.Fatal(err)
		}
		n += part
	}
	path := filepath.Join(dir, "image")
	args := append([]string{"convert", "-f", "raw"}, strings.Fields(options)...)
	if out, err := exec.Command("qemu-img", append(args, raw.Name(), path)...).CombinedOutput(); err != nil {
		b.Fatalf("qemu-img: %v: %s", err, out)
	}
	return path
}

// BenchmarkQCOW2 reads 4 KiB at random places, with 8 goroutines for each processor and through qemu-nbd, and 1 MiB after
// the other. cpu-ns/op is what the processors spent, also on a machine that has other things to do.
func BenchmarkQCOW2(b *testing.B) {
	for _, image := range benchImages {
		b.Run(image.name, func(b *testing.B) {
			path := makeBenchImage(b, image.options)
			d, err := Open(b.Context(), openSource(b, path), QCOW2, NewCache(benchCache))
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			b.Run("random", func(b *testing.B) { benchRandom(b, d) })
			b.Run("random of qemu-nbd", func(b *testing.B) { benchNBD(b, path) })
			b.Run("sequential", func(b *testing.B) { benchSequential(b, d) })
		})
	}
}

func benchRandom(b *testing.B, d *Disk) {
	b.SetParallelism(8)
	done := perSecond(b, os.Getpid())
	b.RunParallel(func(pb *testing.PB) {
		p := make([]byte, benchBlock)
		for pb.Next() {
			if _, err := d.ReadAt(b.Context(), p, rand.Int64N(benchSize/benchBlock)*benchBlock); err != nil {
				b.Error(err)
				return
			}
		}
	})
	done()
}

func benchSequential(b *testing.B, d *Disk) {
	p := make([]byte, 1<<20)
	b.SetBytes(int64(len(p)))
	done := perSecond(b, os.Getpid())
	for i := range b.N {
		if _, err := d.ReadAt(b.Context(), p, int64(i)%(benchSize>>20)<<20); err != nil {
			b.Fatal(err)
		}
	}
	done()
}

// perSecond begins to measure; what it returns reports how many reads there were and what they cost a process.
func perSecond(b *testing.B, pid int) (done func()) {
	before, err := testservers.CPU(pid)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	return func() {
		b.StopTimer()
		after, err := testservers.CPU(pid)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
		b.ReportMetric(float64((after-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
	}
}

// benchNBD reads what benchRandom does, and has benchDepth reads on the way.
func benchNBD(b *testing.B, path string) {
	server, err := testservers.QEMUNBD(b.Context(), b.TempDir(), path, QCOW2)
	if err != nil {
		b.Fatal(err)
	}
	defer server.Stop()
	done, left := perSecond(b, server.Pid()), b.N
	if _, err := server.Read(benchBlock, benchDepth, func() (int64, bool) {
		left--
		return rand.Int64N(benchSize/benchBlock) * benchBlock, left >= 0
	}); err != nil {
		b.Fatal(err)
	}
	done()
}
