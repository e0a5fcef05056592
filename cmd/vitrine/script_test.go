package main

import (
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/scripttest"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestMain makes the test binary act as the daemon and as the command line, too.
func TestMain(m *testing.M) {
	testdaemon.ServeIfChild()
	os.Setenv("GORACE", "atexit_sleep_ms=0") // children with the race detector would wait a second at their end
	testscript.Main(stopping{m}, map[string]func(){"vitrine": main})
}

// stopping stops what tests have shared.
type stopping struct{ *testing.M }

func (s stopping) Run() int {
	code := s.M.Run()
	if err := testservers.StopShared(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	return code
}

func TestScripts(t *testing.T) { runScripts(t, "testdata/script", nil, nil) }

// TestQEMUScripts runs scripts that ask qemu-img.
func TestQEMUScripts(t *testing.T) {
	testservers.Require(t, "qemu")
	runScripts(t, "testdata/qemu", nil, nil)
}

// runScripts runs each script against a daemon of its own, through a proxy that can break things. The words are replaced in its
// configuration; there may be more commands.
func runScripts(t *testing.T, dir string, words []string, commands map[string]func(ts *testscript.TestScript, neg bool, args []string)) {
	cmds := map[string]func(ts *testscript.TestScript, neg bool, args []string){
		"expect": scripttest.Expect("vitrine"), "fault": cmdFault, "await": cmdAwait, "bytes": cmdBytes, "sparse": cmdSparse,
	}
	maps.Copy(cmds, commands)
	testscript.Run(t, testscript.Params{
		Dir: dir,
		Setup: func(env *testscript.Env) error {
			dir := env.WorkDir + "/daemon"
			if err := os.Mkdir(dir, 0o755); err != nil {
				return err
			}
			config, err := os.ReadFile(env.WorkDir + "/daemon.toml") // which some scripts have
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			d, err := testdaemon.Launch(testdaemon.Config{Dir: dir, TOML: strings.NewReplacer(append(words, "/DIR", dir)...).Replace(string(config))})
			if err != nil {
				return err
			}
			web := httptest.NewServer(http.FileServer(http.Dir(env.WorkDir)))
			env.Setenv("WEB", web.URL)
			proxy := newFaultProxy(d.Endpoint)
			front := httptest.NewServer(proxy)
			env.Defer(func() {
				proxy.set("none", 0) // lets go of what it holds
				front.Close()
				web.Close()
				if err := d.Stop(); err != nil {
					env.T().Fatal(err, "\n", d.Log())
				}
			})
			env.Setenv("VITRINE_ENDPOINT", front.URL)
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("GORACE", os.Getenv("GORACE"))
			env.Values[proxyKey{}] = proxy
			return nil
		},
		Cmds: cmds,
	})
}

type proxyKey struct{}

// cmdFault breaks what comes next: fault KIND [N]. See faultProxy.
func cmdFault(ts *testscript.TestScript, neg bool, args []string) {
	n := 0
	if len(args) == 2 {
		var err error
		n, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	if neg || len(args) == 0 || len(args) > 2 || !ts.Value(proxyKey{}).(*faultProxy).set(args[0], int64(n)) {
		ts.Fatalf("usage: fault none|cut|flip|hold|status [N]")
	}
}

// cmdAwait waits until the proxy holds a transfer: await; or until a save has kept N bytes: await N.
func cmdAwait(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 1 {
		ts.Fatalf("usage: await [N]")
	}
	if len(args) == 0 {
		<-ts.Value(proxyKey{}).(*faultProxy).held
		return
	}
	want, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	dir := ts.MkAbs(".")
	watch, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	ts.Check(err)
	defer unix.Close(watch)
	_, err = unix.InotifyAddWatch(watch, dir, unix.IN_CREATE|unix.IN_MODIFY)
	ts.Check(err)
	for events := make([]byte, 4096); ; {
		parts, err := filepath.Glob(filepath.Join(dir, ".*.part"))
		ts.Check(err)
		for _, path := range parts {
			if info, err := os.Stat(path); err == nil && info.Size() >= want {
				return
			}
		}
		_, err = unix.Read(watch, events)
		ts.Check(err)
	}
}

// cmdBytes makes a file: bytes FILE PART..., where a part is text, or N random bytes as rand:N, or N zeros as zero:N.
// $SHA512 is its hash then.
func cmdBytes(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 {
		ts.Fatalf("usage: bytes FILE PART...")
	}
	var data []byte
	source := rand.NewChaCha8([32]byte{7})
	for _, part := range args[1:] {
		kind, count, _ := strings.Cut(part, ":")
		n, err := strconv.Atoi(count)
		switch {
		case kind == "rand" && err == nil:
			b := make([]byte, n)
			source.Read(b)
			data = append(data, b...)
		case kind == "zero" && err == nil:
			data = append(data, make([]byte, n)...)
		default:
			text, err := strconv.Unquote(`"` + part + `"`)
			ts.Check(err)
			data = append(data, text...)
		}
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), data, 0o644))
	sum := sha512.Sum512(data)
	ts.Setenv("SHA512", hex.EncodeToString(sum[:]))
}

// cmdSparse checks that a file takes at most N bytes on the disk: sparse FILE N.
func cmdSparse(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: sparse FILE N")
	}
	limit, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	var st syscall.Stat_t
	ts.Check(syscall.Stat(ts.MkAbs(args[0]), &st))
	if taken := st.Blocks * 512; taken > limit != neg {
		ts.Fatalf("%s takes %s bytes on the disk", args[0], fmt.Sprint(taken))
	}
}
