// Package packaging_test builds the packages and looks at them from outside.
package packaging_test

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

var update = flag.Bool("update", false, "write the golden files anew")

// dist holds the packages that every test looks at.
var dist string

func TestMain(m *testing.M) {
	code := m.Run()
	if dist != "" {
		os.RemoveAll(dist)
	}
	os.Exit(code)
}

// build builds packages of this architecture from a checkout.
func build(checkout, out string, env ...string) error {
	cmd := exec.Command(filepath.Join(checkout, "packaging/build"), out)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1795300000", "PACKAGE_VERSION=1.2.3", "ARCHES="+goarch())
	cmd.Env = append(cmd.Env, env...)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, output)
	}
	return nil
}

func goarch() string {
	arch, err := exec.Command("go", "env", "GOHOSTARCH").Output()
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(arch))
}

var packages = sync.OnceValue(func() (err error) {
	if dist, err = os.MkdirTemp("", "packages-"); err != nil {
		return err
	}
	return build("..", dist)
})

// find returns the packages whose names match.
func find(t *testing.T, pattern string) []string {
	t.Helper()
	testservers.Require(t, "packages")
	if err := packages(); err != nil {
		t.Fatal(err)
	}
	found, err := filepath.Glob(filepath.Join(dist, pattern))
	if err != nil || len(found) == 0 {
		t.Fatalf("there are no packages %s (%v)", pattern, err)
	}
	return found
}

// run returns what a program prints, and fails the test when it fails.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// unpack returns a directory with the files of the static package.
func unpack(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	run(t, "dpkg-deb", "-x", find(t, "vitrine_*.deb")[0], root)
	return root
}

// TestContents compares what a package installs, and how it goes with others, with what is expected.
func TestContents(t *testing.T) {
	for name, pattern := range map[string]string{"deb": "vitrine_*.deb", "rpm": "vitrine-1*.rpm"} {
		file := find(t, pattern)[0]
		var list string
		if name == "deb" {
			fields := run(t, "dpkg-deb", "-f", file, "Package", "Version", "Conflicts", "Replaces", "Provides", "Depends")
			files := regexp.MustCompile(`(?m)^(\S+ \S+) .* \./(\S*)$`).ReplaceAllString(run(t, "dpkg-deb", "-c", file), "$1 /$2")
			list = fields + files
		} else {
			list = run(t, "rpm", "-qp", "--conflicts", "--requires", file) +
				run(t, "rpm", "-qp", "--qf", `[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES} %{FILEFLAGS:fflags}\n]`, file)
		}
		golden := filepath.Join("testdata", name+".golden")
		// The pages of documentation are too many to list here.
		list = regexp.MustCompile(`(?m)^.*/(man[158]|doc/vitrine/docs)/.*\n`).ReplaceAllString(list, "")
		if *update {
			if err := os.WriteFile(golden, []byte(list), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if want, err := os.ReadFile(golden); err != nil || string(want) != list {
			t.Errorf("the %s does not hold what is expected (%v); look at: go test ./packaging -run TestContents -update; git diff\n%s", name, err, list)
		}
	}
}

// TestManPages formats every man page, which must go without a warning.
func TestManPages(t *testing.T) {
	root := unpack(t)
	for _, page := range []string{"man1/vitrine.1", "man5/vitrined.toml.5", "man8/vitrined.8", "man8/vitrine-mounter.8", "man8/mount.fuse.vitrine.8"} {
		path := filepath.Join(root, "usr/share/man", page+".gz")
		cmd := exec.Command("sh", "-c", `gzip -dc "$1" | groff -mandoc -Tutf8 -ww -rHY=0 -z`, "sh", path)
		if _, err := exec.LookPath("groff"); err != nil {
			cmd = exec.Command("gzip", "-t", path) // at least it is there
		}
		if out, err := cmd.CombinedOutput(); err != nil || len(bytes.TrimSpace(out)) > 0 {
			t.Errorf("%s: %v\n%s", page, err, out)
		}
	}
}

func TestLintian(t *testing.T) {
	testservers.Require(t, "lintian")
	args := append([]string{"--fail-on", "error,warning", "--tag-display-limit", "0", "--allow-root"}, find(t, "*.deb")...)
	run(t, "lintian", args...)
}

func TestRpmlint(t *testing.T) {
	testservers.Require(t, "rpmlint")
	args := append([]string{"-c", "rpmlint.toml"}, find(t, "*.rpm")...)
	if out := run(t, "rpmlint", args...); !strings.Contains(out, "0 errors, 0 warnings") {
		t.Error(out)
	}
}

// TestReproducible builds once more, in a checkout elsewhere that knows no git, for somebody with other habits.
func TestReproducible(t *testing.T) {
	first := find(t, "vitrine*")
	checkout, again := filepath.Join(t.TempDir(), "elsewhere"), t.TempDir()
	if err := os.Mkdir(checkout, 0o755); err != nil {
		t.Fatal(err)
	}
	copied := exec.Command("sh", "-c", `git ls-files -co --exclude-standard -z | tar --null -T - -cf - | tar -xf - -C "$1"`, "sh", checkout)
	copied.Dir = ".."
	if out, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("copy the checkout: %v\n%s", err, out)
	}
	old := syscall.Umask(0o077)
	err := build(checkout, again, "TZ=Pacific/Auckland", "LC_ALL=C.UTF-8", "CGO_CFLAGS=-O3", "GOFLAGS=-tags=netgo")
	syscall.Umask(old)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range first {
		one, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if two, err := os.ReadFile(filepath.Join(again, filepath.Base(path))); err != nil || !bytes.Equal(one, two) {
			t.Errorf("%s is not the same when it is built again (%v)", filepath.Base(path), err)
		}
	}
}

// TestStaticRunsAlone starts the daemon in a root that holds nothing but the program.
func TestStaticRunsAlone(t *testing.T) {
	testservers.Require(t, "root")
	program := filepath.Join(unpack(t), "usr/sbin/vitrined")
	root, err := os.MkdirTemp("", "root") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) })
	if err := os.Rename(program, filepath.Join(root, "vitrined")); err != nil {
		t.Fatal(err)
	}
	told, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(root, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer told.Close()
	cmd := exec.Command("/vitrined", "--data", "/data", "--listen", "127.0.0.1:0")
	cmd.Env = []string{"NOTIFY_SOCKET=/notify"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Pdeathsig: syscall.SIGKILL}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told.SetReadDeadline(time.Now().Add(time.Minute))
	message := make([]byte, 4096)
	n, err := told.Read(message)
	cmd.Process.Signal(syscall.SIGTERM)
	if ended := cmd.Wait(); err != nil || !bytes.HasPrefix(message[:n], []byte("READY=1")) || ended != nil {
		t.Errorf("the daemon says %q (%v) and ends with %v:\n%s", message[:n], err, ended, out.String())
	}
}

