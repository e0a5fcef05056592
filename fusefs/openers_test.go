package fusefs

import (
	"fmt"
	"os"
	"testing"
)

// TestOpeners has a process open two files of an image, one of them by the kernel itself.
func TestOpeners(t *testing.T) {
	f := newFake(t)
	img := f.add(t, "x", someBytes(4096))
	other := f.add(t, "y", someBytes(4096))
	s := serve(t, f)
	c := startChild(t)
	first := c.open(s.in("by-id", string(img.ID), "disk.raw"))
	second := c.open(s.in("by-id", string(img.ID), "image.raw"))
	got := s.Openers(img.Number)
	if len(got) == 0 || got[0].Since.IsZero() {
		t.Fatalf("Openers = %+v", got)
	}
	for _, o := range got {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d", c.cmd.Process.Pid, o.PID)); err != nil {
			t.Errorf("%d is none of the threads of the process that opened it: %v", o.PID, err)
		}
	}
	if got := s.Openers(other.Number); len(got) > 0 {
		t.Errorf("Openers of another image = %+v", got)
	}
	c.close(first)
	if len(s.Openers(img.Number)) == 0 {
		t.Error("after one of two closes nobody has it open")
	}
	c.close(second)
	s.waitClosed(img)
	if got := s.Openers(img.Number); len(got) > 0 {
		t.Errorf("Openers when it is closed = %+v", got)
	}
}
