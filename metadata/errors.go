package metadata

import "errors"

// ErrChangesLost says that the change feed no longer reaches back as far as asked.
var ErrChangesLost = errors.New("the change feed does not reach back that far")

// ErrNewer says that the database was made by a newer program.
var ErrNewer = errors.New("the database was made by a newer version of vitrine")
