package rawcache

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"time"
)

// A heat is how much was read of a disk.
type heat struct {
	image Image
	bytes float64   // half of it is forgotten after halfLife
	at    time.Time // when bytes was right
	data  int64     // bytes of the disk that are no holes, or a guess
	again time.Time // not tried before
}

const (
	halfLife = time.Hour
	// hotReads is how often all data of a disk must have been read, one way or the other. A file that leaves because others are
	// read more has to earn its place anew, so that making files never costs more than half of what guests read.
	hotReads = 2
	// later is when a disk that could not be copied is tried again.
	later   = time.Hour
	maxHeat = 4096
	// firstGuess is what a disk is taken to hold at the most, until its holes are looked for once.
	firstGuess = 64 << 20
)

// ratio is how often all data was read.
func (h *heat) ratio() float64 { return h.bytes / float64(max(h.data, 1)) }

func (h *heat) isHot(now time.Time) bool { return h.ratio() >= hotReads && !now.Before(h.again) }

// heatOf returns the heat of a disk as of now. The caller has the mutex.
func (c *Cache) heatOf(img Image, now time.Time) *heat {
	h := c.heat[img.Disk]
	if h == nil {
		if len(c.heat) >= maxHeat {
			c.cool(now)
		}
		h = &heat{at: now, data: min(img.Stored, firstGuess)}
		c.heat[img.Disk] = h
	}
	h.image = img
	h.decay(now)
	return h
}

func (h *heat) decay(now time.Time) {
	h.bytes *= math.Exp2(-float64(now.Sub(h.at)) / float64(halfLife))
	h.at = now
}

// cool forgets the coldest half of all disks.
func (c *Cache) cool(now time.Time) {
	var ratios []float64
	for _, h := range c.heat {
		h.decay(now)
		ratios = append(ratios, h.ratio())
	}
	slices.Sort(ratios)
	maps.DeleteFunc(c.heat, func(_ uint64, h *heat) bool { return h.ratio() <= ratios[len(ratios)/2] })
}

// count is told what was read of a disk that lies in no file. Zeros are no data: what begins with them does not count.
func (c *Cache) count(img Image, p []byte) {
	if bytes.Equal(p[:min(len(p), len(zeroPage))], zeroPage[:min(len(p), len(zeroPage))]) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.files[img.Disk] != nil {
		return // of another copy than the reader's; who opens the disk now has it
	}
	now := time.Now()
	h := c.heatOf(img, now)
	h.bytes += float64(len(p))
	if h.isHot(now) {
		c.rouse()
	}
}

var zeroPage [4096]byte

// hottest returns the disk to be copied next.
func (c *Cache) hottest() (img Image, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found *heat
	now := time.Now()
	for _, h := range c.heat {
		h.decay(now)
		if h.isHot(now) && (found == nil || h.ratio() > found.ratio()) {
			found = h
		}
	}
	if found == nil {
		return img, false
	}
	return found.image, true
}
