// Package fusefs serves images as files in a read-only FUSE mount. It speaks the kernel's protocol through go-fuse's
// raw API: node ids are computed from numbers that the database keeps for ever, so that a successor of this process
// can answer for files that it never opened. Start reading at Source (what it asks for) and Mount.
package fusefs
