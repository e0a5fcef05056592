package guestimage

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// An Attachment is a way in which a guest's disk stands on an image that it must not change.
type Attachment string

// The ways of using an image as a disk.
const (
	Overlay  Attachment = "overlay"  // the backing file of a new qcow2, as clouds do it
	Snapshot Attachment = "snapshot" // QEMU keeps the writes in a temporary file
	ReadOnly Attachment = "readonly" // the guest cannot write
)

// A Machine is what Boot starts.
type Machine struct {
	Image  string // the disk image; Boot's process never touches it itself, so it may lie in a mount that it serves
	Format string // of the image as QEMU is told; "" means raw
	Attach Attachment
	Bus    string // the disk's QEMU device: "" means virtio-blk-pci; or ide-hd, nvme, virtio-scsi-pci
	Drive  string // further options of -drive, such as "cache=none,aio=native"; "" for none
	Dir    string // for the overlay; an existing directory
}

// bootDeadline is how long a guest may take on a machine that is busy with other things; it needs 3 to 11 seconds.
const bootDeadline = 3 * time.Minute

var printedSum = regexp.MustCompile(`guest: sha256 ([0-9a-f]{64})`)

// Boot starts a guest under QEMU without hardware virtualisation, waits until it has powered off, and returns the sum
// that it printed. The error holds what the console showed.
func Boot(ctx context.Context, m Machine) (sum string, err error) {
	ctx, stop := context.WithTimeout(ctx, bootDeadline)
	defer stop()
	drive, err := m.drive(ctx)
	if err != nil {
		return "", fmt.Errorf("boot %s: %w", m.Image, err)
	}
	args := append([]string{"-machine", "pc,accel=tcg", "-m", "256", "-nodefaults", "-no-user-config", "-display", "none",
		"-net", "none", "-no-reboot", "-serial", "stdio", "-drive", drive}, m.device()...)
	console, err := guestConsole(ctx, args)
	if found := printedSum.FindSubmatch(console); err == nil && found != nil {
		return string(found[1]), nil
	}
	if err == nil {
		err = errors.New("the guest printed no sum")
	}
	return "", fmt.Errorf("boot %s (%s): %w; its console:\n%s", m.Image, m.Attach, err, console)
}

// drive returns the option of -drive, and makes the overlay if one is asked for.
func (m Machine) drive(ctx context.Context) (string, error) {
	format := m.Format
	if format == "" {
		format = "raw"
	}
	options := []string{"id=disk", "if=none"}
	switch m.Attach {
	case Overlay:
		overlay := filepath.Join(m.Dir, fmt.Sprintf("overlay-%d.qcow2", time.Now().UnixNano()))
		if _, err := run(ctx, "", "qemu-img", "create", "-q", "-f", "qcow2", "-F", format, "-b", m.Image, overlay); err != nil {
			return "", err
		}
		options = append(options, "format=qcow2", "file="+comma(overlay))
	case Snapshot:
		options = append(options, "snapshot=on", "format="+format, "file="+comma(m.Image))
	case ReadOnly:
		options = append(options, "readonly=on", "format="+format, "file="+comma(m.Image))
	default:
		return "", fmt.Errorf("unknown attachment %q", m.Attach)
	}
	if m.Drive != "" {
		options = append(options, m.Drive)
	}
	return strings.Join(options, ","), nil
}

func (m Machine) device() []string {
	switch m.Bus {
	case "":
		return []string{"-device", "virtio-blk-pci,drive=disk"}
	case "virtio-scsi-pci":
		return []string{"-device", "virtio-scsi-pci", "-device", "scsi-hd,drive=disk"}
	case "nvme":
		return []string{"-device", "nvme,serial=guest,drive=disk"}
	}
	return []string{"-device", m.Bus + ",drive=disk"}
}

// comma writes a path as a value in a list of options.
func comma(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// guestConsole runs QEMU to its end and returns what the guest and QEMU wrote. A QEMU that hangs in the kernel, because the
// mount under it does not answer, cannot even be killed: then guestConsole returns without it.
func guestConsole(ctx context.Context, args []string) ([]byte, error) {
	path, err := testservers.Program("qemu-system-x86_64")
	if err != nil {
		return nil, err
	}
	console, err := os.CreateTemp("", "guest-console-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(console.Name())
	defer console.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = console, console
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case err = <-done:
	case <-ctx.Done():
		cmd.Process.Kill()
		select {
		case <-done:
			err = fmt.Errorf("QEMU was killed: %w", ctx.Err())
		case <-time.After(10 * time.Second):
			err = fmt.Errorf("QEMU hangs and cannot be killed (pid %d): %w", cmd.Process.Pid, ctx.Err())
		}
	}
	out, readErr := os.ReadFile(console.Name())
	return out, cmp.Or(err, readErr)
}
