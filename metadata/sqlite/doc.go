// Package sqlite keeps the records of images in one SQLite file. Start reading at Open, then Update for how writes share a
// commit, index.go for what is derived from an image so that lists and directories cost the same at any size, and list.go
// for how a page is found.
//
// The first file below migrations describes the tables.
package sqlite
