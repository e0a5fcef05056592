package glance

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	_ "github.com/mattn/go-sqlite3" // the driver sqlite3

	"github.com/vitrine-image/vitrine/internal/certpool"
)

// A Source is the database of a Glance, as it was when it was opened: what changes later is not seen. Close it.
type Source struct {
	db *sql.DB
	tx *sql.Tx
}

// OpenSource opens the database that a URL names as Glance's configuration does: mysql+pymysql://user:password@host/glance, or
// sqlite:////var/lib/glance/glance.sqlite. It has to be of Glance 22 (Wallaby) or later.
func OpenSource(ctx context.Context, address string) (*Source, error) {
	db, err := connect(address)
	if err != nil {
		return nil, fmt.Errorf("the database of Glance: %w", err)
	}
	tx, err := db.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
	if err == nil {
		var n int
		err = tx.QueryRowContext(ctx, `SELECT count(user_id) FROM tasks WHERE id = ''`).Scan(&n)
	}
	if err != nil {
		db.Close()
		return nil, fmt.Errorf("the database of Glance: %w", err)
	}
	return &Source{db, tx}, nil
}

// Close lets go of the database.
func (s *Source) Close() error { return errors.Join(s.tx.Rollback(), s.db.Close()) }

func connect(address string) (*sql.DB, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	engine, _, _ := strings.Cut(scheme, "+") // what follows is a driver of Python's
	switch {
	case ok && engine == "sqlite":
		return openSQLite(rest)
	case ok && (engine == "mysql" || engine == "mariadb"):
		cfg, err := mysqlConfig(address)
		if err != nil {
			return nil, err
		}
		connector, err := mysql.NewConnector(cfg)
		if err != nil {
			return nil, err
		}
		return sql.OpenDB(connector), nil
	}
	return nil, errors.New("its URL begins neither with sqlite:// nor with mysql:// or mysql+pymysql://")
}

// openSQLite opens the file behind sqlite://, which is /relative or //absolute.
func openSQLite(rest string) (*sql.DB, error) {
	path, _, _ := strings.Cut(strings.TrimPrefix(rest, "/"), "?")
	if _, err := os.Stat(path); err != nil {
		return nil, err
	}
	return sql.Open("sqlite3", (&url.URL{Scheme: "file", Opaque: url.PathEscape(path), RawQuery: "mode=ro&_busy_timeout=10000"}).String())
}

// Times of a server that does not answer.
const (
	dialTimeout = 10 * time.Second
	readTimeout = time.Minute
)

// mysqlConfig reads a URL of SQLAlchemy. The error does not hold the URL, which has a password.
func mysqlConfig(address string) (*mysql.Config, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("its URL cannot be read: characters other than letters and digits in the password are written as %XX")
	}
	cfg := mysql.NewConfig()
	cfg.User = u.User.Username()
	cfg.Passwd, _ = u.User.Password()
	cfg.Net, cfg.Addr, cfg.DBName = "tcp", net.JoinHostPort(u.Hostname(), "3306"), strings.TrimPrefix(u.Path, "/")
	if port := u.Port(); port != "" {
		cfg.Addr = u.Host
	}
	cfg.ParseTime, cfg.Loc = true, time.UTC
	cfg.Timeout, cfg.ReadTimeout, cfg.WriteTimeout = dialTimeout, readTimeout, readTimeout
	for name, values := range u.Query() {
		switch name {
		case "charset":
		case "unix_socket":
			cfg.Net, cfg.Addr = "unix", values[0]
		case "ssl_ca":
			roots, err := certpool.Read(values[0])
			if err != nil {
				return nil, err
			}
			cfg.TLS = &tls.Config{RootCAs: roots, ServerName: u.Hostname()}
		default:
			return nil, fmt.Errorf("its URL has %s, of which nothing is known here; leave it out", name)
		}
	}
	return cfg, nil
}

// rows returns what scan makes of each row.
func rows[T any](ctx context.Context, s *Source, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	found, err := s.tx.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var all []T
	for found.Next() {
		v, err := scan(found)
		if err != nil {
			return nil, err
		}
		all = append(all, v)
	}
	return all, found.Err()
}
