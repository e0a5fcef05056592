package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A server is something that speaks the Image API: vitrined, or Glance.
type server struct {
	*testservers.Server
	dir string // its data
	mnt string // its mount, "" for none

	token string // that requests show, "" for none
}

// startDaemon runs vitrined with the data in dir/data and, if asked for, a mount at dir/mnt.
func startDaemon(ctx context.Context, program, dir string, mounted bool, config string) (*server, error) {
	s := &server{dir: filepath.Join(dir, "data")}
	if mounted {
		s.mnt = filepath.Join(dir, "mnt")
		// A disk that is read as often as here would become a file, and the kernel would be measured.
		config = fmt.Sprintf("[mount]\npath = %q\nrequired = true\nraw_cache_size = \"0B\"\n%s", s.mnt, config)
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "vitrined.toml")
	var err error
	s.Server, err = testservers.HTTP(ctx, dir, program, func(address string) ([]string, error) {
		toml := fmt.Sprintf("data = %q\n[api]\nlisten = [%q]\n%s", s.dir, address, config)
		return []string{"--config", path}, os.WriteFile(path, []byte(toml), 0o644)
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// cpu measures the processor time that the server uses while fn runs.
func (s *server) cpu(fn func() error) (time.Duration, error) {
	before, err := s.CPU()
	if err != nil {
		return 0, err
	}
	if err := fn(); err != nil {
		return 0, err
	}
	after, err := s.CPU()
	return after - before, err
}

// memory returns one of the Vm fields of /proc/PID/status in bytes, over the process and its children.
func (s *server) memory(field string) (int64, error) {
	total := int64(0)
	pids := []string{strconv.Itoa(s.Pid())}
	for len(pids) > 0 {
		pid := pids[0]
		pids = pids[1:]
		status, err := os.ReadFile("/proc/" + pid + "/status")
		if err != nil {
			return 0, err
		}
		_, rest, ok := strings.Cut(string(status), "\n"+field+":")
		if !ok {
			return 0, fmt.Errorf("no %s in /proc/%s/status", field, pid)
		}
		kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		if err != nil {
			return 0, err
		}
		total += kib << 10
		children, err := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
		if err != nil {
			return 0, err
		}
		pids = append(pids, strings.Fields(string(children))...)
	}
	return total, nil
}

// create makes an image and returns its id.
func (s *server) create(ctx context.Context, fields map[string]any) (string, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return "", err
	}
	answer, err := s.call(ctx, http.MethodPost, "/v2/images", bytes.NewReader(body), http.StatusCreated)
	if err != nil {
		return "", err
	}
	var created struct{ ID string }
	return created.ID, errors.Join(json.Unmarshal(answer, &created), ctx.Err())
}

// newDisk makes an image that takes data of a disk format.
func (s *server) newDisk(ctx context.Context, name, format string) (string, error) {
	return s.create(ctx, map[string]any{"name": name, "disk_format": format, "container_format": "bare"})
}

// put makes an image of a file and returns its id.
func (s *server) put(ctx context.Context, format, file string) (string, error) {
	id, err := s.newDisk(ctx, filepath.Base(file), format)
	if err != nil {
		return "", err
	}
	return id, s.upload(ctx, id, file)
}

// disk is the file of an image in the mount that is what a guest sees.
func (s *server) disk(id string) string { return filepath.Join(s.mnt, "by-id", id, "disk.raw") }

// readDisks reads all of several disks through the mount at once.
func (s *server) readDisks(ctx context.Context, ids []string) error {
	g, running := errgroup.WithContext(ctx)
	for _, id := range ids {
		g.Go(func() error {
			_, err := output(running, "timeout", "-s", "KILL", "120", "dd", "bs=1M", "if="+s.disk(id), "of=/dev/null")
			return err
		})
	}
	return g.Wait()
}

func (s *server) remove(ctx context.Context, id string) error {
	_, err := s.call(ctx, http.MethodDelete, "/v2/images/"+id, nil, http.StatusNoContent)
	return err
}

func (s *server) call(ctx context.Context, method, path string, body io.Reader, want int) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	if s.token != "" {
		req.Header.Set("X-Auth-Token", s.token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != want {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, answer)
	}
	return answer, err
}

// upload sends a file as an image's data with curl.
func (s *server) upload(ctx context.Context, id, file string) error {
	return curl(ctx, "-T", file, "-H", "Content-Type: application/octet-stream", "-H", "Expect:", s.URL+"/v2/images/"+id+"/file")
}

// curl runs curl quietly; an answer of 400 and above is an error.
func curl(ctx context.Context, args ...string) error {
	_, err := output(ctx, "curl", append([]string{"-sS", "--fail-with-body"}, args...)...)
	return err
}

// output runs a program, which must succeed, and returns what it printed.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s%s", name, strings.Join(args, " "), err, out, stderr.Bytes())
	}
	return out, err
}
