package testservers

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// nginxConfig serves files as fast as nginx can: sendfile, one worker, no log. Every path that Debian's nginx would
// take from /var lies in the directory.
const nginxConfig = `daemon off;
pid %[1]s/nginx.pid;
error_log stderr;
worker_processes 1;
%[4]s
events {}
http {
	access_log off;
	sendfile on;
	tcp_nopush on;
	default_type application/octet-stream;
	client_body_temp_path %[1]s/tmp;
	proxy_temp_path %[1]s/tmp;
	fastcgi_temp_path %[1]s/tmp;
	uwsgi_temp_path %[1]s/tmp;
	scgi_temp_path %[1]s/tmp;
	server {
		listen %[2]s;
		root %[3]s;
	}
}
`

// Nginx serves the files below root. Its own files go to dir.
func Nginx(ctx context.Context, dir, root string) (*Server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;" // temporary directories are closed to others
	}
	config := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, address, root, user), 0o644); err != nil {
		return nil, err
	}
	s, err := start(dir, "nginx", "-e", "stderr", "-p", dir, "-c", config)
	if err != nil {
		return nil, err
	}
	s.Address, s.URL = address, "http://"+address
	return s.listening(ctx)
}
