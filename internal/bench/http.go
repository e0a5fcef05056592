package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"time"
)

// What Glance 25.1 did on a machine with 2 cores (SQLite, 2 workers), for runs without it at our side.
const (
	glanceGets    = 168.0
	glanceLists   = 18.0
	glanceCreates = 58.0
)

func prepareHTTP(ctx context.Context, b *bench, dir string) ([]row, error) {
	vitrined, err := b.daemon(ctx, filepath.Join(dir, "vitrined"), false, "")
	if err != nil {
		return nil, err
	}
	script := filepath.Join(dir, "create.lua")
	if err := os.WriteFile(script, []byte(createScript), 0o644); err != nil {
		return nil, err
	}
	servers := map[string]*server{"vitrined": vitrined}
	if b.peer != "" {
		if servers[b.peer], err = b.glance(ctx, filepath.Join(dir, "glance")); err != nil {
			return nil, err
		}
	}
	rows := []row{{name: "one image, one connection"}, {name: "list of 100 out of 1,000, one connection"}, {name: "create, 8 clients"}}
	for _, name := range []string{"vitrined", b.peer} {
		s := servers[name]
		if s == nil {
			continue
		}
		id, err := s.fill(ctx, 1000)
		if err != nil {
			return nil, err
		}
		for i, args := range [][]string{
			{"-c1", "-t1", s.URL + "/v2/images/" + id},
			{"-c1", "-t1", s.URL + "/v2/images?limit=100"},
			{"-c8", "-t2", "-s", script, s.URL + "/v2/images"},
		} {
			rows[i].contestants = append(rows[i].contestants, contestant{name, requests(args)})
		}
	}
	for i, figure := range []float64{glanceGets, glanceLists, glanceCreates} {
		rows[i].unit = "requests/s"
		if b.peer != "" {
			rows[i].targets = []target{{of: "vitrined", to: b.peer, ratio: 40}}
		} else {
			rows[i].targets = []target{{of: "vitrined", figure: figure, ratio: 40, because: "Glance 25.1, measured before"}}
		}
	}
	return rows, nil
}

// createScript makes wrk create images.
const createScript = `wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"name": "created", "disk_format": "qcow2", "container_format": "bare", "tags": ["one", "two"], "os_distro": "debian"}'
`

// fill creates n images with 5 properties and 2 tags each, and returns the id of one.
func (s *server) fill(ctx context.Context, n int) (id string, err error) {
	for i := range n {
		id, err = s.create(ctx, map[string]any{"name": fmt.Sprintf("image-%d", i), "disk_format": "qcow2", "container_format": "bare",
			"tags": []string{"common", fmt.Sprintf("tag-%d", i%100)}, "os_distro": "debian", "os_version": "12", "architecture": "x86_64",
			"hw_disk_bus": "virtio", "build": strconv.Itoa(i)})
		if err != nil {
			return "", err
		}
	}
	return id, nil
}

// wrkTime is how long wrk asks in one round.
const wrkTime = 2 * time.Second

func requests(args []string) func(context.Context) (measured, error) {
	return func(ctx context.Context) (measured, error) {
		rate, _, err := wrk(ctx, args...)
		return measured{value: rate}, err
	}
}

// latency measures the median in milliseconds instead, on one connection.
func latency(args ...string) func(context.Context) (measured, error) {
	return func(ctx context.Context) (measured, error) {
		_, p50, err := wrk(ctx, append([]string{"-c1", "-t1"}, args...)...)
		return measured{value: p50.Seconds() * 1000}, err
	}
}

var (
	wrkRate = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkP50  = regexp.MustCompile(`50%\s+([0-9.]+(?:us|ms|s|m))`)
	wrkBad  = regexp.MustCompile(`(Non-2xx or 3xx responses|Socket errors):.*`)
)

// wrk returns the requests answered in a second and the median latency; any answer but 2xx is an error.
func wrk(ctx context.Context, args ...string) (rate float64, p50 time.Duration, err error) {
	out, err := output(ctx, "wrk", append([]string{"-d", fmt.Sprint(wrkTime.Seconds()) + "s", "--latency"}, args...)...)
	if err != nil {
		return 0, 0, err
	}
	if bad := wrkBad.Find(out); bad != nil {
		return 0, 0, fmt.Errorf("wrk %v: %s", args, bad)
	}
	found, middle := wrkRate.FindSubmatch(out), wrkP50.FindSubmatch(out)
	if found == nil || middle == nil {
		return 0, 0, fmt.Errorf("wrk %v printed no rate: %s", args, out)
	}
	rate, err1 := strconv.ParseFloat(string(found[1]), 64)
	p50, err2 := time.ParseDuration(string(middle[1]))
	return rate, p50, errors.Join(err1, err2)
}
