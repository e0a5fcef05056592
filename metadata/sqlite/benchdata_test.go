package sqlite_test

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

// benchImages is the size of the large database, from VITRINE_BENCH_IMAGES.
func benchImages(tb testing.TB) int {
	s := os.Getenv("VITRINE_BENCH_IMAGES")
	if s == "" {
		return 20_000
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1000 {
		tb.Fatalf("VITRINE_BENCH_IMAGES=%s: want a number of at least 1000", s)
	}
	return n
}

// benchDB opens a database with n images. It is kept in VITRINE_BENCH_DIR for the next time, if that is set.
func benchDB(tb testing.TB, n int) *sqlite.DB {
	tb.Helper()
	dir := os.Getenv("VITRINE_BENCH_DIR")
	if dir == "" {
		dir = tb.TempDir()
	}
	schema, err := os.ReadFile("migrations/0001_start.sql")
	if err != nil {
		tb.Fatal(err)
	}
	path := filepath.Join(dir, fmt.Sprintf("bench-%d-%x.db", n, sha256.Sum256(schema))[:40]+".db")
	if _, err := os.Stat(path); err != nil {
		generate(tb, path, n)
	}
	return open(tb, path)
}

// generate makes it under another name first: half a database is none.
func generate(tb testing.TB, path string, n int) {
	tb.Helper()
	start := time.Now()
	partial := path + ".partial"
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(partial + suffix); err != nil && !os.IsNotExist(err) {
			tb.Fatal(err)
		}
	}
	db, err := sqlite.Open(ctx, sqlite.Config{Path: partial, CacheBytes: 3 << 30})
	if err != nil {
		tb.Fatal(err)
	}
	const batch = 200_000 // every batch writes nearly every page: the ids are random
	for from := 0; from < n; from += batch {
		err := db.Update(ctx, func(tx metadata.WriteTx) error {
			for i := from; i < min(from+batch, n); i++ {
				if err := createBench(tx, i, n); err != nil {
					return err
				}
			}
			last, err := tx.LastChange()
			if err != nil {
				return err
			}
			_, err = tx.DropChanges(last, int(last))
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
	if err := os.Rename(partial, path); err != nil {
		tb.Fatal(err)
	}
	tb.Logf("made %d images in %s", n, time.Since(start).Round(time.Second))
}

// The projects of the generated images: one with a tenth of them, one with 20, and 200 that share the rest. One image in 100 is
// shared with the dense project, and one in 1000 with the sparse one, but no more than 20.
const dense, sparse = "project-dense", "project-sparse"

// benchImage is the ith of n images: 5 properties and 2 tags, visibilities, sizes, names and times mixed.
func benchImage(i, n int) *image.Image {
	h := sha256.Sum256(fmt.Append(nil, "image ", i))
	at := func(k int) int { return int(binary.LittleEndian.Uint16(h[2*k:])) }
	name := fmt.Sprint("image-", i)
	if at(0)%3 > 0 {
		name = fmt.Sprint("debian-", at(0)%1000)
	}
	owner := fmt.Sprint("project-", at(1)%200)
	switch {
	case i%(n/20) == 3:
		owner = sparse
	case at(1)%10 == 0:
		owner = dense
	}
	pick := func(k int, values ...string) string { return values[at(k)%len(values)] }
	size := int64(binary.LittleEndian.Uint32(h[28:])) << 4
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(i) * 7 * time.Second)
	img := &image.Image{
		ID: image.NewID(), Name: &name, Owner: owner, Size: &size, VirtualSize: &size,
		Status:          image.Status(pick(2, "active", "active", "active", "active", "active", "active", "active", "active", "queued", "deactivated")),
		Visibility:      image.Visibility(pick(3, "public", "public", "public", "shared", "shared", "shared", "shared", "private", "private", "community")),
		Hidden:          at(4)%100 == 0,
		DiskFormat:      pick(5, "qcow2", "qcow2", "qcow2", "raw", "iso", "vmdk"),
		ContainerFormat: pick(6, "bare", "bare", "bare", "ova"),
		Checksum:        fmt.Sprintf("%x", h[:16]), HashAlgo: "sha512", HashValue: fmt.Sprintf("%x%x", h, h),
		MinDisk: int64(at(7) % 50), MinRAM: int64(at(8) % 5 * 512),
		Tags: []string{pick(9, "lts", "daily"), fmt.Sprint("build-", at(10)%2000)},
		Properties: map[string]string{
			"os_distro": pick(11, "debian", "ubuntu", "alma", "fedora"), "architecture": pick(12, "x86_64", "aarch64"),
			"os_version": fmt.Sprint(at(13) % 30), "instance_uuid": fmt.Sprintf("%x", h[16:]), "class": class(i, n),
		},
		CreatedAt: created, UpdatedAt: created.Add(time.Duration(at(0)) * time.Hour),
		Locations: []image.Location{{Store: "local", URL: fmt.Sprintf("file:///var/lib/vitrine/images/%x/%x", h[:1], h)}},
	}
	return img
}

// class gives 10 images the class rare, 10,000 (or a third) the class some, and the others a common one.
func class(i, n int) string {
	switch {
	case i%(n/10) == 5:
		return "rare"
	case i%max(n/10_000, 3) == 1:
		return "some"
	}
	return "common"
}

func createBench(tx metadata.WriteTx, i, n int) error {
	img := benchImage(i, n)
	if err := tx.CreateImage(img); err != nil {
		return err
	}
	for project, every := range map[string]int{dense: 100, sparse: max(n/20, 1000)} {
		if i%every == 7 {
			img.Visibility = image.Shared
			if err := tx.SaveImage(img); err != nil {
				return err
			}
			if err := tx.SaveMember(img.Number, project, "accepted", img.CreatedAt); err != nil {
				return err
			}
		}
	}
	return nil
}
