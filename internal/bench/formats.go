package main

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// Images of one disk that are compared, and what qemu-img makes them with.
const (
	plain    = "plain qcow2"
	extended = "with extended L2"
	large    = "with clusters of 2 MiB"
	zlib     = "zlib"
	zstd     = "zstd"
	vmdk     = "vmdk"
)

var conversions = map[string]string{
	plain:    "-O qcow2",
	extended: "-O qcow2 -o extended_l2=on",
	large:    "-O qcow2 -o cluster_size=2M",
	zlib:     "-c -O qcow2",
	zstd:     "-c -O qcow2 -o compression_type=zstd",
	vmdk:     "-O vmdk",
}

// Others that read what vitrined does.
const (
	qemuNBD     = "qemu-nbd"
	qemuConvert = "qemu-img convert"
	qemuDiscard = "qemu-img convert to nowhere"
)

// An upload and the part of it that looks at the format.
const (
	wholeUpload = "the upload"
	inspection  = "the inspector"
)

func prepareFormats(ctx context.Context, b *bench, dir string) (rows []row, err error) {
	raw := filepath.Join(dir, "raw")
	if err := b.programs(raw, transferSize); err != nil {
		return nil, err
	}
	files, disks := map[string]string{}, map[string]*diskformat.Disk{}
	for name := range conversions {
		if files[name], err = convert(ctx, raw, name); err != nil {
			return nil, err
		}
		if name != vmdk {
			if disks[name], err = b.openDisk(ctx, files[name]); err != nil {
				return nil, err
			}
		}
	}
	for _, name := range []string{zlib, zstd} {
		packed, err := b.packedRows(ctx, dir, name, files[name], disks[name])
		if err != nil {
			return nil, err
		}
		rows = append(rows, packed...)
	}
	rows = append(rows, warmRow(disks))
	s, err := b.daemon(ctx, filepath.Join(dir, "vitrined"), false, "")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{plain, zlib, zstd} {
		row, err := b.conversionRow(ctx, s, name, files[name])
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	for _, image := range []struct{ name, format, file string }{{"raw", diskformat.Raw, raw}, {plain, diskformat.QCOW2, files[plain]}, {vmdk, diskformat.VMDK, files[vmdk]}} {
		rows = append(rows, row{name: "looking at the format, " + image.name, unit: "MiB/s",
			contestants: []contestant{{inspection, inspects(image.file)}, {wholeUpload, uploads(s, image.format, image.file)}},
			targets:     []target{{of: inspection, to: wholeUpload, ratio: 0.03, atMost: true, cpu: true}}})
	}
	return rows, nil
}

// programs writes a file of n bytes that can be compressed as programs can: vitrined, again and again.
func (b *bench) programs(path string, n int64) error {
	program, err := os.ReadFile(b.program)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for n > 0 {
		part, err := f.Write(program[:min(n, int64(len(program)))])
		if err != nil {
			return err
		}
		n -= int64(part)
	}
	return f.Sync()
}

// convert makes an image of a raw disk beside it.
func convert(ctx context.Context, raw, name string) (file string, err error) {
	file = filepath.Join(filepath.Dir(raw), strings.ReplaceAll(name, " ", "-"))
	args := append([]string{"convert", "-m", "16", "-W", "-f", "raw"}, strings.Fields(conversions[name])...)
	_, err = output(ctx, "qemu-img", append(args, raw, file)...)
	return file, err
}

// openDisk opens a qcow2 in this process, with as much memory as the daemon has for all.
func (b *bench) openDisk(ctx context.Context, path string) (*diskformat.Disk, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	b.atEnd(f.Close)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return diskformat.Open(ctx, fileSource{f, info.Size()}, diskformat.QCOW2, diskformat.NewCache(imageservice.DefaultTableCache))
}

// A fileSource is an image in a file.
type fileSource struct {
	*os.File
	size int64
}

func (s fileSource) Size() int64 { return s.size }

func (s fileSource) ReadAt(_ context.Context, p []byte, off int64) (int, error) {
	return s.File.ReadAt(p, off)
}

// packedRows compares reading a compressed image in this process with asking qemu-nbd.
func (b *bench) packedRows(ctx context.Context, dir, name, file string, disk *diskformat.Disk) (rows []row, err error) {
	const depth = 16
	if err := os.Mkdir(filepath.Join(dir, "nbd-"+name), 0o755); err != nil {
		return nil, err
	}
	nbd, err := testservers.QEMUNBD(ctx, filepath.Join(dir, "nbd-"+name), file, diskformat.QCOW2)
	if err != nil {
		return nil, err
	}
	b.atEnd(nbd.Stop)
	for _, r := range []struct {
		name string
		size int
	}{{"random 4 KiB", 4 << 10}, {"random 1 MiB", 1 << 20}} {
		rows = append(rows, row{name: r.name + ", depth 16, " + name, unit: "reads/s",
			targets: []target{{of: "vitrined", to: qemuNBD, ratio: 1}, {of: "vitrined", to: qemuNBD, atMost: true, cpu: true}},
			contestants: []contestant{
				{"vitrined", withCPU(ownTime, func(ctx context.Context) (measured, error) { return randomReads(ctx, disk, r.size, depth) })},
				{qemuNBD, withCPU(nbd.CPU, func(context.Context) (measured, error) {
					start := time.Now()
					n, err := nbd.Read(r.size, depth, func() (int64, bool) {
						return randomOffset(disk, r.size), time.Since(start) < randomLasts
					})
					return perSecond(n, start), err
				})}}})
	}
	return rows, nil
}

// warmRow compares kinds of images that are not compressed, and whose tables and data are in memory.
func warmRow(disks map[string]*diskformat.Disk) row {
	const readers, size = 8, 4 << 10
	r := row{name: "random 4 KiB, 8 readers, warm", unit: "reads/s", targets: []target{
		{of: plain, figure: 1, ratio: 250_000},
		{of: extended, to: plain, ratio: 0.5},
		{of: large, to: plain, ratio: 0.5},
	}}
	for _, name := range []string{plain, extended, large} {
		r.contestants = append(r.contestants, contestant{name, func(ctx context.Context) (measured, error) {
			return randomReads(ctx, disks[name], size, readers)
		}})
	}
	return r
}

// conversionRow compares downloading a qcow2 as a raw disk with converting it into a file in memory.
func (b *bench) conversionRow(ctx context.Context, s *server, name, file string) (row, error) {
	id, err := s.put(ctx, diskformat.QCOW2, file)
	if err != nil {
		return row{}, err
	}
	fetched, err := s.fetches(ctx, "/v2/images/"+id+"/file?format=raw")
	if err != nil {
		return row{}, err
	}
	memory, err := os.MkdirTemp("/dev/shm", "vitrine-bench-")
	if err != nil {
		return row{}, err
	}
	b.atEnd(func() error { return os.RemoveAll(memory) })
	converts := func(args ...string) func(context.Context) (measured, error) {
		return func(ctx context.Context) (m measured, err error) {
			before, err := usedBy(unix.RUSAGE_CHILDREN)
			if err != nil {
				return m, err
			}
			m, err = severalTimes(func() error {
				_, err := output(ctx, "qemu-img", append([]string{"convert", "-f", "qcow2"}, args...)...)
				return err
			})
			if err != nil {
				return m, err
			}
			after, err := usedBy(unix.RUSAGE_CHILDREN)
			m.cpu = (after - before) / downloadTimes
			return m, err
		}
	}
	return row{name: "download of 1 GiB as raw, " + name, unit: "MiB/s",
		contestants: []contestant{{"vitrined", fetched},
			{qemuConvert, converts("-O", "raw", file, filepath.Join(memory, "raw"))},
			{qemuDiscard, converts("-n", "--target-image-opts", file, "driver=null-co,size=1G")}},
		targets: []target{{of: "vitrined", to: qemuConvert, ratio: 1}, {of: "vitrined", to: qemuConvert, atMost: true, cpu: true}, {of: "vitrined", to: qemuDiscard}}}, nil
}

// inspects lets the inspector see a file as an upload does, and measures that alone.
func inspects(file string) func(context.Context) (measured, error) {
	return func(ctx context.Context) (m measured, err error) {
		f, err := os.Open(file)
		if err != nil {
			return m, err
		}
		defer f.Close()
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		inspector := diskformat.NewInspector(diskformat.Rules{})
		bytes := 0
		for p := make([]byte, 256<<10); ctx.Err() == nil; {
			n, err := io.ReadFull(f, p)
			if n == 0 {
				m.value = float64(bytes) / (1 << 20) / m.cpu.Seconds()
				return m, nil
			}
			if err != nil && err != io.ErrUnexpectedEOF {
				return m, err
			}
			before := threadTime()
			inspector.Write(p[:n])
			m.cpu += threadTime() - before
			bytes += n
		}
		return m, ctx.Err()
	}
}

// threadTime returns the processor time that the thread has used.
func threadTime() time.Duration {
	var t unix.Timespec
	unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) // cannot fail
	return time.Duration(t.Nano())
}

