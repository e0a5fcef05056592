package testservers

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// QSD lets qemu-storage-daemon show the disk in an image of a format as a file in its own FUSE mount, read-only, and returns
// the path of that file in dir. What reads it must be another process than this one, since Stop waits for the mount to go.
func QSD(ctx context.Context, dir, image, format string) (s *Server, file string, err error) {
	file = filepath.Join(dir, "export.raw")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		return nil, "", err
	}
	comma := func(path string) string { return strings.ReplaceAll(path, ",", ",,") }
	// Options take effect in their order: the greeting of the monitor says that the export is there.
	s, err = start(dir, "qemu-storage-daemon",
		"--blockdev", "driver="+format+",node-name=disk,read-only=on,file.driver=file,file.filename="+comma(image),
		"--export", "type=fuse,id=export,node-name=disk,writable=off,mountpoint="+comma(file),
		"--chardev", "stdio,id=monitor", "--monitor", "chardev=monitor")
	if err != nil {
		return nil, "", err
	}
	s.atStop = func() error {
		if err := unix.Unmount(file, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return err // EINVAL: it has unmounted itself
		}
		return nil
	}
	s, err = s.ready(ctx, func() bool {
		said, err := os.ReadFile(s.log)
		return err == nil && bytes.Contains(said, []byte(`"QMP"`))
	})
	return s, file, err
}
