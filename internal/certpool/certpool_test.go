package certpool_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/certpool"
	"github.com/vitrine-image/vitrine/internal/testcert"
)

func TestRead(t *testing.T) {
	ca := testcert.New(t)
	if pool, err := certpool.Read(ca.File); err != nil || !pool.Equal(ca.Pool) {
		t.Errorf("Read = %v, %v", pool, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if _, err := certpool.Read(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := certpool.Read(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("a file without certificates: %v, want an error that names it", err)
	}
}