// usedBy returns the processor time that this process has used, or its children that have ended.
func usedBy(who int) (time.Duration, error) {
	var used unix.Rusage
	err := unix.Getrusage(who, &used)
	return time.Duration(used.Utime.Nano() + used.Stime.Nano()), err
}

func ownTime() (time.Duration, error) { return usedBy(unix.RUSAGE_SELF) }

// withCPU adds to the random reads that run measures the processor time of manyReads of them.
func withCPU(clock func() (time.Duration, error), run func(context.Context) (measured, error)) func(context.Context) (measured, error) {
	return func(ctx context.Context) (measured, error) {
		before, err := clock()
		if err != nil {
			return measured{}, err
		}
		m, err := run(ctx)
		if err != nil {
			return m, err
		}
		after, err := clock()
		m.cpu = time.Duration(float64(after-before) / (m.value * randomLasts.Seconds()) * manyReads)
		return m, err
	}
}

const (
	randomLasts = 2 * time.Second
	manyReads   = 10_000
)

// A randomReader is what is read at random places.
type randomReader interface {
	ReadAt(ctx context.Context, p []byte, off int64) (int, error)
	Size() int64
}

func randomOffset(r randomReader, size int) int64 {
	return rand.Int64N(r.Size()/int64(size)) * int64(size)
}

// mountProcs is how many goroutines run at once when the daemon reads for the mount.
const mountProcs = 8

// randomReads returns how many random reads of a size there are in a second.
func randomReads(ctx context.Context, r randomReader, size, depth int) (measured, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(mountProcs))
	var reads atomic.Int64
	start := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	for range depth {
		g.Go(func() error {
			n := 0
			defer func() { reads.Add(int64(n)) }()
			for p := make([]byte, size); time.Since(start) < randomLasts; n++ {
				if _, err := r.ReadAt(ctx, p, randomOffset(r, size)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	err := g.Wait()
	return perSecond(int(reads.Load()), start), err
}

func perSecond(n int, start time.Time) measured {
	return measured{value: float64(n) / time.Since(start).Seconds()}
}
