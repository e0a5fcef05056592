package storetest

import (
	"testing"

	"github.com/vitrine-image/vitrine/imagestore"
)

func TestPool(t *testing.T) {
	Run(t, Factory{ID: "pool", New: func(*testing.T) imagestore.Writer { return NewPool("pool") }})
}
