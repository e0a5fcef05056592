package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vitrine-image/vitrine/internal/guestimage"
	"github.com/vitrine-image/vitrine/internal/testservers"
	"golang.org/x/sys/unix"
)

// cephGroups is what is measured with Ceph, all of it on one cluster.
var cephGroups = []group{
	{"transfer", "Uploads and downloads",
		"1 GiB of random bytes over the loopback with curl. An upload includes MD5 and SHA-512, and is an image with a protected snapshot in the end. It is compared with the slower of two: `rbd import`, and md5sum of the same file. `rbd export` writes to a pipe.",
		prepareCephTransfer},
	{"read", "Reading",
		"fio on a raw image of 2 GiB: through the mount, through that of rbd-fuse, and with fio's own engine for RBD; and the reader below the mount, which gives the bytes to a Go program. Before each run the page cache is dropped and the daemon started anew, with an empty cache of blocks. Random reads last 2 seconds. Depth 1 is a buffered read at a time, depth 16 libaio with O_DIRECT. At depth 1 all wait for the cluster: fio's engine beside rbd-fuse shows how much faster than rbd-fuse anything could be.",
		prepareCephRead},
	{"boot", "Booting a second guest",
		"Two guests boot the same image one after the other, each from an overlay over `disk.raw` in the mount: what the OSD sent for the second one, as part of what it sent for the first. Before each pair the page cache is dropped and the daemon started anew, with an empty cache of blocks.",
		prepareCephBoot},
	{"memory", "Memory",
		"The peak of resident memory while 32 images of 64 MiB each are read through the mount at once.",
		prepareCephMemory},
}

// Contestants of the rows about Ceph.
const (
	theReader = "vitrined, reader"
	theMount  = "vitrined, mount"
	rbdFuse   = "rbd-fuse"
	fioEngine = "fio's engine"
	slower    = "the slower of rbd import and md5sum"
)

const cephPool = "images"

// cluster returns the one cluster of all groups.
func (b *bench) cluster(ctx context.Context) (_ *testservers.Ceph, err error) {
	if b.ceph == nil {
		dir, err := os.MkdirTemp(b.dir, "ceph-")
		if err != nil {
			return nil, err
		}
		if b.ceph, err = testservers.StartCeph(ctx, dir, true); err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		os.Setenv("CEPH_CONF", b.ceph.Conf) // fio's engine looks nowhere else
	}
	return b.ceph, nil
}

func (b *bench) stopCeph() error {
	if b.ceph == nil {
		return nil
	}
	return errors.Join(b.ceph.Stop(), os.RemoveAll(filepath.Dir(b.ceph.Conf)))
}

// A cephDaemon is a daemon whose only store is the pool; it can be started anew.
type cephDaemon struct {
	*server
	b   *bench
	dir string
	cfg string
}

// cephDaemon starts one with a mount.
func (b *bench) cephDaemon(ctx context.Context, dir string) (*cephDaemon, error) {
	c, err := b.cluster(ctx)
	if err != nil {
		return nil, err
	}
	d := &cephDaemon{b: b, dir: filepath.Join(dir, "vitrined"),
		cfg: fmt.Sprintf("[stores.ceph]\ntype = \"rbd\"\npool = %q\nuser = \"images\"\nconf = %q\n", cephPool, c.Conf)}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		return nil, err
	}
	b.atEnd(func() error {
		if d.server == nil {
			return nil
		}
		return d.Stop()
	})
	return d, d.restart(ctx)
}

// restart lets it forget what it has read, and so does the kernel.
func (d *cephDaemon) restart(ctx context.Context) (err error) {
	if d.server != nil {
		if err := d.Stop(); err != nil {
			return err
		}
	}
	if d.server, err = startDaemon(ctx, d.b.program, d.dir, true, d.cfg); err != nil {
		return err
	}
	return dropCaches("3")
}

