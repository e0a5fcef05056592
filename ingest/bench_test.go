package ingest

import (
	"crypto/rand"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// BenchmarkUpload measures the upload of 1 GiB of random bytes by curl over loopback against md5sum of the same file in
// the same round, as a ratio of their times: MD5, SHA-512 and fsync included. Use -benchtime 5x.
func BenchmarkUpload(b *testing.B) {
	path := filepath.Join(b.TempDir(), "random")
	writeRandom(b, path, 1<<30)
	in, store := newIngester(b, Config{}), newStore(b)
	stored := make(chan image.Location, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req := upload(store, r.Body)
		req.Size = r.ContentLength
		got, err := in.Copy(r.Context(), req)
		if err != nil {
			b.Error(err)
			return
		}
		stored <- got.Location
	}))
	defer srv.Close()
	var ratios []float64
	for b.Loop() {
		reference := measure(b, exec.Command("md5sum", path))
		ours := measure(b, exec.Command("curl", "-sSf", "-T", path, srv.URL))
		if err := store.Delete(b.Context(), <-stored); err != nil {
			b.Fatal(err)
		}
		b.Logf("md5sum %v, upload %v", reference, ours)
		ratios = append(ratios, reference.Seconds()/ours.Seconds())
	}
	slices.Sort(ratios)
	b.ReportMetric(ratios[len(ratios)/2], "of-md5sum")
	b.ReportMetric(ratios[0], "worst")
}

func measure(b *testing.B, cmd *exec.Cmd) time.Duration {
	begin := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v: %s", cmd, err, out)
	}
	return time.Since(begin)
}

func writeRandom(b *testing.B, path string, size int64) {
	f, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
}
