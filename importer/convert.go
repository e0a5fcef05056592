package importer

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
)

// Convert says how qemu-img is run.
type Convert struct {
	WorkDir string           // where its output lies meanwhile, without a name; required
	Memory  int64            // bytes of address space, 0 for 1 GiB
	Timeout time.Duration    // on the wall clock, 0 for an hour
	Rules   diskformat.Rules // by which data is judged before
}

// qemuNames are the formats that are converted, and qemu's names for them.
var qemuNames = map[string]string{diskformat.Raw: "raw", diskformat.QCOW2: "qcow2", diskformat.VMDK: "vmdk", diskformat.VHD: "vpc",
	diskformat.VHDX: "vhdx", diskformat.VDI: "vdi"}

// converts reports whether the image is that of a disk, in another format than the output's.
func (j *job) converts(img *image.Image) bool {
	_, known := qemuNames[img.DiskFormat]
	return known && img.ContainerFormat == "bare" && img.DiskFormat != j.plugins.OutputFormat && !img.Encrypted()
}

// convert brings the staged data to the output format.
func (j *job) convert(ctx context.Context) error {
	img, r, err := j.openStaged(ctx)
	if err != nil {
		return err
	}
	defer r.Close()
	if !j.converts(img) {
		return nil
	}
	file, ok := r.(imagestore.FileReader)
	if !ok {
		return errors.New("the staging area keeps no files")
	}
	if err := j.inspect(ctx, img, r); err != nil {
		return err
	}
	out, err := j.runConversion(ctx, file.File(), qemuNames[img.DiskFormat])
	if err != nil {
		return err
	}
	defer out.Close()
	info, err := out.Stat()
	if err != nil {
		return err
	}
	req := ingest.Request{Body: j.progress(ctx, io.NewSectionReader(out, 0, info.Size())), Size: info.Size(), MaxSize: j.maxSize, File: out}
	return j.restage(ctx, Conversion, req, func(plan *image.ImportPlan) { plan.DiskFormat = j.plugins.OutputFormat })
}

// inspect judges the data before qemu-img sees it.
func (j *job) inspect(ctx context.Context, img *image.Image, r imagestore.Reader) error {
	rules := j.plugins.Convert.Rules
	rules.AnyFormat = false // qemu-img is told what was declared
	inspector := diskformat.NewInspector(rules)
	if _, err := io.CopyBuffer(inspector, imagestore.Sequential(ctx, r), make([]byte, 1<<20)); err != nil {
		return err
	}
	inspector.End()
	declared := diskformat.Declaration{DiskFormat: img.DiskFormat, ContainerFormat: img.ContainerFormat}
	info := inspector.Info()
	if err := rules.Check(declared, info); err != nil {
		return image.Errorf(image.ErrUnsupportedContent, "The data cannot be stored as %s: %v", img.DiskFormat, err)
	}
	size, known := declared.VirtualSize(info, r.Size())
	if j.maxSize > 0 && (!known || size > j.maxSize) {
		return image.Errorf(image.ErrTooLarge, "The disk in the image has %d bytes, more than the limit of %d bytes", size, j.maxSize)
	}
	return nil
}

// runConversion returns an unnamed file with the disk in the output format. Both files are handed over as descriptors, and both
// formats by name: qemu-img never guesses, and has nothing to open by a path.
func (j *job) runConversion(ctx context.Context, in *os.File, from string) (*os.File, error) {
	cfg := j.plugins.Convert
	fd, err := unix.Open(cfg.WorkDir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create a file in %s: %w", cfg.WorkDir, err)
	}
	out := os.NewFile(uintptr(fd), "conversion")
	timeout := cmp.Or(cfg.Timeout, time.Hour)
	limit := func(name string, n int64) string { return "--" + name + "=" + strconv.FormatInt(n, 10) }
	args := []string{limit("as", cmp.Or(cfg.Memory, 1<<30)), limit("cpu", int64(2*timeout/time.Second)), "--core=0"}
	if j.maxSize > 0 {
		args = append(args, limit("fsize", j.maxSize+j.maxSize/8)) // a format has tables beside the data
	}
	args = append(args, "qemu-img", "convert", "--image-opts", "-O", qemuNames[j.plugins.OutputFormat],
		"driver="+from+",read-only=on,file.driver=file,file.filename=/proc/self/fd/3", "/proc/self/fd/4")
	ctx, stop := context.WithTimeout(ctx, timeout)
	defer stop()
	if err := runJailed(ctx, j.log, args, in, out); err != nil {
		out.Close()
		return nil, err
	}
	return out, nil
}

// runJailed runs a program under prlimit, without the environment, and without a network where that can be had.
func runJailed(ctx context.Context, log *slog.Logger, args []string, files ...*os.File) error {
	runtime.LockOSThread() // whose end would kill the child
	defer runtime.UnlockOSThread()
	var complaint bytes.Buffer
	start := func(flags uintptr) (*exec.Cmd, error) {
		cmd := exec.CommandContext(ctx, "prlimit", args...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C"}
		cmd.Dir = "/"
		cmd.Stderr = &limitedBuffer{&complaint}
		cmd.ExtraFiles = files
		cmd.WaitDelay = 5 * time.Second
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true, Cloneflags: flags}
		if flags&syscall.CLONE_NEWUSER != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getuid(), HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: os.Getgid(), HostID: os.Getgid(), Size: 1}}
		}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
		return cmd, cmd.Start()
	}
	flags := uintptr(syscall.CLONE_NEWNET)
	if os.Getuid() != 0 {
		flags |= syscall.CLONE_NEWUSER
	}
	cmd, err := start(flags)
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOSPC) {
		log.WarnContext(ctx, "qemu-img runs with the network of the daemon, since this kernel gives it no other", "error", err)
		cmd, err = start(0)
	}
	if err == nil {
		err = cmd.Wait()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return image.Errorf(image.ErrTooLarge, "The conversion took too long and was given up.")
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, new(*exec.ExitError)):
		return fmt.Errorf("%w (%w: %s)", image.Errorf(image.ErrUnsupportedContent, "The data could not be converted."), err, strings.TrimSpace(complaint.String()))
	}
	return fmt.Errorf("run qemu-img: %w", err)
}

// limitedBuffer keeps the beginning of what is written.
type limitedBuffer struct{ buf *bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.buf.Write(p[:min(len(p), max(0, 4096-b.buf.Len()))])
	return len(p), nil
}
