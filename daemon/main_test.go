package daemon_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/vitrine-image/vitrine/internal/crashfs"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

func TestMain(m *testing.M) {
	crashfs.ServeIfChild()
	testdaemon.ServeIfChild()
	code := m.Run()
	if err := testservers.StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}
