package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/internal/commandline"
)

// A source is a file, or standard input, whose bytes become an image's data.
type source struct {
	name string
	size int64 // bytes that will come, -1 when unknown
	r    *bufio.Reader
	file *os.File // to close, nil for standard input
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
			return nil, err
		}
		src.file = f
		return src, nil
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
	src := &source{name: name, size: -1}
	if f != nil {
		info, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if info.IsDir() {
			return nil, commandline.Usagef("%s is a directory", name)
		}
		if info.Mode().IsRegular() || info.Mode().Type() == os.ModeDevice { // a block device has an end as well
			if src.size, err = rest(f); err != nil {
				return nil, fmt.Errorf("size of %s: %w", name, err)
			}
			r = io.LimitReader(r, src.size) // it may grow meanwhile
		}
	}
	src.r = bufio.NewReaderSize(r, 1<<20)
	return src, nil
}

// rest returns the number of bytes from here to the end.
func rest(f *os.File) (int64, error) {
	here, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	_, err = f.Seek(here, io.SeekStart)
	return max(end-here, 0), err
}

// guess returns the disk format that the first bytes tell. It consumes nothing.
func (s *source) guess() (string, error) {
	head, err := s.r.Peek(headSize)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read %s: %w", s.name, err)
	}
	var tail []byte
	if s.file != nil && s.size >= tailSize {
		tail = make([]byte, tailSize)
		if _, err := s.file.ReadAt(tail, s.size-tailSize); err != nil {
			return "", fmt.Errorf("read %s: %w", s.name, err)
		}
	}
	format, packed := guessFormat(head, tail)
	if packed != "" {
		return "", &hinted{commandline.Usagef("%s is compressed with %s, and no guest can read it so", s.name, packed),
			"decompress it first, or give --disk-format if it really is the disk"}
	}
	return format, nil
}

func (s *source) close() {
	if s.file != nil {
		s.file.Close()
	}
}