func prepareCephTransfer(ctx context.Context, b *bench, dir string) ([]row, error) {
	file := filepath.Join(dir, "random")
	if err := randomFile(file, transferSize); err != nil {
		return nil, err
	}
	d, err := b.cephDaemon(ctx, dir)
	if err != nil {
		return nil, err
	}
	served, err := downloads(ctx, d.server, file)
	if err != nil {
		return nil, err
	}
	id, err := d.put(ctx, "raw", file)
	if err != nil {
		return nil, err
	}
	return []row{
		{name: "upload of 1 GiB", unit: "MiB/s", targets: []target{{of: "vitrined", to: slower, ratio: 0.6}},
			contestants: []contestant{{"vitrined", uploads(d.server, "raw", file)}, {slower, func(ctx context.Context) (measured, error) {
				imported, err := timed(func() error {
					_, err := b.ceph.RBD(ctx, "images", "import", "--no-progress", file, cephPool+"/imported")
					return err
				})
				if err != nil {
					return measured{}, err
				}
				summed, err := timed(func() error {
					_, err := output(ctx, "md5sum", file)
					return err
				})
				if err == nil {
					_, err = b.ceph.RBD(ctx, "images", "rm", "--no-progress", cephPool+"/imported")
				}
				return measured{value: min(imported.value, summed.value)}, err
			}}}},
		{name: "download of 1 GiB", unit: "MiB/s", targets: []target{{of: "vitrined", to: "rbd export", ratio: 1}},
			contestants: []contestant{{"vitrined", served}, {"rbd export", func(ctx context.Context) (measured, error) {
				return severalTimes(func() error {
					_, err := output(ctx, "sh", "-c", `rbd -c "$1" --id images export --no-progress "$2" - > /dev/null`, "sh", b.ceph.Conf, cephPool+"/"+id+"@snap")
					return err
				})
			}}}},
	}, nil
}

func prepareCephRead(ctx context.Context, b *bench, dir string) ([]row, error) {
	source := filepath.Join(dir, "random.raw")
	if err := randomFile(source, mountSize); err != nil {
		return nil, err
	}
	d, err := b.cephDaemon(ctx, dir)
	if err != nil {
		return nil, err
	}
	id, err := d.put(ctx, "raw", source)
	if err != nil {
		return nil, err
	}
	theirs := filepath.Join(dir, "rbd-fuse")
	if err := os.Mkdir(theirs, 0o755); err != nil {
		return nil, err
	}
	// It goes on in the background, and ends when it is unmounted.
	if _, err := output(ctx, "rbd-fuse", "-c", b.ceph.Conf, "-p", cephPool, theirs); err != nil {
		return nil, err
	}
	b.atEnd(func() error { return unix.Unmount(theirs, unix.MNT_DETACH) })
	r, err := openReader(ctx, b.ceph.Conf, id)
	if err != nil {
		return nil, err
	}
	b.atEnd(r.Close)
	return cephReadRows(d, id, filepath.Join(theirs, id), r), nil
}

// cephReadRows compares the ways to read the image of the given id.
func cephReadRows(d *cephDaemon, id, theirs string, r *reader) (rows []row) {
	engine := []string{"--ioengine=rbd", "--clientname=images", "--pool=" + cephPool, "--rbdname=" + id}
	for _, w := range []struct {
		name       string
		size       int
		sequential bool
		depth      int
		targets    []target
	}{
		{"sequential 1 MiB", 1 << 20, true, 1, []target{{of: theMount, to: rbdFuse, ratio: 1.5}}},
		{"random 4 KiB, depth 1", 4 << 10, false, 1, []target{{of: theMount, to: rbdFuse, ratio: 1.5}, {of: fioEngine, to: rbdFuse}, {of: theMount, to: fioEngine, ratio: 0.5}, {of: theReader, to: fioEngine, ratio: 0.75}}},
		{"random 64 KiB, depth 1", 64 << 10, false, 1, []target{{of: theMount, to: rbdFuse, ratio: 1.5}, {of: fioEngine, to: rbdFuse}, {of: theMount, to: fioEngine, ratio: 0.7}, {of: theReader, to: fioEngine, ratio: 0.9}}},
		{"random 1 MiB, depth 1", 1 << 20, false, 1, []target{{of: theMount, to: rbdFuse, ratio: 2.5}, {of: fioEngine, to: rbdFuse}, {of: theMount, to: fioEngine, ratio: 0.7}, {of: theReader, to: fioEngine, ratio: 0.9}}},
		{"random 4 KiB, depth 16", 4 << 10, false, 16, []target{{of: theMount, to: rbdFuse, ratio: 1.5}, {of: theMount, to: fioEngine, ratio: 0.5}, {of: theReader, to: fioEngine, ratio: 0.75}}},
		{"random 64 KiB, depth 16", 64 << 10, false, 16, []target{{of: theMount, to: rbdFuse, ratio: 1.5}, {of: theMount, to: fioEngine, ratio: 0.7}, {of: theReader, to: fioEngine, ratio: 0.9}}},
		{"random 1 MiB, depth 16", 1 << 20, false, 16, []target{{of: theMount, to: rbdFuse, ratio: 2.5}, {of: theMount, to: fioEngine, ratio: 0.7}, {of: theReader, to: fioEngine, ratio: 0.9}}},
	} {
		row := row{name: w.name, unit: "reads/s", targets: w.targets}
		how := []string{"--rw=randread", "--randrepeat=0", "--time_based", "--runtime=2", fmt.Sprintf("--bs=%d", w.size)}
		if w.sequential {
			row.unit = "MiB/s"
			how = []string{"--rw=read", "--size=512M", fmt.Sprintf("--bs=%d", w.size)}
		}
		requests := append([]string{fmt.Sprintf("--iodepth=%d", w.depth)}, how...)
		file := how
		if w.depth > 1 { // one descriptor, since rbd-fuse fails to open a file several times at once
			file = append([]string{"--direct=1", "--ioengine=libaio"}, requests...)
		}
		row.contestants = []contestant{
			{theMount, func(ctx context.Context) (measured, error) {
				if err := d.restart(ctx); err != nil {
					return measured{}, err
				}
				v, err := fio(ctx, d.disk(id), row.unit, file)
				return measured{value: v}, err
			}},
			{rbdFuse, func(ctx context.Context) (measured, error) {
				v, err := fio(ctx, theirs, row.unit, file)
				return measured{value: v}, err
			}}}
		if !w.sequential {
			row.contestants = append(row.contestants, contestant{fioEngine, func(ctx context.Context) (measured, error) {
				v, err := fioRead(ctx, row.unit, append(engine, requests...))
				return measured{value: v}, err
			}}, contestant{theReader, func(ctx context.Context) (measured, error) { return r.random(ctx, w.size, w.depth) }})
		}
		rows = append(rows, row)
	}
	return rows
}

