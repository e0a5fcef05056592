package imageservice

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestAHoldThatIsJustEndingIsAwaited closes a file a moment after the deletion has begun, as the kernel does.
func TestAHoldThatIsJustEndingIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHolds(func() {})
		start := time.Now()
		for range 2 {
			if err := h.hold(t.Context(), 7); err != nil {
				t.Fatal(err)
			}
		}
		h.waitIdle(t.Context(), 8, closing)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("waited %s for an image that nobody holds", waited)
		}
		h.waitIdle(t.Context(), 7, closing)
		if waited := time.Since(start); waited != closing || h.users(7) != 2 {
			t.Errorf("waited %s for %d who stay, want %s", waited, h.users(7), closing)
		}
		start = time.Now()
		for _, after := range []time.Duration{10 * time.Millisecond, 20 * time.Millisecond} {
			time.AfterFunc(after, func() { h.release(7) })
		}
		h.waitIdle(t.Context(), 7, closing)
		if waited := time.Since(start); waited != 20*time.Millisecond || h.users(7) != 0 {
			t.Errorf("waited %s, and %d hold the image, want 20ms and none", waited, h.users(7))
		}
		if len(h.idle) != 0 {
			t.Errorf("%d channels are left", len(h.idle))
		}
	})
}
