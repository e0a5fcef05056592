package fusefs

// A node is the kernel's name for a file or directory. It is computed from what it names, so that any process that
// serves the mount gives the same answer, and never changes its meaning: bit 63 is 0, bits 56 to 62 hold the kind, the
// rest one image number, or a project number and a label number of 28 bits each. The root is 1, as the protocol has it.
// The values of the kinds are part of the mount's contract: they are st_ino to the world.
type node uint64

type kind uint8

const (
	// Kind 0 is only the root's, the node 1.

	// Directories whose payload is a project number (0 at the top of the tree) and a label number.
	kindIDs      kind = 1 // by-id
	kindNames    kind = 2 // by-name
	kindTags     kind = 3 // by-tag
	kindProjects kind = 4 // by-project
	kindProject  kind = 5 // one project
	kindName     kind = 6 // one name
	kindTag      kind = 7 // one tag

	// What an image has; the payload is its number.
	kindImage    kind = 16 // its directory
	kindDocument kind = 17 // metadata.json
	kindSum      kind = 18 // sha512sum and the like
	kindData     kind = 19 // the bytes as uploaded, read through the daemon
	kindRawView  kind = 20 // the disk that a guest sees of an image in another format, read through the daemon

	// Symbolic links to an image from directories that lie so deep; the payload is its number.
	kindLink2 kind = 24
	kindLink3 kind = 25
	kindLink4 kind = 26

	// passed marks the nodes that the kernel reads by itself from a file of ours. One inode cannot be read both ways
	// while it is open, so each way has its own; st_ino does not tell them apart.
	passed         kind = 0x40
	kindPassedData kind = kindData | passed
	kindPassedView kind = kindRawView | passed
)

const (
	kindShift   = 56
	labelBits   = 28
	payloadMask = 1<<kindShift - 1
	labelMask   = 1<<labelBits - 1

	rootNode node = 1
	noNode   node = 0

	// generation is the same for all nodes, since no number is used twice.
	generation = 1
)

// imageNode returns the node of something that an image has, or noNode if the number is not one.
func imageNode(k kind, number int64) node {
	if number <= 0 || number > payloadMask {
		return noNode
	}
	return node(k)<<kindShift | node(number)
}

// dirNode returns the node of a directory, or noNode if a number does not fit.
func dirNode(k kind, project, label int64) node {
	if project < 0 || project > labelMask || label < 0 || label > labelMask {
		return noNode
	}
	return node(k)<<kindShift | node(project)<<labelBits | node(label)
}

func (n node) kind() kind { return kind(n >> kindShift) }

// number is the image's, of a node that imageNode made.
func (n node) number() int64 { return int64(n & payloadMask) }

// project and label are the numbers of a node that dirNode made.
func (n node) project() int64 { return int64(n & payloadMask >> labelBits) }
func (n node) label() int64   { return int64(n & labelMask) }

// ino is st_ino.
func (n node) ino() uint64 { return uint64(n &^ (node(passed) << kindShift)) }

// isData tells whether the node is the bytes of an image, as uploaded or as a disk.
func (n node) isData() bool { return n.kind()&^passed == kindData || n.isRawView() }

// isRawView tells whether the node is the disk of an image in another format.
func (n node) isRawView() bool { return n.kind()&^passed == kindRawView }

// isPassed tells whether the kernel shall read the node's file by itself.
func (n node) isPassed() bool { return n.kind()&passed != 0 }

// dir returns the directory of images that the node is: by-id, a name or a tag, of all or of one project.
func (n node) dir() (Dir, bool) {
	switch n.kind() {
	case kindIDs:
		return Dir{Project: n.project()}, true
	case kindName:
		return Dir{Kind: Name, Label: n.label(), Project: n.project()}, true
	case kindTag:
		return Dir{Kind: Tag, Label: n.label(), Project: n.project()}, true
	}
	return Dir{}, false
}

// labels returns the kind of labels that the directory lists, and the kind of their nodes.
func (n node) labels() (LabelKind, kind, bool) {
	switch n.kind() {
	case kindNames:
		return Name, kindName, true
	case kindTags:
		return Tag, kindTag, true
	case kindProjects:
		return Project, kindProject, true
	}
	return 0, 0, false
}

// labelNode returns the node of a label's directory below n, which lists labels.
func (n node) labelNode(k kind, label int64) node {
	if k == kindProject {
		return dirNode(k, label, 0)
	}
	return dirNode(k, n.project(), label)
}

// linkKind returns the kind of the links that a directory of images holds.
func (n node) linkKind() kind {
	switch {
	case n.project() == 0:
		return kindLink2
	case n.kind() == kindIDs:
		return kindLink3
	}
	return kindLink4
}
