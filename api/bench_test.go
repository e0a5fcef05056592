package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// benchmarkRequests sends the same request again and again over one connection, with as little work on the client's
// side as possible.
func benchmarkRequests(b *testing.B, h http.Handler, path string) {
	conn, err := net.Dial("tcp", serve(b, h).Listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 256<<10)
	ask := "GET " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\n\r\n"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.WriteString(conn, ask); err != nil {
			b.Fatal(err)
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, res.Body)
		if err != nil || res.StatusCode >= 300 {
			b.Fatal(res.Status, err)
		}
		b.SetBytes(n)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}

func benchmarkFake() (*fakeImages, image.ID) {
	f := newFake()
	var id image.ID
	for i := range 100 {
		name := fmt.Sprintf("image-%d", i)
		id = f.add(image.Image{Owner: "p1", Name: &name, Tags: []string{"lts", "server"}, Properties: map[string]string{"os_distro": "debian",
			"os_version": "12", "architecture": "x86_64", "hw_disk_bus": "virtio", "hw_vif_model": "virtio"}}, "data")
	}
	return f, id
}

func BenchmarkGet(b *testing.B) {
	f, id := benchmarkFake()
	benchmarkRequests(b, newHandler(b, f), "/v2/images/"+string(id))
}

func BenchmarkList100(b *testing.B) {
	f, _ := benchmarkFake()
	benchmarkRequests(b, newHandler(b, f), "/v2/images?limit=100")
}

// BenchmarkDownload compares the two ways to send a file of 256 MiB that lies in the page cache.
func BenchmarkDownload(b *testing.B) {
	path := filepath.Join(b.TempDir(), "data")
	if err := os.WriteFile(path, []byte(strings.Repeat("0123456789abcdef", 16<<20)), 0o600); err != nil {
		b.Fatal(err)
	}
	for _, sendfile := range []bool{false, true} {
		b.Run(fmt.Sprintf("sendfile=%v", sendfile), func(b *testing.B) {
			f, id := benchmarkFake()
			f.opened = func() (*fileReader, error) { return openFile(path) }
			benchmarkRequests(b, newHandler(b, f, func(c *Config) { c.Sendfile = sendfile }), "/v2/images/"+string(id)+"/file")
		})
	}
}
