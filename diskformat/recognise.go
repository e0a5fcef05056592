package diskformat

// What Recognise wants to see of an image: the first bytes, with the volume descriptors of an ISO image, and the last
// ones, for the footer of a fixed VHD.
const (
	HeadSize = isoStart + 8*isoSector
	TailSize = vhdFooter
)

// Recognise names the format that the first HeadSize bytes of an image and its last TailSize ones (nil if they are not
// known) look like, whether it is safe or not: Raw unless something is found. packed names what the image was compressed
// or archived with instead; there is no format then.
func Recognise(head, tail []byte) (format, packed string) {
	i := NewInspector(Rules{})
	i.Write(head)
	if len(tail) > 0 || len(head) >= HeadSize { // else the head is all there is
		i.tail.last = tail
	}
	i.End()
	info := i.Info()
	switch {
	case info.Packed != "":
		return "", info.Packed
	case info.Format == GPT:
		return Raw, ""
	}
	return info.Format, ""
}
