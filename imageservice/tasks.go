package imageservice

import (
	"context"
	"errors"
	"slices"

	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// Tasks returns a page of tasks: of every project to an admin, else of the caller's own.
// Errors: image.ErrForbidden for who may not use the tasks API, image.ErrInvalid for an unknown marker.
func (s *Session) Tasks(ctx context.Context, q image.TaskQuery) (page []*image.Task, err error) {
	defer s.recordRefusal(ctx, events.TaskObject, "", &err)
	if err := s.mayUseTasks(ctx, policy.GetTasks); err != nil {
		return nil, err
	}
	if !s.caller.IsAdmin() {
		if q.Owner = s.caller.ProjectID; q.Owner == "" {
			return nil, nil // "" would be everybody
		}
	}
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		page, err = tx.Tasks(q)
		return err
	})
	return page, err
}

// Task returns a task. Errors: image.ErrNotFound, image.ErrForbidden for who may not use the tasks API.
func (s *Session) Task(ctx context.Context, id image.ID) (t *image.Task, err error) {
	defer s.recordRefusal(ctx, events.TaskObject, string(id), &err)
	if err := s.mayUseTasks(ctx); err != nil {
		return nil, err
	}
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		t, err = tx.Task(id)
		return err
	})
	if err == nil && !s.caller.IsAdmin() && t.Owner != s.caller.ProjectID {
		err = image.ErrNotFound
	}
	if errors.Is(err, image.ErrNotFound) {
		return nil, image.Errorf(image.ErrNotFound, "No task found with ID %s", id)
	}
	if err != nil {
		return nil, err
	}
	return t, s.svc.policy.Check(ctx, s.caller, policy.GetTask, taskTarget(t))
}

// ImageTasks returns what was done to bring in the data of an image, the newest first: to its owner, its members and
// admins; nothing to others who see it. Errors: image.ErrNotFound.
func (s *Session) ImageTasks(ctx context.Context, id image.ID) (tasks []*image.Task, err error) {
	defer s.recordRefusal(ctx, events.ImageObject, string(id), &err)
	var img *image.Image
	var member string
	err = s.svc.db.View(ctx, func(tx metadata.Tx) error {
		if img, member, err = s.load(tx, id); err != nil {
			return err
		}
		tasks, err = tx.ImageTasks(id)
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := s.check(ctx, img, member, policy.GetImage); err != nil {
		return nil, err
	}
	if !s.caller.IsAdmin() && (s.caller.ProjectID == "" || img.Owner != s.caller.ProjectID && member == "") {
		return nil, nil
	}
	return slices.DeleteFunc(tasks, func(t *image.Task) bool {
		return !s.svc.policy.Allows(ctx, s.caller, policy.GetTask, taskTarget(t))
	}), nil
}

// taskPage bounds what DropTasks drops in one transaction.
const taskPage = 256

// DropTasks forgets the tasks that have expired.
func (s *Service) DropTasks(ctx context.Context) error {
	for {
		var dropped []*image.Task
		err := s.db.UpdateFreeing(ctx, func(tx metadata.WriteTx) (err error) {
			dropped, err = tx.DropTasks(s.timestamp(), taskPage)
			return err
		})
		if err != nil || len(dropped) == 0 {
			return err
		}
		s.log.DebugContext(ctx, "tasks expired", "tasks", len(dropped))
		for _, task := range dropped {
			s.tellTask(ctx, events.TaskDelete, task)
		}
	}
}

// mayUseTasks asks whether the caller may use the tasks API, and then the rule of the operation.
func (s *Session) mayUseTasks(ctx context.Context, rules ...string) error {
	for _, rule := range append([]string{policy.TasksAPIAccess}, rules...) {
		if err := s.svc.policy.Check(ctx, s.caller, rule, policy.ForProject(s.caller.ProjectID)); err != nil {
			return err
		}
	}
	return nil
}

func taskTarget(t *image.Task) policy.Target {
	return policy.ForTask(string(t.ID), string(t.Type), string(t.Status), t.Owner)
}
