package main

import (
	"cmp"
	"os"

	"golang.org/x/term"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/internal/commandline"
	"github.com/vitrine-image/vitrine/internal/version"
)

// An app is what all commands share: the global flags and the connection.
type app struct {
	endpoint string
	json     bool
	quiet    bool

	conn *client.Client
}

// client returns the connection to the server, which is made by the first request.
func (a *app) client() (*client.Client, error) {
	if a.conn != nil {
		return a.conn, nil
	}
	conn, err := client.New(client.Config{
		Endpoint:  cmp.Or(a.endpoint, os.Getenv("VITRINE_ENDPOINT")),
		Token:     os.Getenv("VITRINE_TOKEN"),
		UserAgent: "vitrine/" + version.String(),
	})
	if err != nil {
		return nil, commandline.UsageError{Err: err}
	}
	a.conn = conn
	return conn, nil
}

func (a *app) close() {
	if a.conn != nil {
		a.conn.Close()
	}
}

// isTerminal reports whether the stream is a terminal that a person looks at.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}
