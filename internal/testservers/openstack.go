package testservers

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// openstackProgram is Debian's client; another python3 in PATH would not find its modules.
const openstackProgram = "/usr/bin/openstack"

// OpenStack runs the openstack client without authentication against an endpoint and returns what it printed on
// standard output. The error holds what it said on standard error.
func OpenStack(ctx context.Context, endpoint string, args ...string) (string, error) {
	return openStack(exec.CommandContext(ctx, openstackProgram, append([]string{"--os-auth-type", "none", "--os-endpoint", endpoint}, args...)...))
}

// OpenStack runs the openstack client as a user of this Keystone in a project (by name); everything else it learns from
// the catalog. It returns what the function of that name does.
func (k *Keystone) OpenStack(ctx context.Context, user, password, project string, args ...string) (string, error) {
	return openStack(k.openStackAs(ctx, user, password, project, args...))
}

// Operate runs commands of the openstack client as admin, all in one process, and returns an error when one of them says
// anything on standard error.
func (k *Keystone) Operate(ctx context.Context, commands ...string) error {
	cmd := k.openStackAs(ctx, "admin", k.Password, "admin")
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil || stderr.Len() > 0 {
		return fmt.Errorf("openstack %s: %w: %s", strings.Join(commands, "; "), cmp.Or(err, errors.New("a command failed")), &stderr)
	}
	return nil
}

func (k *Keystone) openStackAs(ctx context.Context, user, password, project string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, openstackProgram, args...)
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "OS_") {
			cmd.Env = append(cmd.Env, pair)
		}
	}
	cmd.Env = append(cmd.Env, "OS_AUTH_URL="+k.AuthURL, "OS_USERNAME="+user, "OS_PASSWORD="+password, "OS_PROJECT_NAME="+project,
		"OS_USER_DOMAIN_ID="+Domain, "OS_PROJECT_DOMAIN_ID="+Domain, "OS_IDENTITY_API_VERSION=3", "OS_REGION_NAME="+Region)
	return cmd
}

func openStack(cmd *exec.Cmd) (string, error) {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("openstack %s: %w: %s", strings.Join(cmd.Args[1:], " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
