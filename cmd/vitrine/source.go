package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// A source is a file, or standard input, whose bytes become an image's data.
type source struct {
	name  string
	size  int64 // bytes that will come, -1 when unknown
	r     *bufio.Reader
	file  *os.File // where they stand from start on, unless size is -1
	start int64
}

// openSource opens the file; "-" is standard input.
func openSource(cmd *cobra.Command, path string) (*source, error) {
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		src, err := newSource(path, f, f)
		if err != nil {
			f.Close()
		}
		return src, err
	}
	in := cmd.InOrStdin()
	if isTerminal(in) {
		return nil, commandline.Usagef("standard input is a terminal: redirect a file or a pipe into it")
	}
	f, _ := in.(*os.File)
	return newSource("standard input", in, f)
}

// newSource finds out how many bytes will come. f is nil when r is no file.
func newSource(name string, r io.Reader, f *os.File) (*source, error) {
	src := &source{name: name, size: -1, file: f}
	if f != nil {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, commandline.Usagef("%s is a directory", name)
		}
		if info.Mode().IsRegular() || info.Mode().Type() == os.ModeDevice { // a block device has an end as well
			if src.start, src.size, err = rest(f); err != nil {
				return nil, fmt.Errorf("size of %s: %w", name, err)
			}
			r = io.LimitReader(r, src.size) // it may grow meanwhile
		}
	}
	src.r = bufio.NewReaderSize(r, 1<<20)
	return src, nil
}

// rest returns where f stands, and the number of bytes from there to the end.
func rest(f *os.File) (here, left int64, err error) {
	if here, err = f.Seek(0, io.SeekCurrent); err != nil {
		return 0, 0, err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, 0, err
	}
	_, err = f.Seek(here, io.SeekStart)
	return here, max(end-here, 0), err
}

// guess returns the disk format that the first and the last bytes tell. It consumes nothing, unless ctx ends before they
// have come: then the source cannot be read any more.
func (s *source) guess(ctx context.Context) (string, error) {
	head, err := s.peek(ctx)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read %s: %w", s.name, err)
	}
	var tail []byte
	if s.size >= diskformat.TailSize {
		tail = make([]byte, diskformat.TailSize)
		if _, err := s.file.ReadAt(tail, s.start+s.size-diskformat.TailSize); err != nil {
			return "", fmt.Errorf("read %s: %w", s.name, err)
		}
	}
	format, packed := diskformat.Recognise(head, tail)
	if packed != "" {
		return "", &hinted{commandline.Usagef("%s is packed with %s, and no guest can read it so", s.name, packed),
			"unpack it first, or give --disk-format if it really is the disk"}
	}
	return format, nil
}

// peek returns the first bytes, or the error of ctx when it ends while they are waited for.
func (s *source) peek(ctx context.Context) ([]byte, error) {
	var head []byte
	come := make(chan error, 1)
	go func() {
		var err error
		head, err = s.r.Peek(diskformat.HeadSize)
		come <- err
	}()
	select {
	case err := <-come:
		return head, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *source) close() {
	if s.file != nil {
		s.file.Close()
	}
}
