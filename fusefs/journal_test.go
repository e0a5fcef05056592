package fusefs

import (
	"fmt"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/mounter"
)

// A successor of another version reads what this one wrote.
func TestJournalIsLaidOutForEver(t *testing.T) {
	var h journalHead
	var f openFile
	got := fmt.Sprint(unsafe.Offsetof(h.version), unsafe.Offsetof(h.state), unsafe.Offsetof(h.used), unsafe.Offsetof(h.size), unsafe.Offsetof(h.answer),
		unsafe.Offsetof(h.numbers), unsafe.Offsetof(h.view), unsafe.Offsetof(h.applied), unsafe.Offsetof(f.node), unsafe.Offsetof(f.handle),
		unsafe.Offsetof(f.backing), unsafe.Offsetof(f.inUse), slotSize, mounter.StateHead, headSize, mounter.StateSize)
	if want := "0 4 8 12 16 144 176 208 0 8 16 20 32 512 4096 67108864"; got != want {
		t.Errorf("the journal is laid out as %s, was %s", got, want)
	}
}

// TestJournalIsFoundAgain opens and closes files, some of them twice as when a request comes again, and looks at what a successor finds.
func TestJournalIsFoundAgain(t *testing.T) {
	fd, err := unix.MemfdCreate("journal", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, mounter.StateSize); err != nil {
		t.Fatal(err)
	}
	a, b := imageNode(kindPassedData, 1), imageNode(kindRawView, 2)
	reopen := func() *journal {
		t.Helper()
		j, err := openJournal(fd)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(j.close)
		return j
	}
	open := func(j *journal, n node, handle uint64, backing int32, want bool) {
		t.Helper()
		if known, err := j.opened(n, handle, backing); known != want || err != nil {
			t.Errorf("opened %d: known %v, %v, want %v", handle, known, err, want)
		}
	}
	j := reopen()
	if j.reply() != nil {
		t.Errorf("a new journal has the answer %q", j.reply())
	}
	if err := j.note([]byte("answer")); err != nil {
		t.Fatal(err)
	}
	open(j, a, 10, 7, false)
	open(j, a, 12, 7, false)
	open(j, b, 14, 0, false)
	open(j, a, 12, 7, true)
	if left, ok := j.closed(10); !ok || left != (openNode{1, 7}) {
		t.Errorf("closed = %v, %v, want one left", left, ok)
	}
	if _, ok := j.closed(10); ok {
		t.Error("a file was closed twice")
	}
	j = reopen()
	if got := fmt.Sprint(string(j.reply()), len(j.open()), j.of(a), j.of(b)); got != "answer2 {1 7} {1 0}" {
		t.Errorf("the successor finds %s", got)
	}
	open(j, b, 14, 0, true)
	open(j, b, 16, 0, false) // where the first one was
	if left, ok := j.closed(12); !ok || left != (openNode{0, 7}) {
		t.Errorf("closed = %v, %v, want none left", left, ok)
	}
	j = reopen()
	if got := fmt.Sprint(len(j.open()), j.of(a), j.of(b), j.head.used.Load()); got != "1 {0 0} {2 0} 3" {
		t.Errorf("the next successor finds %s", got)
	}
}
