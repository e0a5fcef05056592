package sqlite

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/metadata"
)

// keepLogsSmall has the log shortened early, so that a test need not write much.
func keepLogsSmall(t *testing.T, db *DB) {
	t.Helper()
	for _, sql := range []string{"PRAGMA journal_size_limit = 262144", "PRAGMA wal_autocheckpoint = 64"} {
		if err := db.writer.conn.query(context.Background(), sql, nil, ignoreRow); err != nil {
			t.Fatal(err)
		}
	}
	db.writer.log.step, db.writer.log.next = 512<<10, 1<<20
}

// writeOften saves an image with long texts, and returns the greatest size that the log had.
func writeOften(t *testing.T, db *DB, times int) (greatest int64) {
	t.Helper()
	img := newQueued()
	img.Properties = map[string]string{}
	for i := range times {
		img.Properties["k"] = strings.Repeat("v", 50_000+i)
		err := db.Update(context.Background(), func(tx metadata.WriteTx) error {
			if img.Number == 0 {
				return tx.CreateImage(img)
			}
			return tx.SaveImage(img)
		})
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(db.writer.log.path)
		if err != nil {
			t.Fatal(err)
		}
		greatest = max(greatest, info.Size())
	}
	return greatest
}

// TestLogStaysShort has readers follow each other so that there is always one while others write.
func TestLogStaysShort(t *testing.T) {
	db := openTest(t)
	keepLogsSmall(t, db)
	stop, stopped := make(chan struct{}), make(chan error)
	begun := make(chan struct{})
	go func() {
		stopped <- func() error {
			var readers [2]*conn
			for i := range readers {
				var err error
				if readers[i], err = openReader(db.writer.conn.path, readWrite, 1<<20); err != nil {
					return err
				}
				defer readers[i].close()
			}
			if err := beginRead(readers[1]); err != nil {
				return err
			}
			close(begun)
			for i := 0; ; i++ {
				select {
				case <-stop:
					return nil
				default:
				}
				if err := beginRead(readers[i%2]); err != nil {
					return err
				}
				if _, err := readers[(i+1)%2].exec("ROLLBACK"); err != nil {
					return err
				}
			}
		}()
	}()
	<-begun
	greatest := writeOften(t, db, 250)
	close(stop)
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}
	if greatest > 4<<20 {
		t.Errorf("the log grew to %d bytes", greatest)
	}
}

func beginRead(c *conn) error {
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	return c.query(context.Background(), "SELECT value FROM meta", nil, ignoreRow)
}

// TestLogOfLongRead holds one snapshot all the while: writes go on, and afterwards the log is shortened.
func TestLogOfLongRead(t *testing.T) {
	db := openTest(t)
	keepLogsSmall(t, db)
	err := db.View(context.Background(), func(tx metadata.Tx) error {
		if _, err := tx.LastChange(); err != nil {
			return err
		}
		if n := writeOften(t, db, 60); n < 3<<20 {
			t.Errorf("the log has %d bytes, although an old snapshot needs all of it", n)
		}
		last, err := tx.LastChange()
		if last != 0 {
			t.Errorf("the snapshot moved to %d", last)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	writeOften(t, db, 30)
	info, err := os.Stat(db.writer.log.path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size() > 2<<20 {
		t.Errorf("the log has %d bytes once nobody reads it any more", info.Size())
	}
}
