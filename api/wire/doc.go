// Package wire is the JSON of the Image API, written by the server and read by its clients: AppendImage and ParseImage
// are the two ends of an image document, PageWriter and ParseImages those of a list. The mount's metadata.json is the
// same document.
package wire
