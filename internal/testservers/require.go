// Package testservers finds the real programs that tests and benchmarks run against (caches, web servers, QEMU, the
// openstack client) and runs them as child processes: on free ports of 127.0.0.1, in directories of their own, killed
// by pid. Start reading at Require; each server has a file.
package testservers

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// needs tells for each name that Require knows what is missing here, nil when nothing is.
var needs = map[string]func() error{
	"fuse":         canMount,
	"passthrough":  canPass,
	"qemu":         programs("qemu-system-x86_64", "qemu-img"),
	"guest":        programs("apt-get", "dpkg-deb", "depmod", "busybox", "mformat", "mcopy", "syslinux", "mke2fs"),
	"qsd":          programs("qemu-storage-daemon"),
	"varnish":      programs("varnishd", "gcc"),
	"nginx":        programs("nginx"),
	"openstack":    programs(openstackProgram),
	"glance":       programs("/usr/bin/glance"),
	"glanceserver": programs("/usr/bin/glance-api", "/usr/bin/glance-manage"),
	"mariadb":      programs("mariadbd", "mariadb-install-db", "mariadb"),
	"tempest":      programs("/usr/bin/tempest"),
	"keystone":     programs("/usr/bin/keystone-manage", "/usr/bin/gunicorn"),
	"ceph":         programs("ceph-mon", "ceph-mgr", "ceph-osd", "monmaptool", "ceph", "rbd"),
	"openssl":      programs("openssl"),
	"jq":           programs("jq"),
	"python3":      programs("/usr/bin/python3"),
	"cursive":      library("cursive"),
	"glanceclient": library("glanceclient"),
	"openstacksdk": library("openstack"),
	"bzip2":        programs("bzip2"),
	"xz":           programs("xz"),
	"lz4":          programs("lz4"),
	"fusermount":   programs("fusermount3"),
	"ext4":         programs("mkfs.ext4"),
	"xfs":          programs("mkfs.xfs"),
	"packages":     programs("dpkg-deb", "git", "gcc", "rpm"),
	"lintian":      programs("lintian"),
	"rpm":          programs("rpm"),
	"rpmlint":      programs("rpmlint"),
	"systemd":      programs("systemd-analyze"),
	"promtool":     programs("promtool"),
	"libvirt":      libvirtSchemas,
	"root":         isRoot,
}

// notInAll is what "all" in VITRINE_TEST_REQUIRE does not stand for, since no package gives it: rights and a kernel.
var notInAll = []string{"root", "passthrough"}

// Require skips the test when one of the named things is missing here and says which. If VITRINE_TEST_REQUIRE names
// it (a list with commas, or "all"), the test fails instead; "-name" in that list skips all tests that need it. The names
// are: fuse (mounts), passthrough (the kernel reads files of a mount by itself), qemu, guest (what guestimage.Build
// needs), qsd (qemu-storage-daemon), varnish, nginx, openstack (the client), glance (the other one), glanceserver, mariadb, keystone, tempest,
// ceph (its daemons and commands), openssl and jq (their commands), python3 (Debian's), its libraries cursive (verifies signatures),
// glanceclient and openstacksdk, bzip2, xz, fusermount (for
// who is not root), ext4 and xfs (mkfs), packages (what builds them), lintian, rpm, rpmlint, systemd (its programs; it need not run),
// promtool (of Prometheus), libvirt (its schemas), root.
func Require(t testing.TB, names ...string) {
	t.Helper()
	list := os.Getenv("VITRINE_TEST_REQUIRE")
	for _, name := range names {
		missing, known := needs[name]
		if !known {
			t.Fatalf("testservers knows no %q", name)
		}
		err := missing()
		switch {
		case slices.Contains(strings.Split(list, ","), "-"+name):
			t.Skipf("%s: VITRINE_TEST_REQUIRE says to do without", name)
		case err == nil:
		case required(name, list):
			t.Fatalf("%s is required by VITRINE_TEST_REQUIRE: %v", name, err)
		default:
			t.Skipf("%s: %v", name, err)
		}
	}
}

func required(name, list string) bool {
	names := strings.Split(list, ",")
	return slices.Contains(names, name) || slices.Contains(names, "all") && !slices.Contains(notInAll, name)
}

// Program finds an executable, in the administrator's directories too, which are not in everybody's PATH.
func Program(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed (make deps-test installs it)", name)
}

func programs(names ...string) func() error {
	return func() error {
		for _, name := range names {
			if _, err := Program(name); err != nil {
				return err
			}
		}
		return nil
	}
}

// LibvirtSchemas is where libvirt has the schemas of its documents.
const LibvirtSchemas = "/usr/share/libvirt/schemas"

func libvirtSchemas() error {
	if _, err := os.Stat(LibvirtSchemas + "/domain.rng"); err != nil {
		return errors.New("the schemas of libvirt are not installed (make deps-test installs them)")
	}
	return programs("xmllint")()
}

// library finds a library of Debian's python3.
func library(name string) func() error {
	return func() error {
		if _, err := os.Stat("/usr/lib/python3/dist-packages/" + name); err != nil {
			return fmt.Errorf("the library %s of python3 is not installed (make deps-test installs it)", name)
		}
		return programs("/usr/bin/python3")()
	}
}

func canMount() error {
	f, err := os.OpenFile("/dev/fuse", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	f.Close()
	if os.Geteuid() == 0 {
		return isRoot()
	}
	_, err = Program("fusermount3")
	return err
}

// canPass tells what keeps this process from passthrough. Where nothing does, a mount without it is a failure.
func canPass() error {
	if err := isRoot(); err != nil {
		return err
	}
	const first = "user:[4026531837]" // PROC_USER_INIT_INO of the kernel; root of another one may not register files
	if ns, err := os.Readlink("/proc/self/ns/user"); err != nil || ns != first {
		return fmt.Errorf("root of a user namespace has no passthrough (%s, %v)", ns, err)
	}
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return fmt.Errorf("uname: %w", err)
	}
	release := unix.ByteSliceToString(name.Release[:])
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return fmt.Errorf("kernel release %q: %w", release, err)
	}
	if major < 6 || major == 6 && minor < 9 {
		return fmt.Errorf("kernel %s has no passthrough, Linux 6.9 is the first", release)
	}
	return nil
}

func isRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("the test does not run as root")
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if data[0].Effective&(1<<unix.CAP_SYS_ADMIN) == 0 {
		return errors.New("root lacks CAP_SYS_ADMIN here")
	}
	return nil
}

// Rounds returns how often a test that could go on for ever does so: VITRINE_ROUNDS, or what is enough for every run.
func Rounds(t testing.TB, usual int) int {
	t.Helper()
	s := os.Getenv("VITRINE_ROUNDS")
	if s == "" {
		return usual
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		t.Fatalf("VITRINE_ROUNDS=%q is no number of rounds", s)
	}
	return n
}
