package daemon

import (
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/image"
)

// TestAnotherRegion downloads an image with a user's token and compares it with its hash.
func TestAnotherRegion(t *testing.T) {
	id := image.NewID()
	sum := sha512.Sum512([]byte("data"))
	sent := "data"
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Auth-Token") != "secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/image/v2/images/"+string(id):
			fmt.Fprintf(w, `{"id": %q, "status": "active", "disk_format": "raw", "container_format": "bare", "size": 4, "os_hash_algo": "sha512",
				"os_hash_value": %q, "visibility": "private", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}`,
				id, hex.EncodeToString(sum[:]))
		case r.URL.Path == "/image/v2/images/"+string(id)+"/file":
			io.WriteString(w, sent)
		default:
			http.NotFound(w, r)
		}
	}))
	defer srv.Close()
	fetch := func(token image.Secret, id image.ID) (string, error) {
		img, data, size, err := region{}.Download(t.Context(), srv.URL+"/image", token, id)
		if err != nil {
			return "", err
		}
		defer data.Close()
		if img.ID != id || size != 4 {
			t.Errorf("image %+v of %d bytes", img, size)
		}
		b, err := io.ReadAll(data)
		return string(b), err
	}
	if got, err := fetch("secret", id); got != "data" || err != nil {
		t.Errorf("Download = %q, %v", got, err)
	}
	sent = "DATA"
	if _, err := fetch("secret", id); !errors.Is(err, image.ErrCorrupt) {
		t.Errorf("Download of other data = %v, want %v", err, image.ErrCorrupt)
	}
	if _, err := fetch("wrong", id); err == nil || !strings.Contains(err.Error(), "answered 401") {
		t.Errorf("Download with another token = %v", err)
	}
	if _, err := fetch("secret", image.NewID()); err == nil || !strings.Contains(err.Error(), "answered 404") {
		t.Errorf("Download of what is not there = %v", err)
	}
}

func TestImportConfig(t *testing.T) {
	for _, tt := range []struct {
		change func(*Config)
		want   string // "" for none
	}{
		{func(c *Config) { c.Import.Methods = nil }, ""},
		{func(c *Config) { c.Import.Methods = []string{"by-mail"} }, "import.methods"},
		{func(c *Config) { c.Import.Methods = []string{image.ImportDownload} }, `needs auth.type = "` + auth.KindKeystone},
		{func(c *Config) { c.Import.Workers = 0 }, "import.workers"},
		{func(c *Config) { c.Import.Plugins = []string{"x"} }, "import.plugins"},
		{func(c *Config) { c.Import.OutputFormat = "iso" }, "import.output_format"},
		{func(c *Config) { c.Import.OutputFormat = "vhd" }, ""},
		{func(c *Config) {
			c.Import.OutputFormat, c.Import.StoreFormats = "any", map[string]string{"local": "raw"}
		}, ""},
		{func(c *Config) { c.Import.StoreFormats = map[string]string{"local": "iso"} }, "import.store_formats.local"},
		{func(c *Config) { c.Import.StoreFormats = map[string]string{"ceph": "raw"} }, `import.store_formats: there is no store "ceph"`},
		{func(c *Config) { c.Import.ConvertSpace = 0 }, "import.convert_space"},
		{func(c *Config) { c.Import.ConvertAtOnce = 0 }, "import.convert_at_once"},
		{func(c *Config) { c.Import.Inject = map[string]string{"os_glance_x": "y"} }, "import.inject"},
		{func(c *Config) { c.Import.Staging = "staging" }, "import.staging"},
		{func(c *Config) { c.Import.Staging = "/var/lib/vitrine/images/staging" }, "must not lie in each other"},
		{func(c *Config) { c.Outgoing.AllowNetworks = []string{"everywhere"} }, "[outgoing]"},
		{func(c *Config) { c.Outgoing.TotalTimeout = 0 }, "outgoing.total_timeout"},
	} {
		cfg := Default()
		tt.change(&cfg)
		err := cfg.finish()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("finish = %v, want %q", err, tt.want)
		}
	}
}
