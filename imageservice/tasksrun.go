package imageservice

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/requestid"
	"github.com/vitrine-image/vitrine/metadata"
)

// running knows the tasks that this process works on.
type running struct {
	added chan struct{} // gets a token when there is a new one

	mu     sync.Mutex
	tasks  map[image.ID]work
	tokens map[image.ID]image.Secret // of who asked, which no disk is to hold
}

// work is what a process does for a task.
type work struct {
	image  image.ID
	cancel context.CancelCauseFunc
}

func newRunning() *running {
	return &running{added: make(chan struct{}, 1), tasks: make(map[image.ID]work),
		tokens: make(map[image.ID]image.Secret)}
}

// start notes a task, unless it runs already.
func (r *running) start(t *image.Task, cancel context.CancelCauseFunc) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, runs := r.tasks[t.ID]; runs {
		return false
	}
	r.tasks[t.ID] = work{t.ImageID, cancel}
	return true
}

func (r *running) end(id image.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tasks, id)
}

func (r *running) keepToken(id image.ID, token image.Secret) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens[id] = token
}

func (r *running) dropToken(id image.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tokens, id)
}

// TaskToken returns the token of who asked for a task, "" if it is not known any more: it is kept in memory alone.
func (s *Service) TaskToken(task *image.Task) image.Secret {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	return s.tasks.tokens[task.ID]
}

// cancelTask ends the work on a task in this process.
func (s *Service) cancelTask(id image.ID) {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	if w, runs := s.tasks.tasks[id]; runs {
		w.cancel(errTaskTaken)
	}
}

// cancelTasksOf ends the work on tasks of a deleted image in this process; who takes them up again finds it gone.
func (s *Service) cancelTasksOf(id image.ID) {
	s.tasks.mu.Lock()
	defer s.tasks.mu.Unlock()
	for _, w := range s.tasks.tasks {
		if w.image == id {
			w.cancel(errTaskTaken)
		}
	}
}

// errTaskTaken is told to who works on a task that is his no more: nothing of it is his business from then on.
var errTaskTaken = errors.New("somebody else has the task now")

// RunTask calls run with the oldest task that nobody works on, and reports whether there was one, even if it was cancelled before
// run was called. The task is this process's until run returns; a process that ends in between leaves it to the next. run gets a
// copy that is its own.
func (s *Service) RunTask(ctx context.Context, run func(context.Context, *image.Task) error) (ran bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	task, err := s.takeTask(ctx, cancel)
	if err != nil && context.Cause(ctx) == errTaskTaken { // while it was taken; there may be others
		return true, nil
	}
	if err != nil || task == nil {
		return false, err
	}
	defer s.tasks.end(task.ID)
	ctx = requestid.With(ctx, task.RequestID)
	if err := run(ctx, task); err != nil && !errors.Is(err, errTaskTaken) && context.Cause(ctx) != errTaskTaken {
		return true, fmt.Errorf("task %s of image %s: %w", task.ID, task.ImageID, err)
	}
	return true, nil
}

// takeTask makes a task this instance's.
func (s *Service) takeTask(ctx context.Context, cancel context.CancelCauseFunc) (*image.Task, error) {
	var open []*image.Task
	var instances map[string]time.Time
	err := s.db.View(ctx, func(tx metadata.Tx) (err error) {
		if open, err = tx.OpenTasks(); err == nil {
			instances, err = tx.Instances()
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, seen := range open {
		beat, alive := instances[seen.Instance]
		mine := seen.Instance == s.instance
		if !seen.Type.Planned() || !mine && alive && s.now().Sub(beat) < deadAfter || !s.tasks.start(seen, cancel) {
			continue
		}
		task, err := s.lease(ctx, seen)
		if task != nil {
			return task, nil
		}
		s.tasks.end(seen.ID)
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// lease names this instance in the task, if it still is as it was seen; else it returns nil.
func (s *Service) lease(ctx context.Context, seen *image.Task) (task *image.Task, err error) {
	var begun bool
	err = s.db.Update(ctx, func(tx metadata.WriteTx) error {
		task, begun = nil, false
		now, err := tx.Task(seen.ID)
		if errors.Is(err, image.ErrNotFound) {
			return nil
		}
		if err != nil || now.Instance != seen.Instance || now.Status.Ended() {
			return err
		}
		if begun = now.Status == image.TaskPending; begun {
			if err := now.SetStatus(image.TaskProcessing, s.timestamp(), 0); err != nil {
				return err
			}
		}
		if plan, err := now.Plan(); err == nil { // what cannot be read whoever runs the task has to end
			plan.Attempts++
			if err := now.SetPlan(plan); err != nil {
				return err
			}
		}
		now.Instance, now.UpdatedAt = s.instance, s.timestamp()
		task = now
		return tx.SaveTask(now)
	})
	if err != nil || task == nil {
		return nil, err
	}
	s.tellTask(ctx, events.TaskRun, task)
	if begun {
		s.tellTask(ctx, events.TaskProcessing, task)
	}
	return task, nil
}

// Progress records what the task has to say, if it still is this process's. Errors: one that ends the work if it is not.
func (s *Service) Progress(ctx context.Context, task *image.Task, message string) error {
	return s.db.Update(ctx, func(tx metadata.WriteTx) error {
		now, err := s.ownTask(tx, task.ID)
		if err != nil {
			return err
		}
		now.Message, now.UpdatedAt = message, s.timestamp()
		return tx.SaveTask(now)
	})
}

// ownTask returns the task as it is, if this process still works on it. Error: errTaskTaken.
func (s *Service) ownTask(tx metadata.Tx, id image.ID) (*image.Task, error) {
	task, err := tx.Task(id)
	if errors.Is(err, image.ErrNotFound) || err == nil && (task.Status.Ended() || task.Instance != s.instance) {
		return nil, errTaskTaken
	}
	return task, err
}

// ReleaseTask gives a task back that the process cannot finish because it stops.
func (s *Service) ReleaseTask(ctx context.Context, task *image.Task) error {
	return s.db.Update(ctx, func(tx metadata.WriteTx) error {
		now, err := s.ownTask(tx, task.ID)
		if err != nil {
			return err
		}
		plan, err := now.Plan()
		if err != nil {
			return err
		}
		plan.Attempts--
		if err := now.SetPlan(plan); err != nil {
			return err
		}
		now.Instance = ""
		return tx.SaveTask(now)
	})
}
