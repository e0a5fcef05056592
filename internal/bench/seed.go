package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

// seeded returns a directory whose data/vitrine.db knows n active images, without their bytes. It is made once for
// each schema and kept in the bench's directory.
func (b *bench) seeded(ctx context.Context, n int) (dir string, err error) {
	migrations, err := filepath.Glob("metadata/sqlite/migrations/*.sql")
	if err != nil || len(migrations) == 0 {
		return "", fmt.Errorf("run bench from the checkout: no migrations here (%w)", err)
	}
	h := sha256.New()
	for _, path := range migrations {
		b, err := os.ReadFile(path)
		if err != nil {
			return "", err
		}
		h.Write(b)
	}
	dir = filepath.Join(b.dir, fmt.Sprintf("images-%d-%s", n, hex.EncodeToString(h.Sum(nil)[:4])))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintf(os.Stderr, "making a database of %d images in %s\n", n, dir)
	unfinished := dir + ".new"
	if err := os.RemoveAll(unfinished); err != nil {
		return "", err
	}
	if err := seed(ctx, filepath.Join(unfinished, "data", "vitrine.db"), n, nil); err != nil {
		return "", fmt.Errorf("seed %d images: %w", n, err)
	}
	return dir, os.Rename(unfinished, dir)
}

// seedOwner is the project of the images.
const seedOwner = "default"

// seed makes a database of n images; then, unless nil, is called with each in its transaction.
func seed(ctx context.Context, path string, n int, then func(tx metadata.WriteTx, img *image.Image) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	defer func() {
		if closeErr := db.Close(); err == nil {
			err = closeErr
		}
	}()
	const batch = 2000
	for start := 0; start < n; start += batch {
		err := db.Update(ctx, func(tx metadata.WriteTx) error {
			for i := start; i < min(n, start+batch); i++ {
				img := seedImage(i)
				if err := tx.CreateImage(img); err != nil {
					return err
				}
				if then != nil {
					if err := then(tx, img); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// seedImage makes up the i-th image.
func seedImage(i int) *image.Image {
	name, size := fmt.Sprintf("image-%07d", i), int64(i)*2654435761%(64<<30)
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 7 * time.Second)
	id := sha256.Sum256([]byte(name))
	text := hex.EncodeToString(id[:16])
	img := &image.Image{
		ID:   image.ID(text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]),
		Name: &name, Owner: seedOwner, Status: image.Active, Visibility: image.Shared,
		DiskFormat: []string{"qcow2", "raw"}[i%2], ContainerFormat: "bare",
		Size: &size, VirtualSize: &size, Checksum: text, HashAlgo: "sha512", HashValue: hex.EncodeToString(append(id[:], id[:]...)),
		Tags: []string{"common", "spread-" + strconv.Itoa(i%100)},
		Properties: map[string]string{"os_distro": "debian", "os_version": strconv.Itoa(i % 20), "architecture": "x86_64",
			"hw_disk_bus": "virtio", "build": strconv.Itoa(i)},
		CreatedAt: created, UpdatedAt: created.Add(time.Minute),
		Locations: []image.Location{{Store: "local", URL: "file:///nowhere/" + text}},
	}
	return img
}
