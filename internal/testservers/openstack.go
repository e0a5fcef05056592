package testservers

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
)

// openstackProgram is Debian's client; another python3 in PATH would not find its modules.
const openstackProgram = "/usr/bin/openstack"

// OpenStack runs the openstack client without authentication against an endpoint and returns what it printed on
// standard output. The error holds what it said on standard error.
func OpenStack(ctx context.Context, endpoint string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, openstackProgram, append([]string{"--os-auth-type", "none", "--os-endpoint", endpoint}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("openstack %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return stdout.String(), nil
}
