package daemon_test

import (
	"testing"

	"github.com/vitrine-image/vitrine/internal/crashfs"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
)

func TestMain(m *testing.M) {
	crashfs.ServeIfChild()
	testdaemon.Main(m)
}
