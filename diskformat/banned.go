package diskformat

// banned recognises a format that is never taken: nobody needs it any more, but QEMU still opens it. Source: QEMU,
// block/qed.c, block/bochs.c and block/cloop.c.
type banned struct {
	verdict
	magic string
}

func newBanned(format, magic string) *banned { return &banned{verdict{format: format}, magic} }

func newQED() *banned   { return newBanned(QED, "QED\x00") }
func newBochs() *banned { return newBanned(Bochs, "Bochs Virtual HD Image") }
func newCloop() *banned { return newBanned(Cloop, "#!/bin/sh\n#V2.0 Format\nmodprobe cloop") }

func (b *banned) start() step {
	return step{0, len(b.magic), func(p []byte) step {
		if !hasPrefix(p, b.magic) {
			return b.isNot()
		}
		b.is()
		return b.fail("banned", "%s is not supported; convert it to qcow2", b.format)
	}}
}
