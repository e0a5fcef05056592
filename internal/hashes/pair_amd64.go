package hashes

import "golang.org/x/sys/cpu"

// blocksAVX512 digests n blocks from p. Nothing interrupts it.
//
//go:noescape
func blocksAVX512(md5 *[4]uint32, sha512 *[8]uint64, p *byte, n int)

func init() {
	if cpu.X86.HasAVX512F && cpu.X86.HasAVX512VL && cpu.X86.HasBMI1 {
		blocks = func(md5 *[4]uint32, sha512 *[8]uint64, p []byte) {
			blocksAVX512(md5, sha512, &p[0], len(p)/blockSize)
		}
	}
}
