package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// TaskPage returns one page of the tasks that match the query, without their input, result and message, and whether more
// may follow: then the next page starts at the last task as its Marker. q.Owner is not used; a Limit below 1 leaves the
// size of the page to the server. Errors: image.ErrForbidden, image.ErrInvalid.
func (c *Client) TaskPage(ctx context.Context, q image.TaskQuery) (tasks []*image.Task, more bool, err error) {
	values := url.Values{}
	for key, value := range map[string]string{"type": string(q.Type), "status": string(q.Status), "sort_key": q.Sort, "marker": string(q.Marker)} {
		if value != "" {
			values.Set(key, value)
		}
	}
	if q.Asc {
		values.Set("sort_dir", "asc")
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"v2", "tasks"}, query: values, repeat: true})
	if err != nil {
		return nil, false, err
	}
	if tasks, more, err = wire.ParseTasks(doc); err != nil {
		return nil, false, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return tasks, more, nil
}

// Tasks goes through all tasks that match the query, page by page; q.Limit is the size of a page. The sequence ends with
// the first error.
func (c *Client) Tasks(ctx context.Context, q image.TaskQuery) iter.Seq2[*image.Task, error] {
	return func(yield func(*image.Task, error) bool) {
		for {
			tasks, more, err := c.TaskPage(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, t := range tasks {
				if !yield(t, nil) {
					return
				}
			}
			if !more || len(tasks) == 0 {
				return
			}
			q.Marker = tasks[len(tasks)-1].ID
		}
	}
}

// Task returns a task. Errors: image.ErrNotFound, image.ErrForbidden.
func (c *Client) Task(ctx context.Context, id image.ID) (*image.Task, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: []string{"v2", "tasks", string(id)}, repeat: true})
	if err != nil {
		return nil, err
	}
	return c.parseTask(doc)
}

func (c *Client) parseTask(doc []byte) (*image.Task, error) {
	t, err := wire.ParseTask(doc)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return t, nil
}

// CreateTask asks for a new image with data from a URL: kind is image.TaskImport, and the input has import_from, import_from_format
// and image_properties. Errors: image.ErrForbidden, image.ErrInvalid, image.ErrConflict when the id exists, *image.QuotaError.
func (c *Client) CreateTask(ctx context.Context, kind image.TaskType, input map[string]any) (*image.Task, error) {
	body, err := json.Marshal(map[string]any{"type": kind, "input": input})
	if err != nil {
		return nil, fmt.Errorf("request to %s: %w", c.endpoint, err)
	}
	doc, err := c.call(ctx, request{method: http.MethodPost, path: []string{"v2", "tasks"}, body: body,
		header: map[string]string{"Content-Type": "application/json"}})
	if err != nil {
		return nil, err
	}
	return c.parseTask(doc)
}

// ImageTasks returns the tasks of an image, the newest first. Errors: image.ErrNotFound.
func (c *Client) ImageTasks(ctx context.Context, id image.ID) ([]*image.Task, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: imagePath(id, "tasks"), repeat: true})
	if err != nil {
		return nil, err
	}
	tasks, err := wire.ParseImageTasks(doc)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return tasks, nil
}
