// Package image holds the words of Vitrine: images, locations, callers, changes, the rules that need no I/O (which
// status may follow which, who sees what, how a name becomes a directory entry) and every domain error.
// It imports nothing of ours; start reading at Image.
package image
