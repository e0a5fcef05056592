package testservers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// glanceConf is Glance without authentication and with directories for files.
const glanceConf = `[DEFAULT]
bind_host = 127.0.0.1
workers = 2
enabled_backends = %[3]s
[database]
connection = %[2]s
[paste_deploy]
flavor =
config_file = /usr/share/glance-common/glance-api-paste.ini
[glance_store]
default_backend = fast
[fast]
filesystem_store_datadir = %[1]s/images
[slow]
filesystem_store_datadir = %[1]s/slow
[os_glance_staging_store]
filesystem_store_datadir = %[1]s/staging
[os_glance_tasks_store]
filesystem_store_datadir = %[1]s/tasks
[oslo_policy]
policy_file = %[1]s/policy.yaml
`

// allowed are the rules that only roles fulfil, which nobody has without authentication.
var allowed = strings.Fields(`context_is_admin add_image delete_image get_image get_images modify_image publicize_image communitize_image
	download_image upload_image delete_image_location get_image_location set_image_location add_member delete_member get_member get_members
	modify_member deactivate reactivate copy_image get_task get_tasks metadef_default metadef_admin`)

// A GlanceConfig says what a Glance of Debian's is to have.
type GlanceConfig struct {
	Database string // in the words of its configuration, "" for SQLite
	Backends string // what enabled_backends has beside fast:file, such as "slow:file" or "ceph:rbd"
	Options  string // further lines of its configuration
	Metadefs bool   // it has the definitions that come with it
}

// A GlanceServer is a real Glance without authentication.
type GlanceServer struct {
	*Server
	Conf string // its configuration file
	dir  string
}

// StartGlance runs a new Glance, whose files go to dir.
func StartGlance(ctx context.Context, dir string, cfg GlanceConfig) (*GlanceServer, error) {
	for _, d := range []string{"images", "slow", "staging", "tasks"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			return nil, err
		}
	}
	if cfg.Database == "" {
		cfg.Database = "sqlite:///" + filepath.Join(dir, "glance.db")
	}
	backends := "fast:file"
	if cfg.Backends != "" {
		backends += "," + cfg.Backends
	}
	g := &GlanceServer{Conf: filepath.Join(dir, "glance-api.conf"), dir: dir}
	text := fmt.Sprintf(glanceConf, dir, cfg.Database, backends) + cfg.Options
	var policy strings.Builder
	for _, rule := range allowed {
		fmt.Fprintf(&policy, "%q: \"@\"\n", rule)
	}
	for path, content := range map[string]string{g.Conf: text, filepath.Join(dir, "policy.yaml"): policy.String()} {
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return nil, err
		}
	}
	if err := g.Manage(ctx, "db_sync"); err != nil {
		return nil, err
	}
	if cfg.Metadefs {
		if err := g.Manage(ctx, "db_load_metadefs", "/usr/share/glance-common/metadefs"); err != nil {
			return nil, err
		}
	}
	return g, g.Restart(ctx)
}

// Restart starts it again after Stop, on another address.
func (g *GlanceServer) Restart(ctx context.Context) error {
	// Debian's Python, whatever else is in PATH.
	s, err := HTTP(ctx, g.dir, "/usr/bin/python3", func(address string) ([]string, error) {
		_, port, err := net.SplitHostPort(address)
		if err != nil {
			return nil, err
		}
		more := filepath.Join(g.dir, "port.conf")
		err = os.WriteFile(more, []byte("[DEFAULT]\nbind_port = "+port+"\n"), 0o644)
		return []string{"/usr/bin/glance-api", "--config-file", g.Conf, "--config-file", more}, err
	})
	if err != nil {
		return fmt.Errorf("glance: %w", err)
	}
	g.Server = s
	return nil
}

// Manage runs glance-manage.
func (g *GlanceServer) Manage(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", append([]string{"/usr/bin/glance-manage", "--config-file", g.Conf}, args...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("glance-manage %s: %w: %s", args[0], err, out)
	}
	return nil
}

// Stop ends it with its workers at once: asked to, it sometimes waits for them for ever.
func (g *GlanceServer) Stop() error {
	err := syscall.Kill(-g.Pid(), syscall.SIGKILL)
	<-g.done
	if errors.Is(err, syscall.ESRCH) {
		return nil // it had ended
	}
	return err
}
