package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vitrine-image/vitrine/internal/scripttest"
)

// TestMain makes the test binary act as the daemon, too.
func TestMain(m *testing.M) {
	os.Setenv("GORACE", "atexit_sleep_ms=0") // children with the race detector would wait a second at their end
	testscript.Main(m, map[string]func(){"vitrined": main})
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", os.Getenv("GORACE"))
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"expect": scripttest.Expect("vitrined")},
	})
}
