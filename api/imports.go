package api

import (
	"context"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

// An ImportSession is the part of a Session that imports.
type ImportSession interface {
	Stage(ctx context.Context, id image.ID, up imageservice.Upload) error
}
