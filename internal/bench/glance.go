package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// glanceConfig is Glance without authentication on SQLite and one directory.
const glanceConfig = `[DEFAULT]
bind_host = 127.0.0.1
bind_port = %[2]s
workers = 2
enabled_backends = fast:file
[database]
connection = sqlite:///%[1]s/glance.db
[paste_deploy]
flavor =
config_file = /usr/share/glance-common/glance-api-paste.ini
[glance_store]
default_backend = fast
[fast]
filesystem_store_datadir = %[1]s/images
[os_glance_staging_store]
filesystem_store_datadir = %[1]s/staging
[os_glance_tasks_store]
filesystem_store_datadir = %[1]s/tasks
`

// glance starts Debian's Glance with its files in dir.
func (b *bench) glance(ctx context.Context, dir string) (*server, error) {
	if b.peer != "glance" {
		return nil, fmt.Errorf("no way to start the peer %q is known, only glance", b.peer)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "glance-api.conf")
	content := fmt.Sprintf(glanceConfig, dir, address[len("127.0.0.1:"):])
	for _, d := range []string{"images", "staging", "tasks"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if err := os.WriteFile(config, []byte(content), 0o644); err != nil {
		return nil, err
	}
	// Debian's Python, whatever else is in PATH.
	if _, err := output(ctx, "/usr/bin/python3", "/usr/bin/glance-manage", "--config-file", config, "db_sync"); err != nil {
		return nil, err
	}
	s := &server{url: "http://" + address, dir: dir, cmd: exec.Command("/usr/bin/python3", "/usr/bin/glance-api", "--config-file", config)}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(errors.New("glance"), err)
	}
	b.atEnd(s.stop)
	return s, nil
}
