//go:build ceph

package rbd

/*
#cgo LDFLAGS: -lrbd
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <rbd/librbd.h>

// An answer to a read.
struct answer {
	struct answer *next;
	struct answers *list;
	uintptr_t read;
	ssize_t n;             // bytes, or an error if less than 0
	struct iovec memory[]; // that is read into
};

// Answers that nobody has taken. Who sees one knows that the bell has been rung for it.
struct answers {
	pthread_mutex_t lock;
	struct answer *first, **last;
	int bell; // an eventfd, rung when the first one comes
};

static struct answers *new_answers(int bell) {
	struct answers *list = malloc(sizeof *list);
	pthread_mutex_init(&list->lock, NULL);
	list->first = NULL;
	list->last = &list->first;
	list->bell = bell;
	return list;
}

static void free_answers(struct answers *list) {
	pthread_mutex_destroy(&list->lock);
	free(list);
}

// It runs in a thread of librbd, where it must not call Go: the runtime would poll such a thread for milliseconds.
static void put_answer(rbd_completion_t completion, void *arg) {
	struct answer *a = arg;
	struct answers *list = a->list;
	a->n = rbd_aio_get_return_value(completion);
	a->next = NULL;
	rbd_aio_release(completion);
	pthread_mutex_lock(&list->lock);
	if (list->first == NULL)
		eventfd_write(list->bell, 1);
	*list->last = a;
	list->last = &a->next;
	pthread_mutex_unlock(&list->lock);
}

static int take_answers(struct answers *list, uintptr_t *reads, ssize_t *ns, int max) {
	int i = 0;
	pthread_mutex_lock(&list->lock);
	while (i < max && list->first != NULL) {
		struct answer *a = list->first;
		reads[i] = a->read;
		ns[i++] = a->n;
		if ((list->first = a->next) == NULL)
			list->last = &list->first;
		free(a);
	}
	pthread_mutex_unlock(&list->lock);
	return i;
}

static int start_read(struct answers *list, rbd_image_t image, uint64_t off, const struct iovec *memory, int count, uintptr_t read) {
	struct answer *a = malloc(sizeof *a + count * sizeof *memory);
	a->list = list;
	a->read = read;
	memcpy(a->memory, memory, count * sizeof *memory); // librbd looks at it until the end
	rbd_completion_t completion;
	int failed = rbd_aio_create_completion(a, put_answer, &completion);
	if (failed == 0 && (failed = rbd_aio_readv(image, a->memory, count, off, completion)) != 0)
		rbd_aio_release(completion);
	if (failed != 0)
		free(a);
	return failed;
}
*/
import "C"

import (
	"context"
	"fmt"
	"os"
	"reflect"
	"runtime"
	"runtime/cgo"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A read is one call of librbd. That goes on to write to its memory when nobody waits for it any more.
type read struct {
	image  *Image
	memory []C.struct_iovec
	pin    runtime.Pinner
	done   chan int // gets what librbd returned: bytes that were read, or an error if less than 0
	ended  func()   // if not nil, called once nothing uses the memory any more
}

// newRead returns a read into one piece of memory after the other, of at least a byte each.
func newRead(memory ...[]byte) *read {
	r := &read{done: make(chan int, 1)}
	for _, p := range memory {
		r.memory = append(r.memory, C.struct_iovec{iov_base: unsafe.Pointer(&p[0]), iov_len: C.size_t(len(p))})
	}
	return r
}

// cut lets only n bytes of the first memory count.
func (r *read) cut(n int) { r.memory[0].iov_len = C.size_t(n) }

// ask gives a read to librbd after enter, within the bounds of call, and waits for its answer: how many bytes there were.
func (i *Image) ask(ctx context.Context, r *read, off int64) (n int, err error) {
	r.image = i
	i.pool.cluster.answers.start(r, off)
	select {
	case n = <-r.done:
		if n < 0 {
			return 0, i.judge(readAct, syscall.Errno(-n))
		}
		return n, nil
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

// enter begins a call with the open handle, which leave ends. Many may wait for that: they hold no buffers yet.
func (i *Image) enter(ctx context.Context) error {
	c := i.pool.cluster
	if err := c.enter(ctx); err != nil {
		return err
	}
	if !i.mu.TryRLock() { // it is being closed
		c.leave()
		return ErrClosed
	}
	if i.img == nil {
		i.leave()
		return ErrClosed
	}
	return nil
}

func (i *Image) leave() {
	i.mu.RUnlock()
	i.pool.cluster.leave()
}

// end is called once librbd has answered.
func (r *read) end(n int) {
	r.pin.Unpin()
	r.image.leave()
	r.image = nil
	if r.ended != nil {
		r.ended()
	}
	r.done <- n
}

// answers brings the answers of librbd to those who wait for them, in one goroutine. go-ceph has no reads but those that
// hold a thread until they end.
type answers struct {
	list *C.struct_answers
	bell *os.File
	done chan struct{} // closed when the goroutine has ended
	once sync.Once     // for close

	reads [64]C.uintptr_t
	ns    [64]C.ssize_t
}

// newAnswers waits for answers until it is closed.
func newAnswers() (*answers, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("eventfd: %w", err)
	}
	a := &answers{list: C.new_answers(C.int(fd)), bell: os.NewFile(uintptr(fd), "eventfd"), done: make(chan struct{})}
	raw, err := a.bell.SyscallConn()
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(a.done)
		// It is not read: each time it is rung is an event of its own, and nobody counts them. It ends when the bell is closed.
		raw.Read(func(uintptr) (enough bool) {
			a.deliver()
			return false
		})
	}()
	return a, nil
}

// close ends the goroutine. Every read must have been answered, and none begins any more.
func (a *answers) close() {
	a.once.Do(func() {
		a.bell.Close()
		<-a.done
		C.free_answers(a.list)
	})
}

// deliver ends the reads that were answered.
func (a *answers) deliver() {
	for n := len(a.reads); n == len(a.reads); {
		n = int(C.take_answers(a.list, &a.reads[0], &a.ns[0], C.int(len(a.reads))))
		for k := range n {
			h := cgo.Handle(a.reads[k])
			r := h.Value().(*read)
			h.Delete()
			r.end(int(a.ns[k]))
		}
	}
}

// start gives a read to librbd. It ends in every case.
func (a *answers) start(r *read, off int64) {
	for _, m := range r.memory {
		r.pin.Pin(m.iov_base)
	}
	h := cgo.NewHandle(r)
	// The handle of librbd is nothing that go-ceph shows.
	image := C.rbd_image_t(reflect.ValueOf(r.image.img).Elem().FieldByName("image").UnsafePointer())
	failed := C.start_read(a.list, image, C.uint64_t(off), &r.memory[0], C.int(len(r.memory)), C.uintptr_t(h))
	if failed != 0 {
		h.Delete()
		r.end(int(failed))
	}
}
