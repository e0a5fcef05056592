package daemon_test

import (
	"testing"

	"github.com/vitrine-image/vitrine/imageservice/servicetest"
)

// TestMetadefsOverHTTP runs the suite of metadata definitions through client, api and service in a row.
func TestMetadefsOverHTTP(t *testing.T) {
	servicetest.RunMetadefs(t, func(t *testing.T) servicetest.Metadefs { return inProcess(t, t.TempDir()) })
}
