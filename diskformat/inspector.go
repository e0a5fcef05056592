package diskformat

import (
	"fmt"
	"slices"
)

// An Inspector looks at an image as it streams by. It keeps only the few regions that it needs, 1 MiB of them at the most.
// It is an io.Writer that never fails. The same bytes give the same answer, whatever the pieces they come in.
type Inspector struct {
	size   int64
	probes []*probe // of every format
	tail   tail
	packed packed
	news   bool
	ended  bool
}

// An examiner watches for one format. It asks for one region of the bytes after the other.
type examiner interface {
	// start returns the first region to look at.
	start() step
	// end is told that the bytes ended: how many there were, and the last of them, tailSize unless there were fewer.
	end(size int64, tail []byte)
	// result is the verdict so far.
	result() *verdict
}

// A step is a region that an examiner wants to see. Regions go forward: none begins before the one before it ended.
type step struct {
	off int64
	n   int // bytes; 0 when the examiner has seen enough
	// then looks at the region and says what to look at next. p is shorter than n when the bytes end within it; what it
	// returns does not count then. It must not keep p.
	then func(p []byte) step
}

// enough is the step of an examiner that wants to see no more.
var enough step

// A verdict is what an examiner found out. Its zero value is undecided.
type verdict struct {
	format   string
	decided  bool
	match    bool
	size     int64 // virtual, in bytes
	problems []Problem
}

func (v *verdict) result() *verdict  { return v }
func (v *verdict) end(int64, []byte) {}
func (v *verdict) is()               { v.decided, v.match = true, true }
func (v *verdict) isNot() step       { v.decided = true; return enough }
func (v *verdict) fails(check string) bool {
	return slices.ContainsFunc(v.problems, func(p Problem) bool { return p.Check == check })
}

// fail notes a safety check that failed. Of several failures of one check the first counts.
func (v *verdict) fail(check, text string, args ...any) step {
	if !v.fails(check) {
		v.problems = append(v.problems, Problem{check, fmt.Sprintf(text, args...)})
	}
	return enough
}

// cutShort notes that the bytes ended within a structure.
func (v *verdict) cutShort(what string, have int) step {
	return v.fail("header", "%s is cut short after %d bytes", what, have)
}

// A probe leads one examiner through the stream.
type probe struct {
	examiner
	want step
	have []byte // of the region wanted, when it comes in several pieces
}

// NewInspector returns an Inspector that has seen nothing. It notes as problems what the rules do not allow.
func NewInspector(rules Rules) *Inspector {
	i := &Inspector{}
	for _, e := range []examiner{newQCOW2(), newQED(), newVMDK(rules), newVHD(), newVHDX(), newVDI(), newISO(),
		newPartitions(rules), newLUKS(), newParallels(), newBochs(), newCloop()} {
		i.probes = append(i.probes, &probe{examiner: e, want: e.start()})
	}
	return i
}

// Write takes the next bytes.
func (i *Inspector) Write(p []byte) (int, error) {
	for _, pr := range i.probes {
		if pr.want.n > 0 && pr.feed(i.size, p) {
			i.news = true
		}
	}
	i.packed.write(i.size, p)
	i.tail.write(p)
	i.size += int64(len(p))
	return len(p), nil
}

// feed shows the probe what it wants of the bytes at off. It reports whether a region was complete.
func (pr *probe) feed(off int64, p []byte) (moved bool) {
	for pr.want.n > 0 {
		missing := pr.want.n - len(pr.have)
		begin := pr.want.off + int64(len(pr.have)) - off // within p
		if begin >= int64(len(p)) {
			return moved
		}
		piece := p[begin:]
		if len(piece) < missing {
			pr.have = append(pr.have, piece...)
			return moved
		}
		region := piece[:missing]
		if len(pr.have) > 0 {
			region = append(pr.have, region...)
		}
		next := pr.want.then(region)
		if next.n > 0 && next.off < pr.want.off+int64(pr.want.n) {
			panic(fmt.Sprintf("diskformat: the examiner of %s looks back", pr.result().format))
		}
		pr.want, pr.have, moved = next, nil, true
	}
	return moved
}

// End tells that no more bytes come.
func (i *Inspector) End() {
	if i.ended {
		return
	}
	i.ended, i.news = true, true
	for _, pr := range i.probes {
		if pr.want.n > 0 {
			pr.want.then(pr.have)
			pr.want = enough
		}
		pr.end(i.size, i.tail.last)
		if v := pr.result(); !v.decided {
			v.isNot()
		}
	}
}

// News reports whether Info may tell more than when News was asked last.
func (i *Inspector) News() bool {
	news := i.news
	i.news = false
	return news
}

// Info tells what is known of the bytes; all there is to know after End. Until then formats may be added and problems,
// but none goes away.
func (i *Inspector) Info() Info {
	var info Info
	for _, pr := range i.probes {
		switch v := pr.result(); {
		case v.match:
			info.Formats = append(info.Formats, v.format)
		case v.decided:
			info.excluded = append(info.excluded, v.format)
		}
	}
	info.Formats = combine(info.Formats)
	if len(info.Formats) == 0 {
		return Info{Format: Raw, Formats: []string{Raw}, VirtualSize: i.size, Packed: i.packed.name(), excluded: info.excluded}
	}
	info.Format = info.Formats[0]
	for _, pr := range i.probes {
		if v := pr.result(); v.format == info.Format {
			info.VirtualSize, info.Problems = v.size, slices.Clone(v.problems)
		}
	}
	return info
}

// tailSize is enough for the footer of a VMDK with the markers around it, and for that of a VHD.
const tailSize = 1536

// A tail keeps the last bytes of a stream.
type tail struct {
	last []byte
}

func (t *tail) write(p []byte) {
	if len(p) >= tailSize {
		t.last = append(t.last[:0], p[len(p)-tailSize:]...)
		return
	}
	if excess := len(t.last) + len(p) - tailSize; excess > 0 {
		t.last = t.last[:copy(t.last, t.last[excess:])]
	}
	t.last = append(t.last, p...)
}
