package fusefs

import (
	"time"

	"github.com/hanwen/go-fuse/v2/fuse"
)

// An Observer is told what the kernel asks for. Its methods are called by many at once, between the answer and its way to the
// kernel.
type Observer interface {
	Observe(Observation)
	Opened(passed bool) // a file of an image; passed tells whether the kernel reads it by itself
}

// An Observation is a request of the kernel that was answered.
type Observation struct {
	Operation string // one of Operations
	Unique    uint64 // a number that no other request has that is under way
	Took      time.Duration
	Bytes     int // that were read
	Status    fuse.Status
}

// The operations that an Observer is told of. Others are refused, or cost nothing.
const (
	opGetattr  = "getattr"
	opLookup   = "lookup"
	opOpen     = "open"
	opRead     = "read"
	opReaddir  = "readdir"
	opReadlink = "readlink"
	opSeek     = "seek"
	opStatfs   = "statfs"
)

// Operations returns the names of all of them, sorted.
func Operations() []string {
	return []string{opGetattr, opLookup, opOpen, opRead, opReaddir, opReadlink, opSeek, opStatfs}
}

// observed returns what go-fuse serves: the mount itself where nobody wants to know.
func (m *Mount) observed() fuse.RawFileSystem {
	if m.cfg.Observer == nil {
		return m
	}
	return &observed{m, m.cfg.Observer}
}

// observed measures a Mount from outside.
type observed struct {
	*Mount
	observer Observer
}

func (o *observed) tell(op string, header *fuse.InHeader, start time.Time, bytes int, status fuse.Status) {
	o.observer.Observe(Observation{Operation: op, Unique: header.Unique, Took: time.Since(start), Bytes: bytes, Status: status})
}

func (o *observed) GetAttr(cancel <-chan struct{}, in *fuse.GetAttrIn, out *fuse.AttrOut) fuse.Status {
	start := time.Now()
	status := o.Mount.GetAttr(cancel, in, out)
	o.tell(opGetattr, &in.InHeader, start, 0, status)
	return status
}

func (o *observed) Lookup(cancel <-chan struct{}, header *fuse.InHeader, name string, out *fuse.EntryOut) fuse.Status {
	start := time.Now()
	status := o.Mount.Lookup(cancel, header, name, out)
	o.tell(opLookup, header, start, 0, status)
	return status
}

func (o *observed) Open(cancel <-chan struct{}, in *fuse.OpenIn, out *fuse.OpenOut) fuse.Status {
	start := time.Now()
	status := o.Mount.Open(cancel, in, out)
	o.tell(opOpen, &in.InHeader, start, 0, status)
	if status.Ok() && node(in.NodeId).isData() {
		o.observer.Opened(out.OpenFlags&fuse.FOPEN_PASSTHROUGH != 0)
	}
	return status
}

// Read leaves out the time in which the kernel takes what is spliced.
func (o *observed) Read(cancel <-chan struct{}, in *fuse.ReadIn, buf []byte) (fuse.ReadResult, fuse.Status) {
	start := time.Now()
	result, status := o.Mount.Read(cancel, in, buf)
	bytes := 0
	if result != nil {
		bytes = result.Size()
	}
	o.tell(opRead, &in.InHeader, start, bytes, status)
	return result, status
}

func (o *observed) ReadDir(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	start := time.Now()
	status := o.Mount.ReadDir(cancel, in, out)
	o.tell(opReaddir, &in.InHeader, start, 0, status)
	return status
}

func (o *observed) ReadDirPlus(cancel <-chan struct{}, in *fuse.ReadIn, out *fuse.DirEntryList) fuse.Status {
	start := time.Now()
	status := o.Mount.ReadDirPlus(cancel, in, out)
	o.tell(opReaddir, &in.InHeader, start, 0, status)
	return status
}

func (o *observed) Readlink(cancel <-chan struct{}, header *fuse.InHeader) ([]byte, fuse.Status) {
	start := time.Now()
	target, status := o.Mount.Readlink(cancel, header)
	o.tell(opReadlink, header, start, 0, status)
	return target, status
}

func (o *observed) Lseek(cancel <-chan struct{}, in *fuse.LseekIn, out *fuse.LseekOut) fuse.Status {
	start := time.Now()
	status := o.Mount.Lseek(cancel, in, out)
	o.tell(opSeek, &in.InHeader, start, 0, status)
	return status
}

func (o *observed) StatFs(cancel <-chan struct{}, header *fuse.InHeader, out *fuse.StatfsOut) fuse.Status {
	start := time.Now()
	status := o.Mount.StatFs(cancel, header, out)
	o.tell(opStatfs, header, start, 0, status)
	return status
}
