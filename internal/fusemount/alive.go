package fusemount

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Whether a mount has a server shows only when it is asked something, and whoever asks may wait for ever, in a state
// that no signal ends. So a process of its own asks: this program again, under a name that init knows it by.
const (
	askerName = "vitrine: is the mount alive?"
	answers   = 0
	isDead    = 3
)

// askPatience is how long a mount may take to answer. One that takes longer has a server, though a slow one.
const askPatience = 5 * time.Second

func init() {
	if len(os.Args) == 4 && os.Args[0] == askerName {
		os.Exit(ask(os.Args[1], os.Args[2], os.Args[3]))
	}
}

// ask sends the one request that the kernel never answers by itself. Root asks as the user who mounted: to others the
// kernel says the same of a live and of a dead mount.
func ask(path, uid, gid string) int {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return answers
	}
	if unix.Geteuid() == 0 {
		u, uidErr := strconv.Atoi(uid)
		g, gidErr := strconv.Atoi(gid)
		if uidErr != nil || gidErr != nil || unix.Setresgid(g, g, g) != nil || unix.Setresuid(u, u, u) != nil {
			return answers
		}
	}
	var st unix.Statfs_t
	switch unix.Fstatfs(fd, &st) {
	case unix.ENOTCONN, unix.ECONNABORTED:
		return isDead
	}
	return answers // even an error comes from somebody, or hides who is there
}

// alive tells whether a process serves the mount. When that cannot be found out it is taken to be served:
// the guests of a live mount would lose their disks.
func alive(m Mounted) bool {
	cmd := exec.Command("/proc/self/exe", m.Path, strconv.Itoa(m.UID), strconv.Itoa(m.GID))
	cmd.Args[0], cmd.Dir, cmd.Env = askerName, "/", []string{}
	ended := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		return true
	}
	go func() { ended <- cmd.Wait() }() // may outlive us all, while the kernel waits for the mount
	patience := time.NewTimer(askPatience)
	defer patience.Stop()
	select {
	case err := <-ended:
		var exit *exec.ExitError
		return !errors.As(err, &exit) || exit.ExitCode() != isDead
	case <-patience.C:
		cmd.Process.Kill()
		return true
	}
}
