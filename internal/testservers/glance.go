package testservers

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// glanceCommands runs many commands in one process, since starting Python takes a second.
//
//go:embed glancecommands.py
var glanceCommands string

// A GlanceResult is what one command of the glance client printed. Error is what it said when it failed.
type GlanceResult struct{ Output, Error string }

// Glance runs commands of the glance client one after the other against an endpoint, without authentication, and
// returns their results. Its files go to a new directory in dir: the client keeps the schema of images in its home, and
// with it options of its next start clash (--stores), against every server.
func Glance(ctx context.Context, dir, endpoint string, commands ...[]string) ([]GlanceResult, error) {
	for i, c := range commands {
		commands[i] = append([]string{"--os-image-url", endpoint, "--os-auth-token", "none"}, c...)
	}
	in, err := json.Marshal(commands)
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp(dir, "glance")
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "/usr/bin/python3", "-c", glanceCommands)
	cmd.Env = append(os.Environ(), "HOME="+home)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("glance: %w: %s", err, strings.TrimSpace(stderr.String()))
	}
	var results []GlanceResult
	return results, json.Unmarshal(stdout.Bytes(), &results)
}
