package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/vitrine-image/vitrine/image"
)

// TestPartKeepsBytes writes data with holes in pieces of any size, breaks off and goes on, and compares.
func TestPartKeepsBytes(t *testing.T) {
	dir, id := t.TempDir(), image.NewID()
	rapid.Check(t, func(t *rapid.T) {
		var data []byte
		for range rapid.IntRange(0, 8).Draw(t, "runs") {
			n := rapid.IntRange(1, 3*hole).Draw(t, "length")
			run := make([]byte, n)
			if rapid.Bool().Draw(t, "data") {
				for i := range run {
					run[i] = byte(i%255 + 1)
				}
			}
			data = append(data, run...)
		}
		target := filepath.Join(dir, "out")
		os.Remove(target)
		p, err := openPart(target, id, false, false)
		if err != nil {
			t.Fatal(err)
		}
		for rest := data; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			if _, err := p.Write(rest[:n]); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
			if !rapid.Bool().Draw(t, "break off") {
				continue
			}
			if err := p.keep(); err != nil {
				t.Fatal(err)
			}
			if p, err = openPart(target, id, false, true); err != nil {
				t.Fatal(err)
			}
			if have := p.have(); have != nil {
				if got, err := io.ReadAll(have); err != nil || !bytes.Equal(got, data[:len(data)-len(rest)]) {
					t.Fatalf("%d bytes are kept of %d: %v", len(got), len(data)-len(rest), err)
				}
			}
		}
		if err := p.publish(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(target); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes of %d are in the file: %v", len(got), len(data), err)
		}
	})
}

func TestPartNeverOverwritesAFileThatAppeared(t *testing.T) {
	target := filepath.Join(t.TempDir(), "out")
	p, err := openPart(target, image.NewID(), false, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write([]byte("new")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := p.publish(); err == nil {
		t.Error("publish overwrote a file")
	}
	entries, err := os.ReadDir(filepath.Dir(target))
	if got, _ := os.ReadFile(target); err != nil || string(got) != "precious" || len(entries) != 1 {
		t.Errorf("the file holds %q, beside it are %v (%v)", got, entries, err)
	}
}

func TestPartFollowsNoSymlink(t *testing.T) {
	dir, id := t.TempDir(), image.NewID()
	victim, target := filepath.Join(dir, "victim"), filepath.Join(dir, "out")
	if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := openPart(target, id, false, false)
	if err != nil {
		t.Fatal(err)
	}
	path := p.f.Name()
	p.remove()
	if err := os.Symlink(victim, path); err != nil {
		t.Fatal(err)
	}
	if _, err := openPart(target, id, false, false); err == nil {
		t.Error("openPart followed a symbolic link")
	}
	if got, err := os.ReadFile(victim); err != nil || string(got) != "precious" {
		t.Errorf("the victim holds %q (%v)", got, err)
	}
}
