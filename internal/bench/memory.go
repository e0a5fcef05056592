package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"github.com/vitrine-image/vitrine/diskformat"
)

const (
	memoryTransfers = 64
	memorySize      = 256 << 20
	memoryDisk      = 64 << 20

	withCeph = "vitrined with Ceph" // whose libraries are in memory also while no store needs them
)

func prepareMemory(ctx context.Context, b *bench, dir string) ([]row, error) {
	idle := row{name: "idle, 1,000 images", unit: "MiB",
		targets: []target{{of: "vitrined", figure: 1, ratio: 40, atMost: true, because: "1 MiB"}, {of: "vitrined", to: withCeph, atMost: true}}}
	program := filepath.Join(dir, "vitrined-without-ceph")
	if _, err := output(ctx, "go", "build", "-tags=", "-o", program, "./cmd/vitrined"); err != nil {
		return nil, err
	}
	servers := map[string]func() (*server, error){
		"vitrined": func() (*server, error) {
			return b.daemonOf(ctx, program, filepath.Join(dir, "vitrined"), os.Geteuid() == 0, "")
		},
		withCeph: func() (*server, error) {
			return b.daemon(ctx, filepath.Join(dir, "ceph"), os.Geteuid() == 0, "")
		},
	}
	if b.peer != "" {
		servers[b.peer] = func() (*server, error) { return b.glance(ctx, filepath.Join(dir, "glance")) }
		idle.targets = append(idle.targets, target{of: "vitrined", to: b.peer, atMost: true})
	}
	var vitrined *server
	for _, name := range []string{"vitrined", withCeph, b.peer} {
		if servers[name] == nil {
			continue
		}
		s, err := servers[name]()
		if err != nil {
			return nil, err
		}
		if name == "vitrined" {
			vitrined = s
		}
		if _, err := s.fill(ctx, 1000); err != nil {
			return nil, err
		}
		if _, err := s.call(ctx, http.MethodGet, "/v2/images?limit=1000", nil, http.StatusOK); err != nil {
			return nil, err
		}
		idle.contestants = append(idle.contestants, contestant{name, func(context.Context) (measured, error) { return resident(s, "VmRSS") }})
	}
	file := filepath.Join(dir, "random")
	if err := randomFile(file, memorySize); err != nil {
		return nil, err
	}
	source, err := vitrined.put(ctx, "raw", file)
	if err != nil {
		return nil, err
	}
	views, err := b.prepareManyViews(ctx, program, dir)
	if err != nil {
		return nil, err
	}
	return []row{idle, {name: "64 uploads and 64 downloads at once", unit: "MiB",
		contestants: []contestant{{"vitrined", func(ctx context.Context) (measured, error) { return loaded(ctx, vitrined, file, source) }}},
		targets:     []target{{of: "vitrined", figure: 1, ratio: 150, atMost: true, because: "1 MiB"}}}, views}, nil
}

// prepareManyViews prepares to read compressed images as disks through the mount of a daemon, half of them zlib and half zstd.
func (b *bench) prepareManyViews(ctx context.Context, program, dir string) (row, error) {
	r := row{name: "64 readers of 64 compressed images, through the mount", unit: "MiB", targets: []target{{of: "vitrined", figure: 1, ratio: 256, atMost: true}}}
	if os.Geteuid() != 0 {
		return r, errors.New("measuring the mount needs root, to drop the page cache")
	}
	s, err := b.daemonOf(ctx, program, filepath.Join(dir, "views"), true, "")
	if err != nil {
		return r, err
	}
	raw := filepath.Join(dir, "raw")
	if err := b.programs(raw, memoryDisk); err != nil {
		return r, err
	}
	var ids []string
	for _, name := range []string{zlib, zstd} {
		file, err := convert(ctx, raw, name)
		if err != nil {
			return r, err
		}
		for range memoryTransfers / 2 {
			id, err := s.put(ctx, diskformat.QCOW2, file)
			if err != nil {
				return r, err
			}
			ids = append(ids, id)
		}
	}
	r.contestants = []contestant{{"vitrined", func(ctx context.Context) (measured, error) {
		if err := dropCaches("3"); err != nil {
			return measured{}, err
		}
		return peak(s, func() error { return s.readDisks(ctx, ids) })
	}}}
	return r, nil
}

func resident(s *server, field string) (measured, error) {
	bytes, err := s.memory(field)
	return measured{value: float64(bytes) / (1 << 20)}, err
}

// peak returns the most memory that the server had while fn ran.
func peak(s *server, fn func() error) (measured, error) {
	// 5 resets the peak. Source: proc(5), clear_refs.
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.Pid()), []byte("5"), 0o200); err != nil {
		return measured{}, err
	}
	if err := fn(); err != nil {
		return measured{}, err
	}
	return resident(s, "VmHWM")
}

// loaded returns the peak of memory while everything runs at once.
func loaded(ctx context.Context, s *server, file, source string) (measured, error) {
	ids := make([]string, memoryTransfers)
	for i := range ids {
		var err error
		if ids[i], err = s.newDisk(ctx, fmt.Sprintf("upload-%d", i), "raw"); err != nil {
			return measured{}, err
		}
	}
	m, err := peak(s, func() error {
		g, running := errgroup.WithContext(ctx)
		for _, id := range ids {
			g.Go(func() error { return s.upload(running, id, file) })
			g.Go(func() error { return s.fetch(running, "/v2/images/"+source+"/file") })
		}
		return g.Wait()
	})
	if err != nil {
		return m, err
	}
	for _, id := range ids {
		if err := s.remove(ctx, id); err != nil {
			return m, err
		}
	}
	return m, nil
}
