// Package rbdstore keeps image data in a pool of a Ceph cluster, as Glance does: an object is the RBD image of its name,
// whose protected snapshot "snap" holds the bytes. Nova and Cinder clone that snapshot. The location is
//
//	rbd://<fsid of the cluster>/<pool>/<image>/snap
//
// While it is written the image has the name of its upload, by which a sweep knows what a crash has left, and it notes that
// upload for ever: others may keep images in the pool, under the names of ours, too. What is deleted while somebody reads
// it, or while it has clones, goes to the pool's trash with another note.
//
// It is built with the tag ceph. Start reading at Open, then Put.
package rbdstore
