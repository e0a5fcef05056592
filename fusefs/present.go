package fusefs

import (
	"errors"
	"reflect"
	"sync"
	"unsafe"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// keepPresent lets the memory that requests are read into be there before they are. The kernel would have to find it while it
// hands over a request, which fails when the process is killed at that moment: then the request is lost, and whoever made it
// gets EIO. The pool of these buffers is go-fuse's own, which has no way in.
func keepPresent(s *fuse.Server) error {
	field := reflect.ValueOf(s).Elem().FieldByName("readPool")
	if !field.IsValid() || field.Type() != reflect.TypeFor[sync.Pool]() {
		return errors.New("go-fuse keeps its buffers elsewhere")
	}
	pool := (*sync.Pool)(unsafe.Pointer(field.UnsafeAddr()))
	allocate := pool.New
	pool.New = func() any {
		b := allocate()
		if buf, ok := b.([]byte); ok && len(buf) > requestRoom {
			buf[0], buf[requestRoom] = 0, 0 // its head may end in the middle of a page
		}
		return b
	}
	return nil
}

// requestRoom is more than any request takes that is answered; there are none that write.
const requestRoom = 4000
