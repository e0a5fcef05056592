package main

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"time"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

const transferSize = 1 << 30

func prepareTransfer(ctx context.Context, b *bench, dir string) ([]row, error) {
	file := filepath.Join(dir, "random")
	if err := randomFile(file, transferSize); err != nil {
		return nil, err
	}
	vitrined, err := b.daemon(ctx, filepath.Join(dir, "vitrined"), false, "")
	if err != nil {
		return nil, err
	}
	nginx, err := testservers.Nginx(ctx, dir, dir)
	if err != nil {
		return nil, err
	}
	b.atEnd(nginx.Stop)
	upload := row{name: "upload of 1 GiB", unit: "MiB/s",
		contestants: []contestant{{"vitrined", uploads(vitrined, "raw", file)}, {"md5sum", func(ctx context.Context) (measured, error) {
			return timed(func() error {
				_, err := output(ctx, "md5sum", file)
				return err
			})
		}}},
		targets: []target{{of: "vitrined", to: "md5sum", ratio: 0.75}},
	}
	served, err := downloads(ctx, vitrined, file)
	if err != nil {
		return nil, err
	}
	download := row{name: "download of 1 GiB", unit: "MiB/s",
		contestants: []contestant{{"vitrined", served}, {"nginx", func(ctx context.Context) (measured, error) {
			before, err := nginx.CPU()
			if err != nil {
				return measured{}, err
			}
			m, err := severalTimes(func() error { return curl(ctx, "-o", "/dev/null", nginx.URL+"/random") })
			if err != nil {
				return m, err
			}
			after, err := nginx.CPU()
			m.cpu = (after - before) / downloadTimes
			return m, err
		}}},
		targets: []target{{of: "vitrined", to: "nginx", ratio: 1.3}, {of: "vitrined", to: "nginx", ratio: 1, atMost: true, cpu: true}},
	}
	if b.peer != "" {
		glance, err := b.glance(ctx, filepath.Join(dir, "glance"))
		if err != nil {
			return nil, err
		}
		served, err := downloads(ctx, glance, file)
		if err != nil {
			return nil, err
		}
		upload.contestants = append(upload.contestants, contestant{b.peer, uploads(glance, "raw", file)})
		download.contestants = append(download.contestants, contestant{b.peer, served})
		upload.targets = append(upload.targets, target{of: "vitrined", to: b.peer})
		download.targets = append(download.targets, target{of: "vitrined", to: b.peer})
	}
	return []row{upload, download}, nil
}

// uploads measures the data alone: the record is made before and removed after.
func uploads(s *server, format, file string) func(context.Context) (measured, error) {
	return func(ctx context.Context) (m measured, err error) {
		id, err := s.newDisk(ctx, "upload", format)
		if err != nil {
			return m, err
		}
		cpu, err := s.cpu(func() (err error) {
			m, err = timed(func() error { return s.upload(ctx, id, file) })
			return err
		})
		if err != nil {
			return m, err
		}
		m.cpu = cpu
		return m, s.remove(ctx, id)
	}
}

// downloads measures the data of an image made of the file.
func downloads(ctx context.Context, s *server, file string) (func(context.Context) (measured, error), error) {
	id, err := s.put(ctx, "raw", file)
	if err != nil {
		return nil, err
	}
	return s.fetches(ctx, "/v2/images/"+id+"/file")
}

// fetches measures what is at the path, transferSize bytes.
func (s *server) fetches(ctx context.Context, path string) (func(context.Context) (measured, error), error) {
	if err := s.fetch(ctx, path); err != nil { // which warms the cache
		return nil, err
	}
	return func(ctx context.Context) (m measured, err error) {
		cpu, err := s.cpu(func() (err error) {
			m, err = severalTimes(func() error { return s.fetch(ctx, path) })
			return err
		})
		m.cpu = cpu / downloadTimes
		return m, err
	}, nil
}

func (s *server) fetch(ctx context.Context, path string) error {
	return curl(ctx, "-o", "/dev/null", s.URL+path)
}

// timed returns the speed at which fn moved transferSize bytes.
func timed(fn func() error) (measured, error) {
	start := time.Now()
	err := fn()
	return measured{value: transferSize / float64(1<<20) / time.Since(start).Seconds()}, err
}

// downloadTimes is how often a round downloads: once takes less than a second, of which the scheduler's whims are much.
const downloadTimes = 5

// severalTimes returns the speed of fn over downloadTimes calls.
func severalTimes(fn func() error) (measured, error) {
	m, err := timed(func() (err error) {
		for i := 0; i < downloadTimes && err == nil; i++ {
			err = fn()
		}
		return err
	})
	m.value *= downloadTimes
	return m, err
}

func randomFile(path string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	piece := make([]byte, 1<<20) // as large as the kernel's pages of files get: the smaller they are, the dearer it is to send them
	for ; size > 0; size -= int64(len(piece)) {
		piece = piece[:min(size, int64(len(piece)))]
		rand.Read(piece)
		if _, err := f.Write(piece); err != nil {
			return err
		}
	}
	return f.Sync()
}
