package testservers

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
)

// A MariaDB has one user root without a password.
type MariaDB struct {
	*Server
	socket string
}

// StartMariaDB runs a new server, whose files go to dir.
func StartMariaDB(ctx context.Context, dir string) (*MariaDB, error) {
	run, err := os.MkdirTemp("", "mariadb") // the path of a socket is short
	if err != nil {
		return nil, err
	}
	data, socket := filepath.Join(dir, "mariadb"), filepath.Join(run, "socket")
	m := &MariaDB{socket: socket}
	install := exec.CommandContext(ctx, "mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db",
		"--datadir="+data, "--user=root")
	if out, err := install.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("mariadb-install-db: %w: %s", err, out)
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	s, err := start(dir, "mariadbd", "--no-defaults", "--datadir="+data, "--socket="+socket, "--bind-address=127.0.0.1", "--port="+port, "--user=root",
		"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--performance-schema=OFF", "--skip-name-resolve")
	if err != nil {
		return nil, err
	}
	s.Address, s.atStop = address, func() error { return os.RemoveAll(run) }
	m.Server, err = s.listening(ctx)
	return m, err
}

// Run carries out SQL, in a database if it is not "", and returns what it prints.
func (m *MariaDB) Run(ctx context.Context, database, sql string) (string, error) {
	out, err := exec.CommandContext(ctx, "mariadb", "--no-defaults", "--socket="+m.socket, "--user=root", "--execute="+sql, database).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("mariadb: %w: %s", err, out)
	}
	return string(out), err
}
