package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"time"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// prepareImport prepares what a cloud adds: data fetched from elsewhere, Keystone's tokens, and images of other projects.
func prepareImport(ctx context.Context, b *bench, dir string) ([]row, error) {
	var rows []row
	for _, prepare := range []func(context.Context, *bench, string) (row, error){prepareDownload, prepareToken, prepareShared} {
		r, err := prepare(ctx, b, dir)
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// curlMD5 fetches the data and hashes it, in two processes.
const curlMD5 = "curl and md5sum"

func prepareDownload(ctx context.Context, b *bench, dir string) (row, error) {
	if err := randomFile(filepath.Join(dir, "random"), transferSize); err != nil {
		return row{}, err
	}
	nginx, err := testservers.Nginx(ctx, dir, dir)
	if err != nil {
		return row{}, err
	}
	b.atEnd(nginx.Stop)
	vitrined, err := b.daemon(ctx, filepath.Join(dir, "import"), false, "[outgoing]\nallow_networks = [\"127.0.0.1\"]\nallowed_ports = []\n")
	if err != nil {
		return row{}, err
	}
	url := nginx.URL + "/random"
	return row{name: "web-download of 1 GiB", unit: "MiB/s",
		contestants: []contestant{{"vitrined", imports(vitrined, url)}, {curlMD5, func(ctx context.Context) (measured, error) {
			return timed(func() error {
				_, err := output(ctx, "sh", "-c", `curl -sSf "$1" | md5sum`, "sh", url)
				return err
			})
		}}},
		targets: []target{{of: "vitrined", to: curlMD5, ratio: 0.7}},
	}, nil
}

// imports measures from the request until the image is active: the record is made before and removed after.
func imports(s *server, url string) func(context.Context) (measured, error) {
	return func(ctx context.Context) (m measured, err error) {
		id, err := s.newDisk(ctx, "import", "raw")
		if err != nil {
			return m, err
		}
		body, err := json.Marshal(map[string]any{"method": map[string]string{"name": "web-download", "uri": url}})
		if err != nil {
			return m, err
		}
		cpu, err := s.cpu(func() (err error) {
			m, err = timed(func() error {
				if _, err := s.call(ctx, http.MethodPost, "/v2/images/"+id+"/import", bytes.NewReader(body), http.StatusAccepted); err != nil {
					return err
				}
				return s.untilActive(ctx, id)
			})
			return err
		})
		if err != nil {
			return m, err
		}
		m.cpu = cpu
		return m, s.remove(ctx, id)
	}
}

// untilActive asks again and again until an import has ended.
func (s *server) untilActive(ctx context.Context, id string) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		answer, err := s.call(ctx, http.MethodGet, "/v2/images/"+id, nil, http.StatusOK)
		if err != nil {
			return err
		}
		var img struct{ Status string }
		if err := json.Unmarshal(answer, &img); err != nil {
			return err
		}
		switch img.Status {
		case "active":
			return nil
		case "importing":
		default:
			return fmt.Errorf("the image is %s: %s", img.Status, answer)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
