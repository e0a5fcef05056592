package crashfs

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A script drives a tree by short commands, so that the rules can be told in a table.
type script struct {
	t *testing.T
	*tree
}

func (s script) find(path string) *inode {
	n := s.root
	for _, name := range strings.Split(path, "/") {
		if name != "" {
			n = n.entries[name].to
		}
	}
	return n
}

func (s script) split(path string) (dir uint64, name string) {
	i := strings.LastIndexByte(path, '/')
	return s.find(path[:max(i, 0)]).number, path[i+1:]
}

func (s script) run(command string) {
	s.t.Helper()
	words := strings.Fields(command)
	dir, name := s.split(words[1])
	var err error
	switch words[0] {
	case "create":
		_, err = s.create(dir, name, unix.S_IFREG|0o644, 0, 0)
	case "mkdir":
		_, err = s.create(dir, name, unix.S_IFDIR|0o755, 0, 0)
	case "write":
		err = s.write(s.find(words[1]).number, write{off: s.find(words[1]).now.size, data: []byte(words[2])})
	case "truncate":
		err = s.write(s.find(words[1]).number, write{})
	case "sync":
		err = s.sync(s.find(words[1]).number)
	case "link":
		to, toName := s.split(words[2])
		_, err = s.link(s.find(words[1]).number, to, toName)
	case "rename":
		to, toName := s.split(words[2])
		err = s.rename(dir, name, to, toName, 0)
	case "remove":
		err = s.remove(dir, name, s.find(words[1]).isDir())
	default:
		s.t.Fatalf("unknown command %q", command)
	}
	if err != nil {
		s.t.Fatalf("%s: %v", command, err)
	}
}

// show lists files as path=content and directories as path/.
func show(n *inode, prefix string) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		child := n.entries[name].to
		if child.isDir() {
			all = append(append(all, prefix+name+"/"), show(child, prefix+name+"/")...)
			continue
		}
		b := make([]byte, child.now.size)
		child.now.readAt(b, 0)
		all = append(all, fmt.Sprintf("%s%s=%s", prefix, name, b))
	}
	return all
}

func TestWhatSurvives(t *testing.T) {
	for _, tt := range []struct {
		name, script     string
		drop, tear, keep string
	}{
		{"nothing was synced",
			"create a; write a 1234", "", "a=12", "a=1234"},
		{"bytes without a name",
			"create a; write a 1234; sync a", "", "a=1234", "a=1234"},
		{"a name without bytes",
			"create a; write a 1234; sync /", "a=", "a=12", "a=1234"},
		{"both, and a write after it",
			"create a; write a 1234; sync a; sync /; write a 56; write a 78", "a=1234", "a=1234567", "a=12345678"},
		{"a truncation that is not synced",
			"create a; write a 1234; sync a; sync /; truncate a", "a=1234", "a=", "a="},
		{"a removal that is not synced",
			"create a; write a 1234; sync a; sync /; remove a", "a=1234", "", ""},
		{"a synced removal",
			"create a; sync a; sync /; remove a; sync /", "", "", ""},
		{"a directory whose own name is not synced",
			"mkdir d; create d/a; write d/a 12; sync d/a; sync d", "", "d/ d/a=12", "d/ d/a=12"},
		{"a directory whose names are not synced",
			"mkdir d; sync /; create d/a; write d/a 12; sync d/a", "d/", "d/ d/a=12", "d/ d/a=12"},
		{"a rename over a file, not synced",
			"create a; write a old; sync a; sync /; create b; write b new; sync b; rename b a", "a=old", "a=new", "a=new"},
		{"a rename over a file, synced",
			"create a; write a old; sync a; sync /; create b; write b new; sync b; rename b a; sync /", "a=new", "a=new", "a=new"},
		{"a rename between directories, the new one synced",
			"mkdir d; mkdir e; sync /; create d/a; sync d; rename d/a e/a; sync e", "d/ e/ e/a=", "d/ e/ e/a=", "d/ e/ e/a="},
		{"a rename takes what it builds upon",
			"mkdir d; mkdir e; sync /; create d/a; create d/b; rename d/a e/a; sync e", "d/ e/ e/a=", "d/ d/b= e/ e/a=", "d/ d/b= e/ e/a="},
		{"a second name",
			"create a; sync a; sync /; mkdir d; sync /; link a d/b; write a 12; sync a; sync d; remove a", "a=12 d/ d/b=12", "d/ d/b=12", "d/ d/b=12"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := script{t, newTree()}
			for command := range strings.SplitSeq(tt.script, "; ") {
				s.run(command)
			}
			for mode, want := range map[Mode]string{Drop: tt.drop, Tear: tt.tear, Keep: tt.keep} {
				if got := strings.Join(show(s.survive(Cut{Mode: mode}).root, ""), " "); got != want {
					t.Errorf("%s leaves %q, want %q", mode, got, want)
				}
			}
		})
	}
}

// Scatter must be able to leave every subset, and must leave the same one for the same seed.
func TestScatterLeavesSubsets(t *testing.T) {
	s := script{t, newTree()}
	for _, command := range []string{"create a", "create b", "sync /", "write a 1", "write b 2", "remove b"} {
		s.run(command)
	}
	outcomes := map[string]bool{}
	for seed := range uint64(200) {
		outcome := strings.Join(show(s.survive(Cut{Mode: Scatter, Seed: seed}).root, ""), " ")
		if again := strings.Join(show(s.survive(Cut{Mode: Scatter, Seed: seed}).root, ""), " "); again != outcome {
			t.Fatalf("seed %d leaves %q, then %q", seed, outcome, again)
		}
		outcomes[outcome] = true
	}
	for _, want := range []string{"a= b=", "a=1 b=", "a= b=2", "a=1 b=2", "a=", "a=1"} {
		if !outcomes[want] {
			t.Errorf("200 seeds never left %q", want)
		}
	}
}

func TestScatterTearsBySectors(t *testing.T) {
	s := script{t, newTree()}
	s.run("create a")
	s.run("sync /")
	s.run("write a " + strings.Repeat("x", 4*sectorSize))
	torn := 0
	for seed := range uint64(100) {
		n := s.survive(Cut{Mode: Scatter, Seed: seed}).root.entries["a"].to
		b := make([]byte, n.now.size)
		n.now.readAt(b, 0)
		for sector := range slices.Chunk(b, sectorSize) {
			if c := strings.Count(string(sector), "x"); c != 0 && c != len(sector) {
				t.Fatalf("seed %d leaves %d bytes of a sector", seed, c)
			}
		}
		if x := strings.Count(string(b), "x"); x > 0 && x < 4*sectorSize {
			torn++
		}
	}
	if torn == 0 {
		t.Error("100 seeds never tore the write")
	}
}

func TestCutComesBeforeTheStep(t *testing.T) {
	s := script{t, newTree()}
	if err := s.arm(Cut{Mode: Drop, Step: 2}); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"create a", "write a 1", "sync a", "write a 2"} {
		s.run(command)
	}
	if err := s.sync(s.root.number); err != unix.EIO {
		t.Errorf("the second sync = %v, want EIO", err)
	}
	if err := s.write(s.find("a").number, write{data: []byte("3")}); err != unix.EIO {
		t.Errorf("a write after the cut = %v, want EIO", err)
	}
	if want := (Counts{Steps: 2, Ops: 5, Cut: true}); s.counts != want {
		t.Errorf("counts = %+v, want %+v", s.counts, want)
	}
	if got := show(s.outcome.root, ""); len(got) != 0 {
		t.Errorf("%q survived a name that was not synced", got)
	}
}
