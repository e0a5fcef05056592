package filestore

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"golang.org/x/sys/unix"
)

// crashVariable makes this program a child that dies in a Put. It holds the directory, the image's id, the step, and
// how the file gets its name.
const crashVariable = "FILESTORE_TEST_CRASH"

func crash() {
	var dir, id, kind string
	var n int
	if _, err := fmt.Sscan(os.Getenv(crashVariable), &dir, &id, &n, &kind); err != nil {
		panic(err)
	}
	s, err := tryOpen(Config{}, dir)
	if err != nil {
		panic(err)
	}
	s.fault = func(step string, do func() error) error {
		if n--; n == 0 {
			unix.Kill(os.Getpid(), unix.SIGKILL)
			select {}
		}
		switch kind {
		case "named":
			return withoutUnnamed(step, do)
		case "moved":
			return withoutLinks(step, do)
		}
		return do()
	}
	obj := imagestore.Object{ImageID: image.ID(id), Name: id}
	if _, err := s.Put(context.Background(), obj, storetest.NewSource(storetest.Random(10_000), 5000)); err != nil {
		panic(err)
	}
	os.Exit(0)
}

// Whatever step a process dies at, the sweep and the removal of the object that the reservation names leave nothing.
func TestKilledInAPut(t *testing.T) {
	for _, kind := range []string{"unnamed", "named", "moved"} {
		dir := t.TempDir()
		openIn(t, Config{}, dir).Close()
		swept := 0
		for n := 1; ; n++ {
			id := image.NewID()
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %d %s", crashVariable, dir, id, n, kind))
			out, err := cmd.CombinedOutput()
			if err != nil && !strings.Contains(err.Error(), "signal: killed") {
				t.Fatalf("child: %v: %s", err, out)
			}
			s := openIn(t, Config{}, dir)
			removed, sweepErr := s.Sweep(t.Context())
			if swept += removed; sweepErr != nil {
				t.Error(sweepErr)
			}
			if err := s.Delete(t.Context(), s.Locate(imagestore.Object{ImageID: id, Name: string(id)})); err != nil {
				t.Error(err)
			}
			checkEmpty(t, s, fmt.Sprintf("%s, died before step %d", kind, n))
			s.Close()
			if err == nil {
				break // it came to its end
			}
		}
		if (kind != "unnamed") != (swept > 0) {
			t.Errorf("%s: the sweeps removed %d files", kind, swept)
		}
	}
}
