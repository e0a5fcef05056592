package crashfs

import "maps"

const pageSize = 4096

// A content is the bytes of a file. Pages that are not there are holes.
type content struct {
	size  int64
	pages map[int64][]byte // by their number; each has pageSize bytes
}

func (c *content) readAt(p []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-off)]
	for done := 0; done < len(p); {
		n, within := int64(done)+off, (int64(done)+off)%pageSize
		part := p[done:min(len(p), done+int(pageSize-within))]
		if page := c.pages[n/pageSize]; page != nil {
			copy(part, page[within:])
		} else {
			clear(part)
		}
		done += len(part)
	}
	return len(p)
}

func (c *content) writeAt(p []byte, off int64) {
	if len(p) == 0 {
		return
	}
	if c.pages == nil {
		c.pages = map[int64][]byte{}
	}
	c.size = max(c.size, off+int64(len(p)))
	for len(p) > 0 {
		n, within := off/pageSize, off%pageSize
		page := c.pages[n]
		if page == nil {
			page = make([]byte, pageSize)
			c.pages[n] = page
		}
		done := copy(page[within:], p)
		p, off = p[done:], off+int64(done)
	}
}

func (c *content) truncate(size int64) {
	if size < c.size {
		c.punch(size, c.size-size)
	}
	c.size = size
}

// punch makes a range read as zeros; the size stays.
func (c *content) punch(off, n int64) {
	end := min(off+n, c.size)
	for number, page := range c.pages {
		from, to := max(off-number*pageSize, 0), min(end-number*pageSize, pageSize)
		switch {
		case from >= pageSize || to <= 0 || from >= to:
		case from == 0 && to == min(pageSize, c.size-number*pageSize):
			delete(c.pages, number)
		default:
			clear(page[from:to])
		}
	}
}

// seek returns the first offset from off on where a page is there (or is not); -1 when there is none before the end.
// The end itself counts as a hole.
func (c *content) seek(off int64, data bool) int64 {
	for ; off < c.size; off = (off/pageSize + 1) * pageSize {
		if (c.pages[off/pageSize] != nil) == data {
			return off
		}
	}
	if data {
		return -1
	}
	return c.size
}

func (c *content) clone() content {
	copied := content{size: c.size, pages: maps.Clone(c.pages)}
	for n, page := range copied.pages {
		copied.pages[n] = append([]byte(nil), page...)
	}
	return copied
}
