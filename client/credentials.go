package client

import (
	"context"
	"errors"
	"io"
	"net/http"
)

// A TokenSource gives tokens that expire. It is safe for concurrent use.
type TokenSource interface {
	// Token returns a token that is valid as far as it knows, and not the one that a server has just rejected ("" for none)
	// unless there is no other.
	Token(ctx context.Context, rejected string) (string, error)
}

// credentials say who sends requests: at most one of token, tokens, and user with password.
type credentials struct {
	token          string
	tokens         TokenSource
	user, password string
}

func (c credentials) check() error {
	given := 0
	for _, is := range []bool{c.token != "", c.tokens != nil, c.user != ""} {
		if is {
			given++
		}
	}
	if given > 1 || c.user == "" && c.password != "" {
		return errors.New("give a token, or a source of tokens, or a user with his password")
	}
	return nil
}

// current returns the token to send, "" for none.
func (c credentials) current(ctx context.Context) (string, error) {
	if c.tokens == nil {
		return c.token, nil
	}
	return c.tokens.Token(ctx, "")
}

// sendWith sends a request with a token, and once more with another one if the server rejects the first.
func (c *Client) sendWith(ctx context.Context, send func(token string, data io.Reader) (*http.Response, error), data io.Reader) (*http.Response, error) {
	token, err := c.credentials.current(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := send(token, data)
	if err != nil || resp.StatusCode != http.StatusUnauthorized || c.credentials.tokens == nil {
		return resp, err
	}
	once, isUpload := data.(*uploadBody)
	if isUpload && !once.retire() {
		return resp, nil // a part of it is gone
	}
	another, err := c.credentials.tokens.Token(ctx, token)
	if err != nil || another == token {
		if err != nil {
			resp.Body.Close()
		}
		return resp, err
	}
	resp.Body.Close()
	if isUpload {
		data = once.again()
	}
	return send(another, data)
}
