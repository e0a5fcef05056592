package daemon_test

import (
	"testing"

	"github.com/vitrine-image/vitrine/imageservice/servicetest"
	"github.com/vitrine-image/vitrine/metadef"
)

// TestMetadefsOverHTTP runs the suite of metadata definitions through client, api and service in a row.
func TestMetadefsOverHTTP(t *testing.T) {
	servicetest.RunMetadefs(t, func(t *testing.T) metadef.Catalog { return inProcess(t, t.TempDir()) })
}
