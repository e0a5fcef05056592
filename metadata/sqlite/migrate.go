package sqlite

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/vitrine-image/vitrine/metadata"
)

//go:embed migrations/*.sql
var migrations embed.FS

// applicationID stands in bytes 68 to 71 of the file and tells whose database it is: "VTRN".
const applicationID = 0x5654524e

// migrationNames are the files, sorted.
var migrationNames = func() []string {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		panic(err) // the pattern is wrong
	}
	return names
}()

// newestVersion is that of this program: the number of its migrations.
var newestVersion = int64(len(migrationNames))

// migrate brings the tables up to date, one transaction for each step.
func migrate(ctx context.Context, c *conn) (from, to int64, err error) {
	from, err = checkVersion(ctx, c)
	if err != nil {
		return 0, 0, err
	}
	for version := from + 1; version <= newestVersion; version++ {
		if err := step(c, migrationNames[version-1], version); err != nil {
			return 0, 0, fmt.Errorf("migrate %s to version %d: %w", c.path, version, err)
		}
	}
	return from, newestVersion, nil
}

// checkVersion returns the version of the database. Errors: metadata.ErrNewer, and for what is not ours.
func checkVersion(ctx context.Context, c *conn) (int64, error) {
	have, _, err := c.queryInt(ctx, "PRAGMA user_version")
	if err != nil {
		return 0, err
	}
	owner, _, err := c.queryInt(ctx, "PRAGMA application_id")
	if err != nil {
		return 0, err
	}
	tables, _, err := c.queryInt(ctx, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return 0, err
	}
	switch {
	case owner != applicationID && (owner != 0 || tables > 0) || have < 0:
		return 0, fmt.Errorf("%s is the database of another program, and is left alone", c.path)
	case have > newestVersion:
		return 0, fmt.Errorf("open %s: %w: it has version %d, and this program knows versions up to %d; install the newer version again, "+
			"or restore a backup made before the upgrade", c.path, metadata.ErrNewer, have, newestVersion)
	}
	return have, nil
}

func step(c *conn, name string, version int64) (err error) {
	sql, err := migrations.ReadFile(name)
	if err != nil {
		return err
	}
	script := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;\nCOMMIT;", sql, applicationID, version)
	if _, err = c.raw.Exec(script, nil); err == nil {
		return nil
	}
	err = translate(c.path, err)
	if !c.raw.AutoCommit() {
		if _, rollback := c.exec("ROLLBACK"); rollback != nil {
			err = errors.Join(err, rollback)
		}
	}
	return err
}
