package daemon_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/daemon"
	"github.com/vitrine-image/vitrine/diskformat/formattest"
	"github.com/vitrine-image/vitrine/image"
)

// inspecting runs a daemon that takes every format that is looked into, and returns where its data lies.
func inspecting(t *testing.T) (c *client.Client, endpoint, dir string) {
	cfg := daemon.Default()
	cfg.Data = t.TempDir()
	cfg.Images.DiskFormats = append(cfg.Images.DiskFormats, "gpt", "luks", "qed", "bochs", "cloop")
	c, _ = run(t, cfg)
	return c, c.Endpoint(), cfg.Data
}

func declare(t *testing.T, c *client.Client, format string) *image.Image {
	t.Helper()
	img, err := c.Create(t.Context(), "", []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: format},
		{Op: image.EditAdd, Name: "container_format", Value: "bare"}})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// Every hostile image is refused with its reason, and nothing of its bytes can be read then: neither through the API nor
// in the directories of the daemon. The image can be used again.
func TestHostileUploads(t *testing.T) {
	c, _, dir := inspecting(t)
	for _, s := range formattest.Hostile() {
		t.Run(s.Name, func(t *testing.T) {
			img := declare(t, c, s.Declared)
			err := c.Upload(t.Context(), img.ID, client.Upload{Body: bytes.NewReader(s.Data), Size: int64(len(s.Data))})
			if !errors.Is(err, image.ErrUnsupportedContent) || s.Check != "" && !strings.Contains(err.Error(), "check "+s.Check) {
				t.Errorf("Upload = %v, want %v with the failed check %q", err, image.ErrUnsupportedContent, s.Check)
			}
			checkRefused(t, c, img.ID)
		})
	}
	checkNoData(t, dir)
}

// checkNoData makes sure that no data of an image lies below a directory.
func checkNoData(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && !strings.HasPrefix(d.Name(), ".vitrine") && !strings.HasPrefix(d.Name(), "vitrine.db") {
			t.Errorf("%s is left over", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// The same holds for data that was staged: the import looks at it.
func TestHostileImports(t *testing.T) {
	c, _, dir := inspecting(t)
	for _, s := range formattest.Hostile() {
		if len(s.Data) > 1<<17 {
			continue // one way in is as good as the other; these take long
		}
		t.Run(s.Name, func(t *testing.T) {
			img := declare(t, c, s.Declared)
			if err := c.Stage(t.Context(), img.ID, client.Upload{Body: bytes.NewReader(s.Data), Size: int64(len(s.Data))}); err != nil {
				t.Fatal(err)
			}
			if err := c.Import(t.Context(), img.ID, image.Import{Method: image.ImportStaged}); err != nil {
				t.Fatal(err)
			}
			img.Status = image.Importing
			for end := time.Now().Add(time.Minute); img.Status == image.Importing && time.Now().Before(end); {
				var err error
				if img, err = c.Get(t.Context(), img.ID); err != nil {
					t.Fatal(err)
				}
			}
			checkRefused(t, c, img.ID)
			tasks, err := c.ImageTasks(t.Context(), img.ID)
			if err != nil || len(tasks) != 1 || tasks[0].Status != image.TaskFailure || !strings.Contains(tasks[0].Message, s.Check) {
				t.Errorf("the tasks are %+v, %v, want a failed check %q", tasks, err, s.Check)
			}
		})
	}
	checkNoData(t, dir)
}

// checkRefused makes sure that an image shows nothing of what was refused.
func checkRefused(t *testing.T, c *client.Client, id image.ID) {
	t.Helper()
	img, err := c.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if img.Status != image.Queued || img.Size != nil || img.VirtualSize != nil || img.Checksum != "" || img.HashAlgo != "" || img.HashValue != "" {
		t.Errorf("the image is %+v", img)
	}
	if d, err := c.Download(t.Context(), id, client.DownloadOptions{}); !errors.Is(err, image.ErrNoData) {
		if err == nil {
			d.Close()
		}
		t.Errorf("Download = %v, want %v", err, image.ErrNoData)
	}
}

// Images of every format that are what they say are taken, and tell their virtual size.
func TestGoodUploads(t *testing.T) {
	c, _, _ := inspecting(t)
	for _, s := range formattest.Good() {
		t.Run(s.Name, func(t *testing.T) {
			format := s.Format
			if s.Declared != "" {
				format = s.Declared
			}
			img := declare(t, c, format)
			if err := c.Upload(t.Context(), img.ID, client.Upload{Body: bytes.NewReader(s.Data), Size: int64(len(s.Data))}); err != nil {
				t.Fatal(err)
			}
			img, err := c.Get(t.Context(), img.ID)
			if err != nil || img.Status != image.Active {
				t.Fatalf("the image is %+v, %v", img, err)
			}
			inspected := format != "ploop"
			if (img.VirtualSize != nil) != inspected || inspected && *img.VirtualSize != s.VirtualSize {
				t.Errorf("the image is %+v, want %d bytes", img, s.VirtualSize)
			}
		})
	}
}

// A volume that the block storage encrypted is declared to be raw; nothing else may be LUKS under that name.
func TestEncryptedVolume(t *testing.T) {
	c, _, _ := inspecting(t)
	img := declare(t, c, "raw")
	send := func() error {
		data := formattest.LUKS(1)
		return c.Upload(t.Context(), img.ID, client.Upload{Body: bytes.NewReader(data), Size: int64(len(data))})
	}
	if err := send(); !errors.Is(err, image.ErrUnsupportedContent) {
		t.Errorf("Upload without a key = %v, want %v", err, image.ErrUnsupportedContent)
	}
	if _, err := c.Edit(t.Context(), img.ID, []image.Edit{{Op: image.EditAdd, Name: "cinder_encryption_key_id",
		Value: "7d2f2a3c-4f0e-4a57-8f0e-2c4f2d0e9a11"}}); err != nil {
		t.Fatal(err)
	}
	if err := send(); err != nil {
		t.Errorf("Upload with a key = %v", err)
	}
}

// What the header tells is answered after the header, while the client still has a GiB to send.
func TestHostileUploadsAreRefusedEarly(t *testing.T) {
	c, endpoint, _ := inspecting(t)
	for name, s := range map[string]struct {
		declared string
		head     []byte
	}{
		"qcow2 with a backing file": {"qcow2", formattest.QCOW2Backing("/etc/passwd")},
		"qcow2 with a data file":    {"qcow2", formattest.QCOW2DataFile("/etc/passwd")},
		"VMDK with a flat extent":   {"vmdk", formattest.VMDK(formattest.Descriptor("monolithicFlat", `RW 1 FLAT "/etc/passwd" 0`))},
		"qcow2 as raw":              {"raw", formattest.QCOW2(1 << 30)},
		"raw as VDI":                {"vdi", nil},
	} {
		t.Run(name, func(t *testing.T) {
			img := declare(t, c, s.declared)
			conn, err := net.Dial("tcp", strings.TrimPrefix(endpoint, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "PUT /v2/images/%s/file HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\n"+
				"Content-Length: %d\r\n\r\n", img.ID, int64(1<<30))
			conn.Write(s.head)
			io.CopyN(conn, zeros{}, 1<<20) // the server may hang up within
			answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || answer.StatusCode != http.StatusUnsupportedMediaType {
				t.Fatalf("the answer is %v, %v, want 415", answer, err)
			}
			answer.Body.Close()
			checkRefused(t, c, img.ID)
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
