package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// Members returns whom an image is shared with: all to its owner, to a member its own record.
// Errors: image.ErrNotFound, image.ErrForbidden when the image is not shared.
func (c *Client) Members(ctx context.Context, id image.ID) ([]image.Member, error) {
	doc, err := c.call(ctx, request{method: http.MethodGet, path: imagePath(id, "members"), repeat: true})
	if err != nil {
		return nil, err
	}
	members, err := wire.ParseMembers(doc)
	if err != nil {
		return nil, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return members, nil
}

// Member returns one member's record. Errors: image.ErrNotFound.
func (c *Client) Member(ctx context.Context, id image.ID, project string) (image.Member, error) {
	return c.memberCall(ctx, request{method: http.MethodGet, path: imagePath(id, "members", project), repeat: true}, nil)
}

// AddMember shares the image with a project. Errors: image.ErrNotFound, image.ErrForbidden, image.ErrConflict when it is
// shared with it already, image.ErrTooLarge over the quota.
func (c *Client) AddMember(ctx context.Context, id image.ID, project string) (image.Member, error) {
	return c.memberCall(ctx, request{method: http.MethodPost, path: imagePath(id, "members")}, map[string]string{"member": project})
}

// SetMemberStatus accepts or rejects an image that is shared with a project, as its members do.
// Errors: image.ErrNotFound, image.ErrForbidden, image.ErrInvalid.
func (c *Client) SetMemberStatus(ctx context.Context, id image.ID, project, status string) (image.Member, error) {
	return c.memberCall(ctx, request{method: http.MethodPut, path: imagePath(id, "members", project), repeat: true},
		map[string]string{"status": status})
}

// RemoveMember stops sharing the image with a project. Errors: image.ErrNotFound, image.ErrForbidden.
func (c *Client) RemoveMember(ctx context.Context, id image.ID, project string) error {
	_, err := c.call(ctx, request{method: http.MethodDelete, path: imagePath(id, "members", project)})
	return err
}

// memberCall sends body as JSON, unless it is nil, and returns the member that the server answers with.
func (c *Client) memberCall(ctx context.Context, r request, body map[string]string) (m image.Member, err error) {
	if body != nil {
		for _, v := range body {
			if err := checkText([]image.Edit{{Value: v}}); err != nil {
				return m, err
			}
		}
		if r.body, err = json.Marshal(body); err != nil {
			return m, fmt.Errorf("request to %s: %w", c.endpoint, err)
		}
		r.header = map[string]string{"Content-Type": "application/json"}
	}
	doc, err := c.call(ctx, r)
	if err != nil {
		return m, err
	}
	if m, err = wire.ParseMember(doc); err != nil {
		return m, fmt.Errorf("the answer of %s: %w", c.endpoint, err)
	}
	return m, nil
}
