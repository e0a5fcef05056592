package fusemount

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestErrorsTellWhatToDo(t *testing.T) {
	dev := func(err error) error { return &os.PathError{Op: "open", Path: "/dev/fuse", Err: err} }
	for _, tt := range []struct {
		err  error
		want string
	}{
		{dev(unix.ENOENT), "there is no /dev/fuse"},
		{dev(unix.EACCES), "this user may not open /dev/fuse"},
		{dev(unix.ENODEV), "load the kernel module fuse"},
		{&os.PathError{Op: "mount", Path: "/x", Err: unix.EPERM}, "run as root"},
		{&os.PathError{Op: "mount", Path: "/x", Err: unix.EINVAL}, "the kernel refused"},
	} {
		if got := Explain("/x", tt.err); !strings.Contains(got.Error(), tt.want) || !errors.Is(got, tt.err) {
			t.Errorf("Explain(%v) = %v, want %q in it", tt.err, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(`36 35 0:98 / /srv/a\040b\134 ro,nosuid shared:1 - fuse.vitrine vitrine ro,user_id=0`)
	f.Add(`36 35 98 / - `)
	f.Fuzz(func(t *testing.T, line string) {
		if m, ok := parse(line); ok && m.Type == "" {
			t.Errorf("parse(%q) = %+v", line, m)
		}
	})
}

func TestParse(t *testing.T) {
	got, ok := parse(`36 35 0:98 / /srv/a\040b\134c\ ro,nosuid shared:1 - fuse.vitrine vitrine ro,user_id=7,group_id=8,max_read=9`)
	if want := (Mounted{`/srv/a b\c\`, "fuse.vitrine", 98, 7, 8}); !ok || got != want {
		t.Errorf("parseMount = %+v, %v, want %+v", got, ok, want)
	}
}
