package testservers

import (
	"context"
	"os"
	"path/filepath"
)

// Varnish runs a cache with the given configuration in VCL; "" means one that stands before backend (host:port) and
// otherwise is Varnish's own. Its files go to dir, whose path must be short enough for a unix socket.
func Varnish(ctx context.Context, dir, backend, vcl string) (*Server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	args := []string{"-F", "-j", "none", "-n", filepath.Join(dir, "varnish"), "-a", address, "-T", "none", "-s", "malloc,64m"}
	if vcl == "" {
		args = append(args, "-b", backend)
	} else {
		path := filepath.Join(dir, "cache.vcl")
		if err := os.WriteFile(path, []byte(vcl), 0o644); err != nil {
			return nil, err
		}
		args = append(args, "-f", path)
	}
	s, err := start(dir, "varnishd", args...)
	if err != nil {
		return nil, err
	}
	s.Address, s.URL = address, "http://"+address
	return s.listening(ctx)
}
