package crashfs

import (
	"errors"
	"fmt"
	"net/rpc"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// ServeIfChild serves the file system and never returns, if this process was started by Start; otherwise it does
// nothing.
func ServeIfChild() {
	if os.Getenv(childVariable) == "" {
		return
	}
	service := &child{}
	server := rpc.NewServer()
	if err := server.RegisterName("Crashfs", service); err != nil {
		panic(err) // the methods below are wrong
	}
	server.ServeConn(pipe{os.Stdin, os.Stdout}) // until the parent closes it, or dies
	if err := service.unmount(); err != nil {
		fmt.Fprintln(os.Stderr, "crashfs: unmount:", err)
		os.Exit(1)
	}
	os.Exit(0) // which ends the connection of those who still hold files
}

// A child answers the parent's calls.
type child struct {
	tree *tree
	dir  string
}

// Mount loads and mounts.
func (c *child) Mount(cfg Config, _ *struct{}) error {
	c.tree = newTree()
	c.tree.lying = cfg.Lying
	if cfg.From != "" {
		if err := c.tree.load(cfg.From); err != nil {
			return err
		}
	}
	if _, err := mount(c.tree, cfg.Mount); err != nil {
		return err
	}
	c.dir = cfg.Mount
	return nil
}

func (c *child) unmount() error {
	if c.dir == "" {
		return nil
	}
	if os.Geteuid() != 0 {
		return exec.Command("fusermount3", "-u", "-z", c.dir).Run()
	}
	if err := unix.Unmount(c.dir, unix.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
		return err // EINVAL: somebody unmounted it already
	}
	return nil
}

// Arm plans a cut.
func (c *child) Arm(cut Cut, _ *struct{}) error {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	return c.tree.arm(cut)
}

// Cut cuts now.
func (c *child) Cut(cut Cut, _ *struct{}) error {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	if c.tree.counts.Cut {
		return nil
	}
	if err := c.tree.arm(cut); err != nil {
		return err
	}
	c.tree.cut(cut)
	return nil
}

// Wait waits for the cut.
func (c *child) Wait(struct{}, *struct{}) error {
	<-c.tree.gone
	return nil
}

// Counts returns the counters.
func (c *child) Counts(_ struct{}, counts *Counts) error {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	*counts = c.tree.counts
	return nil
}

// Steps returns the paths of the durable steps.
func (c *child) Steps(_ struct{}, paths *[]string) error {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	*paths = append([]string{}, c.tree.steps...)
	return nil
}

// Survivors stores the outcome.
func (c *child) Survivors(dir string, _ *struct{}) error {
	c.tree.mu.Lock()
	defer c.tree.mu.Unlock()
	if !c.tree.counts.Cut {
		return errors.New("crashfs: the power is still on")
	}
	return c.tree.outcome.store(dir)
}
