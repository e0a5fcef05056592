package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vitrine-image/vitrine/internal/testservers"
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
	for _, d := range []string{"images", "staging", "tasks"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	// Debian's Python, whatever else is in PATH.
	s, err := testservers.HTTP(ctx, dir, "/usr/bin/python3", func(address string) ([]string, error) {
		config := filepath.Join(dir, "glance-api.conf")
		content := fmt.Sprintf(glanceConfig, dir, address[len("127.0.0.1:"):])
		if err := os.WriteFile(config, []byte(content), 0o644); err != nil {
			return nil, err
		}
		_, err := output(ctx, "/usr/bin/python3", "/usr/bin/glance-manage", "--config-file", config, "db_sync")
		return []string{"/usr/bin/glance-api", "--config-file", config}, err
	})
	if err != nil {
		return nil, fmt.Errorf("glance: %w", err)
	}
	b.atEnd(s.Stop)
	return &server{Server: s, dir: dir}, nil
}
