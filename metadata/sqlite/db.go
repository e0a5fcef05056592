package sqlite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/vitrine-image/vitrine/metadata"
)

// Config says where the database is.
type Config struct {
	Path       string           // of the file; made when it does not exist, its directory must
	Logger     *slog.Logger     // nil discards
	Readers    int              // connections that read; 0 for 6, more than the lists that the API makes at once
	CacheBytes int64            // page cache of all connections together; 0 for 12 MiB
	Now        func() time.Time // nil for time.Now
}

// DB implements metadata.DB.
type DB struct {
	readers *pool
	writer  *writer
	feed    *feed
	now     func() time.Time
}

var _ metadata.DB = (*DB)(nil)

// Open opens the database, makes it if need be, and brings its tables up to date. What is not a database of ours, or one that
// lost a part of itself, stays as it is. On a full disk it uses the reserve. Errors: metadata.ErrNewer, image.ErrUnavailable.
func Open(ctx context.Context, cfg Config) (*DB, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	kept := newReserve(cfg.Path, cfg.Logger)
	db, err := open(ctx, cfg, kept)
	if !isFull(err) {
		return db, err
	}
	if removing := kept.remove(); removing != nil {
		return nil, errors.Join(err, removing)
	}
	return open(ctx, cfg, kept)
}

func open(ctx context.Context, cfg Config, kept *reserve) (*DB, error) {
	if err := prepare(ctx, cfg); err != nil {
		return nil, err
	}
	// Of the cache, a third is the writer's: a group of updates touches more pages than a page of a list.
	w, err := openWriter(cfg.Path, cfg.CacheBytes/3)
	if err != nil {
		return nil, err
	}
	from, to, err := migrate(ctx, w)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	if from != to {
		cfg.Logger.Info("metadata database migrated", "path", cfg.Path, "from", from, "to", to)
	}
	if err := w.query(ctx, "PRAGMA busy_timeout = "+busySlice, nil, ignoreRow); err != nil { // the writer counts by itself
		return nil, errors.Join(err, w.close())
	}
	last, err := lastSequence(ctx, w)
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	files, err := lookAtFiles(cfg.Path, cfg.Logger)
	if err == nil {
		err = kept.begin(w)
	}
	if err != nil {
		return nil, errors.Join(err, w.close())
	}
	share := cfg.CacheBytes * 2 / 3 / int64(cfg.Readers)
	db := &DB{
		readers: newPool(cfg.Readers, func() (*conn, error) {
			if err := files.check(); err != nil { // another database may lie there
				return nil, err
			}
			return openReader(cfg.Path, readWrite, share)
		}),
		feed: newFeed(last),
		now:  cfg.Now,
	}
	db.writer = &writer{maxAge: maxGroupAge, patience: busyTimeout, log: newLogKeeper(cfg.Path), files: files, kept: kept,
		conn: w, committed: db.feed.publish}
	return db, nil
}

// prepare sees to it that there is a database of ours, which a connection that writes may touch.
func prepare(ctx context.Context, cfg Config) error {
	exists, err := inspect(cfg.Path)
	if err != nil {
		return err
	}
	if !exists {
		if err := create(ctx, cfg.Path); err != nil {
			return err
		}
		cfg.Logger.Info("metadata database made", "path", cfg.Path)
		return nil
	}
	if err := tryFile(cfg.Path); err != nil {
		return err
	}
	c, err := openReader(cfg.Path, unchanged(cfg.Path), 0)
	if err != nil {
		return err
	}
	_, err = checkVersion(ctx, c)
	return errors.Join(err, c.close())
}

func (cfg Config) complete() (Config, error) {
	if cfg.Path == "" {
		return cfg, errors.New("sqlite: path is not set")
	}
	path, err := filepath.Abs(cfg.Path)
	if err != nil {
		return cfg, fmt.Errorf("sqlite: %w", err)
	}
	cfg.Path = path
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	cfg.Readers = cmp.Or(cfg.Readers, 6)
	cfg.CacheBytes = cmp.Or(cfg.CacheBytes, 12<<20)
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return cfg, nil
}

// busyTimeout is how long a caller waits for another process, such as a vacuum.
const busyTimeout = 5 * time.Second

