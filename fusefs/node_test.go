package fusefs

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// The numbers are what guests, backups and a successor of this process know files by: they never change.
func TestNodesAreForEver(t *testing.T) {
	for _, tt := range []struct {
		name string
		got  node
		want uint64
	}{
		{"the root", rootNode, 1},
		{"by-id", dirNode(kindIDs, 0, 0), 0x0100000000000000},
		{"by-name", dirNode(kindNames, 0, 0), 0x0200000000000000},
		{"by-tag", dirNode(kindTags, 0, 0), 0x0300000000000000},
		{"by-project", dirNode(kindProjects, 0, 0), 0x0400000000000000},
		{"project 5", dirNode(kindProject, 5, 0), 0x0500000050000000},
		{"by-id of project 5", dirNode(kindIDs, 5, 0), 0x0100000050000000},
		{"name 7", dirNode(kindName, 0, 7), 0x0600000000000007},
		{"name 7 of project 5", dirNode(kindName, 5, 7), 0x0600000050000007},
		{"the last tag of the last project", dirNode(kindTag, 1<<28-1, 1<<28-1), 0x07ffffffffffffff},
		{"directory of image 9", imageNode(kindImage, 9), 0x1000000000000009},
		{"metadata.json", imageNode(kindDocument, 9), 0x1100000000000009},
		{"sha512sum", imageNode(kindSum, 9), 0x1200000000000009},
		{"data", imageNode(kindData, 9), 0x1300000000000009},
		{"data, passed through", imageNode(kindPassedData, 9), 0x5300000000000009},
		{"raw view", imageNode(kindRawView, 9), 0x1400000000000009},
		{"raw view, passed through", imageNode(kindPassedView, 9), 0x5400000000000009},
		{"link from by-name/x", imageNode(kindLink2, 9), 0x1800000000000009},
		{"link from by-project/x/by-id", imageNode(kindLink3, 9), 0x1900000000000009},
		{"link from by-project/x/by-name/y", imageNode(kindLink4, 9), 0x1a00000000000009},
		{"the last image", imageNode(kindData, 1<<56-1), 0x13ffffffffffffff},
		{"a number too large", imageNode(kindData, 1<<56), 0},
		{"no image", imageNode(kindData, 0), 0},
		{"a project too large", dirNode(kindIDs, 1<<28, 0), 0},
		{"a label too large", dirNode(kindName, 0, 1<<28), 0},
		{"a negative label", dirNode(kindName, 0, -1), 0},
	} {
		if uint64(tt.got) != tt.want {
			t.Errorf("%s is node %#x, want %#x", tt.name, uint64(tt.got), tt.want)
		}
	}
	if generation != 1 {
		t.Errorf("the generation is %d, want 1", generation)
	}
}

// A program that is in the middle of a listing when another process takes over goes on from the offset that it has.
func TestOffsetsAreForEver(t *testing.T) {
	f := newFake(t)
	f.add(t, "a", nil, func(img *image.Image) { img.Tags = []string{"t"} })
	f.add(t, "a", nil)
	m, err := New(Config{Path: t.TempDir(), Source: f})
	if err != nil {
		t.Fatal(err)
	}
	const one, two = "00000000-0000-4000-8000-abcd00000001", "00000000-0000-4000-8000-abcd00000002"
	for _, tt := range []struct {
		dir   node
		after uint64
		want  string
	}{
		{rootNode, 0, ". 1, .. 2, by-id 17, by-name 18, by-project 19, by-tag 20"},
		{rootNode, 18, "by-project 19, by-tag 20"},
		{dirNode(kindIDs, 0, 0), 0, ". 1, .. 2, " + one + " 17, " + two + " 18"},
		{dirNode(kindIDs, 0, 0), 17, two + " 18"},
		{dirNode(kindIDs, 0, 0), 18, ""},
		{dirNode(kindNames, 0, 0), 2, "a 17"},
		{dirNode(kindTags, 0, 0), 2, "t 18"},
		{dirNode(kindName, 0, 1), 0, ". 1, .. 2, latest 3, " + one + " 17, " + two + " 18"},
		{dirNode(kindName, 0, 1), 3, one + " 17, " + two + " 18"},
		{dirNode(kindProject, 3, 0), 1, ".. 2, by-id 17, by-name 18, by-tag 19"},
		{imageNode(kindImage, 1), 2, "image.raw 17, disk.raw 18, metadata.json 19, sha512sum 20"},
		{imageNode(kindImage, 1), 1 << 62, ""},
	} {
		page, err := m.page(tt.dir, tt.after)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, e := range page {
			got = append(got, fmt.Sprint(e.name, " ", e.off))
		}
		if got := strings.Join(got, ", "); got != tt.want {
			t.Errorf("%#x after %d lists %s, want %s", tt.dir, tt.after, got, tt.want)
		}
	}
}

func TestInodeDoesNotTellHowAFileIsRead(t *testing.T) {
	passed, cached := imageNode(kindPassedData, 9), imageNode(kindData, 9)
	if passed == cached || passed.ino() != cached.ino() || passed.ino() != uint64(cached) {
		t.Errorf("nodes %#x and %#x have inodes %#x and %#x, want two nodes of one inode", passed, cached, passed.ino(), cached.ino())
	}
}

func FuzzNodes(f *testing.F) {
	f.Add(uint8(kindData), int64(1), int64(2), uint64(1))
	f.Add(uint8(kindName), int64(1<<28), int64(-1), ^uint64(0))
	f.Fuzz(func(t *testing.T, k uint8, a, b int64, any uint64) {
		kd := kind(k & 0x7f)
		if n := imageNode(kd, a); n != noNode && (n.kind() != kd || n.number() != a || n>>63 != 0) {
			t.Errorf("image %d of kind %d became node %#x: kind %d, number %d", a, kd, n, n.kind(), n.number())
		} else if n == noNode && a > 0 && a < 1<<56 {
			t.Errorf("image %d has no node", a)
		}
		if n := dirNode(kd, a, b); n != noNode && (n.kind() != kd || n.project() != a || n.label() != b || n>>63 != 0) {
			t.Errorf("project %d, label %d of kind %d became node %#x", a, b, kd, n)
		}
		n := node(any)
		_, isDir := n.dir()
		if _, _, isLabels := n.labels(); isLabels && (isDir || len(fixed(n)) > 0) || isDir && len(fixed(n)) > 0 {
			t.Errorf("node %#x is a directory of several kinds", n)
		}
		if parentOf(n) == noNode || n.ino()&(uint64(passed)<<kindShift) != 0 {
			t.Errorf("node %#x has parent %#x and inode %#x", n, parentOf(n), n.ino())
		}
	})
}