func prepareCephBoot(ctx context.Context, b *bench, dir string) (rows []row, err error) {
	guest, err := guestimage.Build(ctx, "")
	if err != nil {
		return nil, err
	}
	d, err := b.cephDaemon(ctx, dir)
	if err != nil {
		return nil, err
	}
	id, err := d.put(ctx, "raw", guest.Path)
	if err != nil {
		return nil, err
	}
	// boot returns how many bytes the OSD has sent meanwhile.
	boot := func(ctx context.Context, drive string) (float64, error) {
		before, err := b.sent(ctx)
		if err != nil {
			return 0, err
		}
		sum, err := guestimage.Boot(ctx, guestimage.Machine{Image: d.disk(id), Attach: guestimage.Overlay, Drive: drive, Dir: dir})
		if err != nil {
			return 0, err
		}
		if sum != guest.Sum {
			return 0, fmt.Errorf("the guest read %s, want %s", sum, guest.Sum)
		}
		after, err := b.sent(ctx)
		return after - before, err
	}
	for _, drive := range []string{"", "cache=none,aio=native"} {
		name := "second guest, buffered"
		if drive != "" {
			name = "second guest, " + drive
		}
		rows = append(rows, row{name: name, unit: "%", targets: []target{{of: "vitrined", figure: 1, ratio: 5, atMost: true}},
			contestants: []contestant{{"vitrined", func(ctx context.Context) (measured, error) {
				if err := d.restart(ctx); err != nil {
					return measured{}, err
				}
				first, err := boot(ctx, drive)
				if err != nil {
					return measured{}, err
				}
				second, err := boot(ctx, drive)
				return measured{value: 100 * second / first}, err
			}}}})
	}
	return rows, nil
}

// sent returns how many bytes the OSD has sent as answers to reads.
func (b *bench) sent(ctx context.Context) (float64, error) {
	answer, err := b.ceph.Ceph(ctx, "tell", "osd.0", "perf", "dump", "osd")
	if err != nil {
		return 0, err
	}
	var counters struct {
		OSD struct {
			Bytes float64 `json:"op_r_out_bytes"`
		}
	}
	return counters.OSD.Bytes, json.Unmarshal([]byte(answer), &counters)
}

func prepareCephMemory(ctx context.Context, b *bench, dir string) ([]row, error) {
	const images = 32
	d, err := b.cephDaemon(ctx, dir)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "random")
	if err := randomFile(file, 64<<20); err != nil {
		return nil, err
	}
	ids := make([]string, images)
	for i := range ids {
		if ids[i], err = d.put(ctx, "raw", file); err != nil {
			return nil, err
		}
	}
	return []row{{name: "32 readers of 32 images", unit: "MiB", targets: []target{{of: "vitrined", figure: 1, ratio: 200, atMost: true}},
		contestants: []contestant{{"vitrined", func(ctx context.Context) (measured, error) {
			if err := d.restart(ctx); err != nil {
				return measured{}, err
			}
			return peak(d.server, func() error { return d.readDisks(ctx, ids) })
		}}}}}, nil
}
