package ingest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"

	"github.com/vitrine-image/vitrine/imagestore/storetest"
)

// BenchmarkMemory reports by how much the resident memory grows at most while 64 uploads of 16 MiB run at once.
func BenchmarkMemory(b *testing.B) {
	store, in := newStore(b), newIngester(b, Config{})
	data := storetest.Random(1 << 20)
	for b.Loop() {
		debug.FreeOSMemory()
		before := resident(b, true)
		var uploads sync.WaitGroup
		for range 64 {
			uploads.Go(func() {
				body := &repeat{data: data, left: 16 << 20}
				got, err := in.Copy(b.Context(), upload(store, body))
				if err == nil {
					err = store.Delete(b.Context(), got.Location)
				}
				if err != nil {
					b.Error(err)
				}
			})
		}
		uploads.Wait()
		b.ReportMetric(float64(resident(b, false)-before)/(1<<20), "MiB")
	}
}

// repeat gives the same data again and again.
type repeat struct {
	data []byte
	left int64
	at   int
}

func (r *repeat) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.left)], r.data[r.at:])
	r.left -= int64(n)
	r.at = (r.at + n) % len(r.data)
	return n, nil
}

// resident returns the highest resident memory of this process, in bytes, and makes the present one the highest.
func resident(b *testing.B, reset bool) int64 {
	b.Helper()
	if reset {
		if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
			b.Fatal(err)
		}
	}
	f, err := os.Open("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			var kib int64
			if _, err := fmt.Sscan(rest, &kib); err != nil {
				b.Fatal(err)
			}
			return kib << 10
		}
	}
	b.Fatal("the kernel does not tell VmHWM")
	return 0
}
