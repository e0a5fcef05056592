package sqlite

import "testing"

// ReadInOrder keeps lists from being gathered and sorted until the test ends.
func ReadInOrder(t testing.TB) {
	was := maxGather
	maxGather = 1
	t.Cleanup(func() { maxGather = was })
}
