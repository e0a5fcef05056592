package testservers

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
)

//go:embed servekeystone.py
var keystoneProgram []byte

// A Keystone is a real Keystone on SQLite, with the roles admin, member, reader and service, and one user admin with a
// project admin in the domain default. What fills it with users and projects is in identity.go.
type Keystone struct {
	*Server
	AuthURL  string // its URL with /v3
	Password string // of the user admin

	dir   string
	mu    sync.Mutex
	admin *gophercloud.ServiceClient // made by Admin
}

// StartKeystone runs a new Keystone, whose files go to dir.
func StartKeystone(ctx context.Context, dir string) (*Keystone, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	keys := filepath.Join(dir, "keys")
	if err := os.Mkdir(keys, 0o700); err != nil {
		return nil, err
	}
	for _, name := range []string{"0", "1"} { // what keystone-manage fernet_setup writes, two seconds faster
		secret := make([]byte, 32)
		rand.Read(secret)
		if err := os.WriteFile(filepath.Join(keys, name), []byte(base64.URLEncoding.EncodeToString(secret)), 0o600); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "servekeystone.py"), keystoneProgram, 0o600); err != nil {
		return nil, err
	}
	k := &Keystone{AuthURL: "http://" + address + "/v3", Password: rand.Text(), dir: dir}
	if err := k.run(ctx, address, time.Hour); err != nil {
		return nil, err
	}
	return k, nil
}

// Restart starts it again after Stop: at the same address, with all it knew. Tokens issued from now on live as long as
// it says.
func (k *Keystone) Restart(ctx context.Context, tokensLive time.Duration) error {
	return k.run(ctx, k.Address, tokensLive)
}

func (k *Keystone) run(ctx context.Context, address string, tokensLive time.Duration) error {
	s, err := start(k.dir, "/usr/bin/python3", "servekeystone.py", address, k.Password, strconv.Itoa(int(tokensLive.Seconds())))
	if err != nil {
		return err
	}
	s.Address, s.URL = address, "http://"+address
	s, err = s.ready(ctx, func() bool {
		resp, err := http.Get(k.AuthURL)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if err != nil {
		return fmt.Errorf("%w (see also %s)", err, filepath.Join(k.dir, "keystone.log"))
	}
	k.Server = s
	return nil
}

// sharedKeystone is the Keystone of all tests of this process.
var sharedKeystone = shared[Keystone]{name: "keystone", start: StartKeystone, stop: func(k *Keystone) error {
	if k.Server == nil { // a test stopped it
		return nil
	}
	return k.Stop()
}}

// SharedKeystone returns the Keystone that the tests of a package share, and starts it for the first of them; the
// package's TestMain calls StopShared. A test that stops it starts it again.
func SharedKeystone(t testing.TB) *Keystone {
	t.Helper()
	return sharedKeystone.get(t)
}