// TestUnits has systemd read the units, and judge what the daemon could do if somebody took it over.
func TestUnits(t *testing.T) {
	testservers.Require(t, "systemd")
	root := unpack(t)
	dir := t.TempDir()
	var units []string
	for _, name := range []string{"vitrined.service", "vitrined.socket", "vitrine-mounter.service"} {
		unit, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system", name))
		if err != nil {
			t.Fatal(err)
		}
		unit = bytes.ReplaceAll(unit, []byte("/usr/sbin/"), []byte(root+"/usr/sbin/")) // where the programs are now
		units = append(units, filepath.Join(dir, name))
		if err := os.WriteFile(units[len(units)-1], unit, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out := run(t, "systemd-analyze", append([]string{"verify", "--man=no"}, units...)...)
	for line := range strings.Lines(out) {
		if strings.Contains(line, "vitrine") {
			t.Error(line)
		}
	}
	run(t, "systemd-analyze", "security", "--offline=true", "--threshold=20", units[0])
	mounter, err := os.ReadFile(units[2])
	if err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile(`(?m)^(Private|Protect|ReadOnly|ReadWrite|Inaccessible|Exec|NoExec|Bind|Mount|Root|Temporary)\w*(Paths|Tmp|Devices|Home|System|Mounts|Kernel\w*|ControlGroups|Hostname|Proc|Network|IPC|Flags|Directory|Image|FileSystem|Clock|Users)=`)
	if line := own.Find(mounter); line != nil {
		t.Errorf("%s gives the mounter a mount namespace of its own, whose mounts nobody sees", line)
	}
}

// TestConfiguration starts with what the package installs as configuration: it is good, and mounts by the helper.
func TestConfiguration(t *testing.T) {
	root := unpack(t)
	path := filepath.Join(root, "etc/vitrine/vitrined.toml")
	run(t, filepath.Join(root, "usr/sbin/vitrined"), "check", "--config", path)
	config, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	set := regexp.MustCompile(`(?m)^[^#\n].*$`).FindAllString(string(config), -1)
	if got, want := strings.Join(set, "; "), `[mount]; path = "/srv/vitrine"; helper = "/run/vitrine/mounter.sock"`; got != want {
		t.Errorf("the configuration sets %s, want %s", got, want)
	}
}

// TestInstalledByRPM installs the rpm into a root of its own, and has rpm compare what is there with the package.
func TestInstalledByRPM(t *testing.T) {
	testservers.Require(t, "root", "rpm")
	file := find(t, "vitrine-1*.rpm")[0]
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, line := range map[string]string{"passwd": "root:x:0:0:root:/root:/bin/sh\n", "group": "root:x:0:\nvitrine:x:990:\n"} {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(line), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	rpm := func(args ...string) string {
		t.Helper()
		return run(t, "rpm", append([]string{"--root", root}, args...)...)
	}
	rpm("--initdb")
	// Its scripts need a shell and systemd, which are not here; that it can be used without shows that all files are its own.
	rpm("-i", "--nodeps", "--noscripts", file)
	if out := rpm("-V", "--nodeps", "--noscripts", "vitrine"); out != "" {
		t.Errorf("rpm finds changes:\n%s", out)
	}
	config := filepath.Join(root, "etc/vitrine/vitrined.toml")
	if err := os.WriteFile(config, []byte("# ours\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	rpm("-U", "--force", "--nodeps", "--noscripts", file)
	if kept, err := os.ReadFile(config); err != nil || string(kept) != "# ours\n" {
		t.Errorf("after an upgrade the configuration is %q, %v", kept, err)
	}
}
