package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const treeImages = 100_000

func prepareTree(ctx context.Context, b *bench, dir string) ([]row, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("measuring the tree needs root, to mount a tmpfs and to drop caches")
	}
	seeded, err := b.seeded(ctx, treeImages)
	if err != nil {
		return nil, err
	}
	s, err := b.daemon(ctx, seeded, true, "")
	if err != nil {
		return nil, err
	}
	tmpfs := filepath.Join(dir, "tmpfs")
	if err := os.Mkdir(tmpfs, 0o755); err != nil {
		return nil, err
	}
	if err := unix.Mount("tmpfs", tmpfs, "tmpfs", 0, "size=1g,nr_inodes=200k"); err != nil {
		return nil, fmt.Errorf("mount a tmpfs: %w", err)
	}
	b.atEnd(func() error { return unix.Unmount(tmpfs, unix.MNT_DETACH) })
	for i := range treeImages {
		if err := os.Mkdir(filepath.Join(tmpfs, string(seedImage(i).ID)), 0o755); err != nil {
			return nil, err
		}
	}
	byID := filepath.Join(s.mnt, "by-id")
	first := func(dir string) func(context.Context) (measured, error) {
		return func(ctx context.Context) (measured, error) {
			if err := dropCaches("2"); err != nil {
				return measured{}, err
			}
			return list(ctx, dir)
		}
	}
	again := func(dir string) func(context.Context) (measured, error) {
		return func(ctx context.Context) (measured, error) {
			if _, err := list(ctx, dir); err != nil {
				return measured{}, err
			}
			return list(ctx, dir)
		}
	}
	var rows []row
	for _, r := range []struct {
		name string
		run  func(dir string) func(context.Context) (measured, error)
	}{{"first", first}, {"again", again}} {
		rows = append(rows, row{name: "ls -l of 100,000, " + r.name, unit: "s",
			contestants: []contestant{{"vitrined", r.run(byID)}, {"tmpfs", r.run(tmpfs)}},
			targets:     []target{{of: "vitrined", to: "tmpfs", ratio: 1.5, atMost: true}}})
	}
	return rows, nil
}

// list times ls, which must find every image.
func list(ctx context.Context, dir string) (measured, error) {
	start := time.Now()
	out, err := output(ctx, "timeout", "-s", "KILL", "120", "sh", "-c", `ls -l "$1" | wc -l`, "sh", dir)
	m := measured{value: time.Since(start).Seconds()}
	if lines := 0; err == nil {
		if _, err = fmt.Sscan(string(out), &lines); err == nil && lines != treeImages+1 {
			err = fmt.Errorf("ls of %s gave %d lines, want %d", dir, lines, treeImages+1)
		}
	}
	return m, err
}
