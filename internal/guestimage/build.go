// Package guestimage makes a small bootable disk image out of Debian packages, for tests, and boots it in QEMU.
// The guest hashes a file on its disk, prints the sum on its serial console and powers off: a sum that is right proves
// that the firmware, the boot loader, the kernel and the file system all read the right bytes.
//
// It needs no root, no loop devices and no mounts. Start reading at Build; Boot is the other half.
package guestimage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// A Guest is a raw disk image that boots.
type Guest struct {
	Path string // of the raw disk image, about 90 MiB, sparse
	Sum  string // SHA-256 in hex that the guest prints
}

// payloadSize is the length of the file that the guest hashes.
const payloadSize = 24 << 20

// recipe is all that decides what the image holds, except for the kernel.
//
//go:embed build.go kernel.go cpio.go disk.go init.sh
var recipe embed.FS

// Build returns the guest in dir, which it makes if it is missing. The image is kept there, named by its recipe and its
// kernel, and made once. An empty dir means .cache/guest in the checkout. Several processes may build at once.
func Build(ctx context.Context, dir string) (Guest, error) {
	dir, err := prepare(dir)
	if err != nil {
		return Guest{}, fmt.Errorf("guest image: %w", err)
	}
	unlock, err := lock(filepath.Join(dir, "lock"))
	if err != nil {
		return Guest{}, fmt.Errorf("guest image: lock %s: %w", dir, err)
	}
	defer unlock()
	deb, err := kernelPackage(ctx, dir)
	if err != nil {
		return Guest{}, fmt.Errorf("guest image: %w", err)
	}
	payload := payload()
	sum := sha256.Sum256(payload)
	guest := Guest{Path: filepath.Join(dir, "disk-"+key(deb)+".raw"), Sum: hex.EncodeToString(sum[:])}
	if _, err := os.Stat(guest.Path); err == nil {
		return guest, nil
	}
	work, err := os.MkdirTemp(dir, "build-")
	if err != nil {
		return Guest{}, fmt.Errorf("guest image: %w", err)
	}
	defer os.RemoveAll(work)
	if err := assemble(ctx, work, deb, payload, guest.Path); err != nil {
		return Guest{}, fmt.Errorf("guest image: %w", err)
	}
	return guest, nil
}

// assemble makes the disk in work and gives it its final name when it is whole.
func assemble(ctx context.Context, work, deb string, payload []byte, target string) error {
	kernel, err := unpackKernel(ctx, work, deb)
	if err != nil {
		return err
	}
	initramfs, err := kernel.initramfs()
	if err != nil {
		return fmt.Errorf("initramfs: %w", err)
	}
	disk := filepath.Join(work, "disk.raw")
	if err := makeDisk(ctx, disk, kernel.image, initramfs, payload); err != nil {
		return fmt.Errorf("disk: %w", err)
	}
	return os.Rename(disk, target)
}

// payload returns the same bytes every time; they do not compress.
func payload() []byte {
	p := make([]byte, payloadSize)
	rand.NewChaCha8([32]byte([]byte("the file that the guest hashes.."))).Read(p)
	return p
}

// key names what the image is made of.
func key(deb string) string {
	h := sha256.New()
	entries, err := recipe.ReadDir(".")
	if err != nil {
		panic(err) // the directory is part of the program
	}
	for _, e := range entries {
		b, err := recipe.ReadFile(e.Name())
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(h, "%s %d\n", e.Name(), len(b))
		h.Write(b)
	}
	fmt.Fprintln(h, filepath.Base(deb))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

func prepare(dir string) (string, error) {
	if dir == "" {
		root, err := checkout()
		if err != nil {
			return "", err
		}
		dir = filepath.Join(root, ".cache", "guest")
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// checkout finds the directory with go.mod, upwards from where the test runs.
func checkout() (string, error) {
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no go.mod above the working directory")
		}
	}
	return "", err
}

func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	return func() { f.Close() }, nil
}

// run calls a program and returns what it printed; its error holds what it said on stderr.
func run(ctx context.Context, dir, name string, args ...string) ([]byte, error) {
	path, err := testservers.Program(name)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(stderr.Bytes()))
	}
	return out, nil
}
