// Package definitions holds the metadata definitions that come with the program: one namespace in each file, in the form
// in which the Image API shows it.
package definitions

import "embed"

// Files are the definitions, *.json.
//
//go:embed *.json
var Files embed.FS
