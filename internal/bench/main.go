// Bench measures vitrined against other programs that do the same, on one machine and in one run, and writes
// docs/benchmarks.md or, about Ceph, docs/benchmarks-ceph.md. Figures of different machines say little; ratios say more.
// Start reading at suites.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A bench is what the rows share.
type bench struct {
	program string // vitrined
	dir     string // for data, on the disk that is measured
	peer    string // "glance", or ""
	images  int    // in the large database
	rounds  int
	ceph    *testservers.Ceph // nil until somebody needs it
	cleanup []func() error
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	b := &bench{}
	var name, only string
	flag.StringVar(&name, "suite", "bench", "what to measure: "+suiteNames())
	flag.StringVar(&b.program, "program", "bin/vitrined", "the daemon to measure")
	flag.StringVar(&b.dir, "dir", ".cache/bench", "directory for data; about 25 GiB are needed there")
	flag.StringVar(&b.peer, "peer", "", "measure the HTTP rows beside this one too: glance")
	flag.IntVar(&b.images, "images", 1_000_000, "images in the large database")
	flag.IntVar(&b.rounds, "rounds", 5, "rounds of each row")
	flag.StringVar(&only, "rows", "", "measure only the groups that match this regular expression, and write no report")
	flag.Parse()
	if err := b.run(ctx, name, only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, name, only string) (err error) {
	wanted, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	r, err := newReport(name)
	if err != nil {
		return err
	}
	for _, path := range []*string{&b.program, &b.dir} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stopCeph()) }()
	for _, g := range r.suite.groups {
		if !wanted.MatchString(g.name) {
			continue
		}
		if err := b.group(ctx, g, r); err != nil {
			return fmt.Errorf("%s: %w", g.name, err)
		}
	}
	if only != "" {
		return r.write(os.Stdout, b)
	}
	f, err := os.Create(r.suite.file)
	if err != nil {
		return err
	}
	return errors.Join(r.write(f, b), f.Close())
}

// group prepares, measures and cleans up a group of rows.
func (b *bench) group(ctx context.Context, g group, r *report) (err error) {
	work, err := os.MkdirTemp(b.dir, g.name+"-")
	if err != nil {
		return err
	}
	b.cleanup = []func() error{func() error { return os.RemoveAll(work) }}
	defer func() {
		for i := len(b.cleanup) - 1; i >= 0; i-- {
			err = errors.Join(err, b.cleanup[i]())
		}
	}()
	rows, err := g.prepare(ctx, b, work)
	if err != nil {
		return err
	}
	section := section{title: g.title, note: g.note}
	for _, row := range rows {
		o, err := measure(ctx, row, b.rounds)
		if err != nil {
			return err
		}
		section.outcomes = append(section.outcomes, o)
	}
	r.sections = append(r.sections, section)
	return nil
}

func (b *bench) atEnd(fn func() error) { b.cleanup = append(b.cleanup, fn) }

// daemon starts vitrined in a directory of its own; it is stopped with the group.
func (b *bench) daemon(ctx context.Context, dir string, mounted bool, config string) (*server, error) {
	return b.daemonOf(ctx, b.program, dir, mounted, config)
}

// daemonOf is daemon, for a program that was built otherwise.
func (b *bench) daemonOf(ctx context.Context, program, dir string, mounted bool, config string) (*server, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s, err := startDaemon(ctx, program, dir, mounted, config)
	if err != nil {
		return nil, err
	}
	b.atEnd(s.Stop)
	return s, nil
}
