// Package rbd keeps block images in pools of a Ceph cluster. It is a layer over go-ceph that makes librbd bearable for a
// daemon: a call returns when its context ends, at most so many are under way, none waits for ever for a cluster that is
// away, errors have names, zeros are data and never a removed image, and a connection that broke is made anew. It knows
// Ceph's words (pools, images, snapshots) and nothing else.
//
// It is built with the tag ceph, where the headers of librbd are. Start reading at New, then Pool and Image.
package rbd
