package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

const mountSize = 2 << 30

// Contestants of the rows that read through a mount.
const (
	itself         = "the file itself"
	passthrough    = "vitrined, passthrough"
	noPassthrough  = "vitrined, no passthrough"
	qemuDaemonName = "qemu-storage-daemon"
	rawView        = "vitrined, disk.raw"
)

// A reading is a way to read a file with fio.
type reading struct {
	name, unit string
	args       []string
	served     float64 // wanted of a mount without passthrough, compared with qemu-storage-daemon
	converted  float64 // and when the image is a qcow2 for both
}

// readings are all that are measured through mounts.
var readings = func() []reading {
	sequential := []string{"--rw=read", "--bs=1M", "--size=512M"}
	random := []string{"--rw=randread", "--bs=4k", "--time_based", "--runtime=2"}
	return []reading{
		{"sequential 1 MiB, buffered", "MiB/s", sequential, 0.95, 1},
		{"sequential 1 MiB, O_DIRECT", "MiB/s", append([]string{"--direct=1"}, sequential...), 0.95, 1},
		{"random 4 KiB, depth 1, buffered", "reads/s", random, 0.95, 1},
		{"random 4 KiB, depth 1, O_DIRECT", "reads/s", append([]string{"--direct=1"}, random...), 0.95, 1},
		{"random 4 KiB, depth 16, buffered", "reads/s", append([]string{"--numjobs=16"}, random...), 0.95, 0.85},
		{"random 4 KiB, depth 16, O_DIRECT", "reads/s", append([]string{"--direct=1", "--ioengine=libaio", "--iodepth=16"}, random...), 0.8, 0.85},
	}
}()

func prepareMount(ctx context.Context, b *bench, dir string) ([]row, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("measuring the mount needs root, to drop the page cache")
	}
	source := filepath.Join(dir, "random.raw")
	if err := randomFile(source, mountSize); err != nil {
		return nil, err
	}
	files, stored := map[string]string{}, []string{}
	for name, config := range map[string]string{passthrough: "", noPassthrough: "passthrough = false\n"} {
		s, err := b.daemon(ctx, filepath.Join(dir, fmt.Sprintf("daemon-%d", len(files))), true, config)
		if err != nil {
			return nil, err
		}
		id, err := s.put(ctx, "raw", source)
		if err != nil {
			return nil, err
		}
		files[name] = s.disk(id)
		file, err := largestFile(s.dir)
		if err != nil {
			return nil, err
		}
		stored = append(stored, file)
		if name == passthrough {
			files[itself] = file
		}
	}
	exported, err := b.export(ctx, dir, files[itself], "raw")
	if err != nil {
		return nil, err
	}
	files[qemuDaemonName] = exported
	return readRows(files, stored, func(r reading) []target {
		return []target{{of: passthrough, to: itself, ratio: 0.9}, {of: noPassthrough, to: qemuDaemonName, ratio: r.served}}
	}), nil
}

// prepareRawViews prepares to read the disk in a qcow2.
func prepareRawViews(ctx context.Context, b *bench, dir string) ([]row, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("measuring the mount needs root, to drop the page cache")
	}
	raw := filepath.Join(dir, "random.raw")
	if err := randomFile(raw, mountSize); err != nil {
		return nil, err
	}
	source, err := convert(ctx, raw, plain)
	if err != nil {
		return nil, err
	}
	s, err := b.daemon(ctx, filepath.Join(dir, "vitrined"), true, "")
	if err != nil {
		return nil, err
	}
	id, err := s.put(ctx, "qcow2", source)
	if err != nil {
		return nil, err
	}
	stored, err := largestFile(s.dir)
	if err != nil {
		return nil, err
	}
	files := map[string]string{rawView: s.disk(id)}
	if files[qemuDaemonName], err = b.export(ctx, dir, stored, "qcow2"); err != nil {
		return nil, err
	}
	return readRows(files, []string{stored}, func(r reading) []target {
		return []target{{of: rawView, to: qemuDaemonName, ratio: r.converted}}
	}), nil
}

// export lets qemu-storage-daemon export the disk in an image through FUSE, and returns the path.
func (b *bench) export(ctx context.Context, dir, image, format string) (string, error) {
	qsd, file, err := testservers.QSD(ctx, dir, image, format)
	if err == nil {
		b.atEnd(qsd.Stop)
	}
	return file, err
}

// readRows compares the files, by the names of the contestants; stored are those that lie on the disk below them.
func readRows(files map[string]string, stored []string, targets func(reading) []target) (rows []row) {
	for _, r := range readings {
		row := row{name: r.name, unit: r.unit, targets: targets(r)}
		if r.unit == "MiB/s" {
			row.passes = 5
			row.before = func(ctx context.Context) error {
				for _, file := range stored { // what of them the host keeps in memory is the same for all then
					if _, err := fio(ctx, file, r.unit, append([]string{"--direct=1"}, r.args...)); err != nil {
						return err
					}
				}
				return nil
			}
		}
		for _, name := range slices.Sorted(maps.Keys(files)) {
			row.contestants = append(row.contestants, contestant{name, func(ctx context.Context) (measured, error) {
				v, err := fio(ctx, files[name], r.unit, r.args)
				return measured{value: v}, err
			}})
		}
		rows = append(rows, row)
	}
	return rows
}

// fio reads a file with cold caches. It is a child process, and so is the server of any mount under the file.
func fio(ctx context.Context, file, unit string, args []string) (float64, error) {
	unix.Sync()
	if err := dropCaches("3"); err != nil {
		return 0, err
	}
	return fioRead(ctx, unit, append([]string{"--filename=" + file}, args...))
}

// fioRead returns what fio measures with the given options.
func fioRead(ctx context.Context, unit string, args []string) (float64, error) {
	out, err := output(ctx, "timeout", append([]string{"-s", "KILL", "120", "fio", "--name=read", "--readonly", "--thread",
		"--group_reporting", "--output-format=json"}, args...)...)
	if err != nil {
		return 0, err
	}
	var result struct {
		Jobs []struct {
			Read struct {
				BwBytes float64 `json:"bw_bytes"`
				IOPS    float64
			}
		}
	}
	if err := json.Unmarshal(out, &result); err != nil || len(result.Jobs) != 1 {
		return 0, fmt.Errorf("fio printed %d jobs: %w", len(result.Jobs), err)
	}
	if unit == "MiB/s" {
		return result.Jobs[0].Read.BwBytes / (1 << 20), nil
	}
	return result.Jobs[0].Read.IOPS, nil
}

// dropCaches forgets pages ("1"), names and inodes ("2"), or both ("3").
func dropCaches(what string) error {
	return os.WriteFile("/proc/sys/vm/drop_caches", []byte(what), 0o200)
}

// largestFile finds the image's data below a data directory.
func largestFile(dir string) (path string, err error) {
	largest := int64(0)
	err = filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > largest {
			path, largest = p, info.Size()
		}
		return err
	})
	return path, err
}
