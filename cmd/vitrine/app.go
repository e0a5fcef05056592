package main

import (
	"context"
	"os"

	"golang.org/x/term"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/client/cloud"
	"github.com/vitrine-image/vitrine/internal/commandline"
	"github.com/vitrine-image/vitrine/internal/version"
)

// An app is what all commands share: the global flags and the connection.
type app struct {
	endpoint string
	login    loginFlags
	json     bool
	quiet    bool

	ctx   context.Context // of the whole program, for logging in; nil is context.Background
	conn  *client.Client
	cloud *cloud.Cloud // that gives the tokens, nil for none
	known bool         // the server is told who the person is
}

// client returns the connection to the server, which is made by the first request.
func (a *app) client() (*client.Client, error) {
	if a.conn != nil {
		return a.conn, nil
	}
	cfg, err := a.reach()
	if err != nil {
		return nil, err
	}
	a.known = cfg.Token != "" || cfg.Tokens != nil || cfg.User != ""
	cfg.UserAgent = "vitrine/" + version.String()
	conn, err := client.New(cfg)
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
	if a.cloud != nil {
		a.cloud.Close()
	}
}

// isTerminal reports whether the stream is a terminal that a person looks at.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb"
}
