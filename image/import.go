package image

// The import methods.
const (
	ImportStaged   = "glance-direct"   // of data that was staged
	ImportURL      = "web-download"    // from a URL
	ImportCopy     = "copy-image"      // of an active image into further stores
	ImportDownload = "glance-download" // from another Image API
)

// ImportMethods returns every import method.
func ImportMethods() []string { return []string{ImportStaged, ImportURL, ImportCopy, ImportDownload} }
