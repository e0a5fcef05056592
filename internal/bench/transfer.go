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
		contestants: []contestant{{"vitrined", uploads(vitrined, file)}, {"md5sum", func(ctx context.Context) (measured, error) {
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
		upload.contestants = append(upload.contestants, contestant{b.peer, uploads(glance, file)})
		download.contestants = append(download.contestants, contestant{b.peer, served})
		upload.targets = append(upload.targets, target{of: "vitrined", to: b.peer})
		download.targets = append(download.targets, target{of: "vitrined", to: b.peer})
	}
	return []row{upload, download}, nil
}

// uploads measures the data alone: the record is made before and removed after.
func uploads(s *server, file string) func(context.Context) (measured, error) {
	return func(ctx context.Context) (m measured, err error) {
		id, err := s.newDisk(ctx, "upload")
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

func downloads(ctx context.Context, s *server, file string) (func(context.Context) (measured, error), error) {
	id, err := s.newDisk(ctx, "download")
	if err != nil {
		return nil, err
	}
	if err := s.upload(ctx, id, file); err != nil {
		return nil, err
	}
	fetch := func() error { return curl(ctx, "-o", "/dev/null", s.URL+"/v2/images/"+id+"/file") }
	if err := fetch(); err != nil { // which warms the cache
		return nil, err
	}
	return func(ctx context.Context) (m measured, err error) {
		cpu, err := s.cpu(func() (err error) {
			m, err = severalTimes(fetch)
			return err
		})
		m.cpu = cpu / downloadTimes
		return m, err
	}, nil
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
