package auth

import (
	"fmt"
	"os"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

func TestMain(m *testing.M) {
	code := m.Run()
	if err := testservers.StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
