package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"io"
	"net/url"

	"github.com/mattn/go-sqlite3"
)

// maxStatements bounds the prepared statements that one connection keeps.
const maxStatements = 96

// A conn is one connection with its prepared statements. It serves one goroutine at a time.
//
// The driver is used directly: database/sql costs more per row than SQLite does.
type conn struct {
	raw        *sqlite3.SQLiteConn
	path       string
	statements map[string]*statement
	uses       int64 // counts the statements run, as their clock
	args       []driver.NamedValue
}

type statement struct {
	*sqlite3.SQLiteStmt
	columns int // of the last query
	used    int64
	busy    bool // its rows are being read
}

// openConn opens the database file, which must exist unless create is set. Parameters are the driver's.
func openConn(path string, parameters url.Values) (*conn, error) {
	if parameters == nil {
		parameters = url.Values{}
	}
	parameters.Set("_mutex", "no") // a conn serves one goroutine at a time
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: parameters.Encode()}
	raw, err := (&sqlite3.SQLiteDriver{}).Open(dsn.String())
	if err != nil {
		return nil, translate(path, err)
	}
	return &conn{raw: raw.(*sqlite3.SQLiteConn), path: path, statements: map[string]*statement{}}, nil
}

func (c *conn) close() error {
	for sql, s := range c.statements {
		s.Close()
		delete(c.statements, sql)
	}
	return translate(c.path, c.raw.Close())
}

// exec runs a statement that returns no rows. changed counts the rows that it wrote.
func (c *conn) exec(sql string, args ...any) (changed int64, err error) {
	_, changed, err = c.insert(sql, args...)
	return changed, err
}

// insert is exec that also returns the row id of the last row inserted.
func (c *conn) insert(sql string, args ...any) (rowid, changed int64, err error) {
	s, err := c.prepare(sql)
	if err != nil {
		return 0, 0, err
	}
	result, err := s.ExecContext(context.Background(), c.bind(args))
	if err != nil {
		return 0, 0, translate(c.path, err)
	}
	rowid, _ = result.LastInsertId()
	changed, _ = result.RowsAffected()
	return rowid, changed, nil
}

// query calls scan for each row; the slice is used again for the next one. It stops when ctx ends. scan must not run the
// same statement again.
func (c *conn) query(ctx context.Context, sql string, args []any, scan func(row []driver.Value) error) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	if s.busy {
		return fmt.Errorf("the statement is being read already: %s", sql)
	}
	s.busy = true
	defer func() { s.busy = false }()
	rows, err := s.QueryContext(ctx, c.bind(args))
	if err != nil {
		return c.ended(ctx, err)
	}
	defer rows.Close()
	if s.columns == 0 {
		s.columns = len(rows.Columns())
	}
	row := make([]driver.Value, s.columns)
	for {
		switch err := rows.Next(row); {
		case err == io.EOF:
			return nil
		case err != nil:
			return c.ended(ctx, err)
		}
		if err := scan(row); err != nil {
			return err
		}
	}
}

// queryInt returns the only column of the first row; ok is false when there is none or it is null.
func (c *conn) queryInt(ctx context.Context, sql string, args ...any) (n int64, ok bool, err error) {
	err = c.query(ctx, sql, args, func(row []driver.Value) error {
		if !ok {
			n, ok = row[0].(int64)
		}
		return nil
	})
	return n, ok, err
}

// ended turns the error of a read into that of its context if this was the cause.
func (c *conn) ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("read the metadata database: %w", context.Cause(ctx))
	}
	return translate(c.path, err)
}

func (c *conn) prepare(sql string) (*statement, error) {
	c.uses++
	if s := c.statements[sql]; s != nil {
		s.used = c.uses
		return s, nil
	}
	if len(c.statements) >= maxStatements {
		c.forgetOldest()
	}
	raw, err := c.raw.Prepare(sql)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", sql, translate(c.path, err))
	}
	s := &statement{SQLiteStmt: raw.(*sqlite3.SQLiteStmt), used: c.uses}
	c.statements[sql] = s
	return s, nil
}

func (c *conn) forgetOldest() {
	var oldest string
	for sql, s := range c.statements {
		if o := c.statements[oldest]; !s.busy && (o == nil || s.used < o.used) {
			oldest = sql
		}
	}
	if s := c.statements[oldest]; s != nil {
		s.Close()
		delete(c.statements, oldest)
	}
}

// bind numbers the arguments for the driver; the slice is used again by the next statement.
func (c *conn) bind(args []any) []driver.NamedValue {
	c.args = c.args[:0]
	for i, a := range args {
		switch v := a.(type) {
		case int:
			a = int64(v)
		case *string:
			a = null(v)
		case *int64:
			a = null(v)
		}
		c.args = append(c.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return c.args
}

func null[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}
