package diskformat

import (
	"testing"

	"github.com/vitrine-image/vitrine/diskformat/formattest"
)

// Images made by hand are read as what they were made from; what qemu-img writes is in other tests.
func TestDisksMadeByHand(t *testing.T) {
	for _, s := range formattest.Disks() {
		t.Run(s.Name, func(t *testing.T) {
			checkDisk(t, openDisk(t, bytesSource(s.Data), s.Format), s.Content)
			checkDisk(t, openDisk(t, sparseSource{s.Data}, s.Format), s.Content)
		})
	}
}
