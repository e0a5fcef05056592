package sqlite

import (
	"errors"
	"os"
	"testing"
)

// ReadInOrder keeps lists from being gathered and sorted until the test ends.
func ReadInOrder(t testing.TB) {
	was := maxGather
	maxGather = 1
	t.Cleanup(func() { maxGather = was })
}

// MakeVersion makes an empty database as the program of that version did.
func MakeVersion(t testing.TB, path string, version int) {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := openWriter(path, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range migrationNames[:version] {
		err = errors.Join(err, step(c, name, int64(i)+1))
	}
	if err := errors.Join(err, c.close()); err != nil {
		t.Fatal(err)
	}
}
