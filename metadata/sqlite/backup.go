package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"

	"github.com/mattn/go-sqlite3"
)

// backupStep is how many pages are copied between looks at the context: 4 MiB.
const backupStep = 1024

// Backup copies the database at path to the new file dest, while the daemon goes on writing; the copy shows one moment. An
// older version's is copied as it is, so that there can be a backup from before an upgrade.
// It is durable when Backup returns, and nothing is left of it when it fails. It never overwrites.
func Backup(ctx context.Context, path, dest string) error {
	if _, err := os.Lstat(dest); !errors.Is(err, os.ErrNotExist) {
		if err == nil {
			err = os.ErrExist
		}
		return fmt.Errorf("back up to %s: %w", dest, err)
	}
	err := putInPlace(dest+".partial-"+rand.Text(), dest, func(partial string) error { return copyDatabase(ctx, path, partial) })
	if err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	return nil
}

func copyDatabase(ctx context.Context, path, dest string) (err error) {
	from, err := openExisting(ctx, path, 1)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, from.close()) }()
	to, err := openTuned(dest, url.Values{"mode": {"rw"}}, []string{"PRAGMA journal_mode = OFF", "PRAGMA synchronous = OFF"})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.close()) }()
	// A transaction keeps the snapshot: without it every commit of the daemon would make the copy begin again.
	if _, err := from.exec("BEGIN"); err != nil {
		return err
	}
	defer from.exec("ROLLBACK")
	if _, err := checkVersion(ctx, from); err != nil {
		return err
	}
	copying, err := to.raw.Backup("main", from.raw, "main")
	if err != nil {
		return translate(dest, err)
	}
	err = stepThrough(ctx, copying)
	return translate(dest, errors.Join(err, copying.Finish()))
}

func stepThrough(ctx context.Context, copying *sqlite3.SQLiteBackup) error {
	for {
		before := copying.Remaining()
		switch done, err := copying.Step(backupStep); {
		case err != nil || done:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case before > 0 && copying.Remaining() >= before:
			return sqlite3.Error{Code: sqlite3.ErrBusy}
		}
	}
}

// Vacuum rewrites the database without the space that is no longer used and gives that back to the file system. Meanwhile it
// takes its size again, twice. The daemon may run; its writes wait, and answer image.ErrUnavailable when that takes long.
func Vacuum(ctx context.Context, path string) (err error) {
	looked, err := openExisting(ctx, path, newestVersion)
	if err == nil {
		err = looked.close()
	}
	if err != nil {
		return err
	}
	c, err := openWriter(path, 8<<20)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	for _, sql := range []string{
		"PRAGMA temp_store = FILE", // it would not fit into memory
		"VACUUM",
		"PRAGMA wal_checkpoint(TRUNCATE)",
	} {
		if err := c.query(ctx, sql, nil, ignoreRow); err != nil {
			return fmt.Errorf("vacuum: %w", err)
		}
	}
	return nil
}
