package daemon

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// How much may wait for the garbage collector, beside what is in use: as much again, as is usual, but no more than
// mostGarbage, unless that is less than leastGarbage percent. Most of a large heap here are buffers, into which the collector
// need not look: to run more often costs little.
const (
	mostGarbage  = 32 << 20 // bytes
	leastGarbage = 20       // percent
)

// boundGarbage sets that for the whole process, after each collection anew, unless the environment says what to do.
var boundGarbage = sync.OnceFunc(func() {
	if os.Getenv("GOGC") == "" {
		whenCollected(usualGarbage)
	}
})

// usualGarbage is what Go begins with.
const usualGarbage = 100

func whenCollected(percent int) {
	canary := new(*byte) // a pointer, so that it shares its memory with nothing else
	runtime.AddCleanup(canary, func(percent int) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		wanted := garbagePercent(live[0].Value.Uint64())
		if wanted != percent { // it stops everything for a moment
			debug.SetGCPercent(wanted)
		}
		whenCollected(wanted)
	}, percent)
}

// garbagePercent returns how much may wait beside so many bytes in use.
func garbagePercent(live uint64) int {
	return int(min(usualGarbage, max(leastGarbage, usualGarbage*mostGarbage/max(live, 1))))
}
