package daemon

import (
	"runtime"
	"runtime/metrics"
	"testing"
)

func TestGarbagePercent(t *testing.T) {
	for _, tt := range []struct {
		live uint64
		want int
	}{{0, 100}, {4 << 20, 100}, {32 << 20, 100}, {64 << 20, 50}, {128 << 20, 25}, {160 << 20, 20}, {16 << 30, 20}} {
		if got := garbagePercent(tt.live); got != tt.want {
			t.Errorf("beside %d bytes %d %% may wait, want %d", tt.live, got, tt.want)
		}
	}
}

// TestGarbageIsBounded as soon as much is in use, and no longer than that.
func TestGarbageIsBounded(t *testing.T) {
	t.Setenv("GOGC", "")
	boundGarbage()
	until := func(reached func(percent uint64) bool) {
		t.Helper()
		now := []metrics.Sample{{Name: "/gc/gogc:percent"}}
		for range 1000 {
			runtime.GC()
			if metrics.Read(now); reached(now[0].Value.Uint64()) {
				return
			}
		}
		t.Errorf("%d %% of garbage may wait", now[0].Value.Uint64())
	}
	much := make([]byte, 128<<20)
	until(func(percent uint64) bool { return percent <= 25 })
	runtime.KeepAlive(much)
	until(func(percent uint64) bool { return percent > 25 })
}
