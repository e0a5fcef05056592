package events

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// A cursor remembers in a file how far a webhook's target was told.
type cursor struct {
	path  string
	saved int64
}

// load reads the number; found is false when there is no file. A file without a number, as a power cut may leave, is an error.
func (c *cursor) load() (n int64, found bool, err error) {
	text, err := os.ReadFile(c.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	n, err = strconv.ParseInt(strings.TrimSuffix(string(text), "\n"), 10, 64)
	if err != nil || n < 0 {
		return 0, true, fmt.Errorf("%s holds no number", c.path)
	}
	c.saved = n
	return n, true, nil
}

// save writes the number, unless it is there. After a power cut it may be an older one.
func (c *cursor) save(n int64) error {
	if n == c.saved {
		return nil
	}
	temporary := c.path + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(f, n)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, c.path); err != nil {
		return err
	}
	c.saved = n
	return nil
}
