package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/fusefs"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/processes"
)

// lookTime is how long the open files of other processes may be looked at.
const lookTime = 2 * time.Second

// openersOf returns what tells which processes have an image open through the mount: those that the mount knows, and those that
// can be seen to, such as the ones that a process before this one served.
func openersOf(ctx context.Context, m *fusefs.Mount) func(*image.Image) []image.Process {
	return func(img *image.Image) (found []image.Process) {
		add := func(p image.Process) {
			if !slices.ContainsFunc(found, func(f image.Process) bool { return f.PID == p.PID }) {
				found = append(found, p)
			}
		}
		for _, o := range m.Openers(img.Number) {
			p, ok := processes.Describe(o.PID, o.Since)
			if !ok {
				p = image.Process{PID: o.PID}
			}
			add(p)
		}
		ctx, stop := context.WithTimeout(ctx, lookTime)
		defer stop()
		for _, pid := range processes.Holding(ctx, "/by-id/"+string(img.ID)+"/") {
			if p, ok := processes.Describe(pid, time.Time{}); ok {
				add(p)
			}
		}
		return found
	}
}
