// Mkguest writes a small bootable disk image to try Vitrine with: mkguest FILE. See package guestimage.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/vitrine-image/vitrine/internal/guestimage"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: mkguest FILE")
		os.Exit(2)
	}
	if err := run(ctx, os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "mkguest:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, target string) error {
	guest, err := guestimage.Build(ctx, "")
	if err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, "cp", "--sparse=always", guest.Path, target).CombinedOutput(); err != nil {
		return fmt.Errorf("copy %s: %w: %s", guest.Path, err, out)
	}
	fmt.Printf("%s boots, and prints: guest: sha256 %s\n", target, guest.Sum)
	return nil
}
