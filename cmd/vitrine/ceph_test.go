//go:build ceph

package main

import (
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestCephScripts runs scripts against daemons with a store in Ceph. The command rbd in them is the administrator's.
func TestCephScripts(t *testing.T) {
	c := testservers.SharedCeph(t)
	runScripts(t, "testdata/ceph", []string{"/CONF", c.Conf, "/KEYRING", c.Keyring("cloner")},
		map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"rbd": func(ts *testscript.TestScript, neg bool, args []string) {
				for i, arg := range args {
					if arg == "FILE" {
						args[i] = ts.MkAbs("volume")
					}
				}
				out, err := c.RBD(t.Context(), "admin", args...)
				ts.Logf("%s", out)
				if neg != (err != nil) {
					ts.Fatalf("rbd: %v", err)
				}
			},
		})
}