// busySlice is how long SQLite waits at a time for the writer, in milliseconds: nothing ends that wait.
const busySlice = "50"

func waitWhileBusy(mode string) url.Values {
	return url.Values{"mode": {mode}, "_busy_timeout": {strconv.FormatInt(busyTimeout.Milliseconds(), 10)}}
}

// autoFold is how long the log is, in pages of 4 KiB, when a commit folds it into the database: 16 MiB.
const autoFold = 4000

func openWriter(path string, cacheBytes int64) (*conn, error) {
	return openTuned(path, waitWhileBusy(readWrite), []string{
		"PRAGMA synchronous = FULL",
		"PRAGMA journal_mode = WAL",
		"PRAGMA foreign_keys = ON",
		fmt.Sprintf("PRAGMA wal_autocheckpoint = %d", autoFold),
		fmt.Sprintf("PRAGMA journal_size_limit = %d", logStep), // what a long read let the log grow to is given back
		"PRAGMA secure_delete = OFF",                           // who may read the file could read it before
		"PRAGMA cell_size_check = ON",                          // meet a corrupt page with an error
		fmt.Sprintf("PRAGMA cache_size = -%d", cacheBytes>>10),
	})
}

// The modes of connections.
const (
	readWrite = "rw"
	readOnly  = "ro"
)

// unchanged returns the mode in which a reader leaves a database as it is, whoever else has it open: the last connection to be
// closed folds the log into the database and removes it, unless it is readOnly; and that one leaves its own files behind
// where there were none.
func unchanged(path string) (mode string) {
	if info, err := os.Stat(path + "-wal"); err == nil && info.Size() > 0 {
		return readOnly
	}
	return readWrite
}

func openReader(path, mode string, cacheBytes int64) (*conn, error) {
	return openTuned(path, waitWhileBusy(mode), []string{
		"PRAGMA query_only = ON",
		"PRAGMA cell_size_check = ON",
		fmt.Sprintf("PRAGMA cache_size = -%d", cacheBytes>>10),
	})
}

// openTuned opens a connection and runs the pragmas, which all of ours have in common with the last two: temporary results
// stay in memory, so that reading needs no disk space, and the schema is not trusted to call anything.
func openTuned(path string, parameters url.Values, pragmas []string) (*conn, error) {
	c, err := openConn(path, parameters)
	if err != nil {
		return nil, err
	}
	for _, sql := range append(pragmas, "PRAGMA temp_store = MEMORY", "PRAGMA trusted_schema = OFF") {
		if err := c.query(context.Background(), sql, nil, ignoreRow); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

// View implements metadata.DB.
func (db *DB) View(ctx context.Context, fn func(metadata.Tx) error) error {
	c, err := db.readers.get(ctx)
	if err != nil {
		return err
	}
	defer db.readers.put(c)
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	// Nothing was written, so there is nothing that a rollback could lose; it also runs when fn panics.
	defer c.exec("ROLLBACK")
	return fn(&tx{ctx: ctx, conn: c})
}

// Update implements metadata.DB.
func (db *DB) Update(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return db.update(ctx, fn, false)
}

// UpdateFreeing implements metadata.DB.
func (db *DB) UpdateFreeing(ctx context.Context, fn func(metadata.WriteTx) error) error {
	return db.update(ctx, fn, true)
}

func (db *DB) update(ctx context.Context, fn func(metadata.WriteTx) error, freeing bool) error {
	return db.writer.update(ctx, freeing,
		func(t *writeTx) error { return fn(t) },
		func(c *conn) *writeTx { return &writeTx{tx: tx{ctx: ctx, conn: c}, now: db.now} })
}

// Ready implements metadata.DB.
func (db *DB) Ready(ctx context.Context) error {
	if err := db.writer.files.check(); err != nil {
		return err
	}
	return db.View(ctx, func(tx metadata.Tx) error { _, err := tx.LastChange(); return err })
}

// WaitChange implements metadata.DB.
func (db *DB) WaitChange(ctx context.Context, after int64) error { return db.feed.wait(ctx, after) }

// Close waits for what is under way.
func (db *DB) Close() error {
	db.feed.close()
	// The writer is closed last: it is the one that may fold the log into the database file.
	return errors.Join(db.readers.close(), db.writer.close())
}
