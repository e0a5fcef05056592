// Package mounter lets a mount outlive the daemon that serves it. A small server with the rights to mount holds the descriptor
// of /dev/fuse, and hands it to one daemon after the other, which needs no rights at all. While there is none, whoever reads
// from the mount waits; if none comes in time the server ends the mount, and the readers get errors. The server reads no
// image data. Start reading at Server and Attach.
package mounter
