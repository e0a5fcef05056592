package ova

import (
	"archive/tar"
	"errors"
	"io"
	"strings"
)

// maxMembers is how many files an archive may hold. Those of the programs that make them hold three to ten.
const maxMembers = 256

// A member is a file in the archive, whose bytes lie there in one piece.
type member struct {
	name           string
	offset, length int64
}

// list returns the files of the archive. Everything but plain files in its only directory is refused.
func list(r io.ReaderAt, size int64) ([]member, error) {
	at := io.NewSectionReader(r, 0, size)
	archive := tar.NewReader(at)
	var members []member
	seen := make(map[string]bool)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return members, nil
		}
		if err != nil {
			return nil, tarError(err)
		}
		offset, err := at.Seek(0, io.SeekCurrent)
		if err != nil {
			return nil, err
		}
		name, err := checkMember(h)
		switch {
		case err != nil:
			return nil, err
		case seen[name]:
			return nil, refuse("it holds two files named %q", name)
		case len(members) == maxMembers:
			return nil, refuse("it holds more than %d files", maxMembers)
		case h.Size > size-offset:
			return nil, refuse("it is cut short within %q", name)
		}
		seen[name] = true
		members = append(members, member{name, offset, h.Size})
	}
}

// checkMember returns the name of a file that is nothing else.
func checkMember(h *tar.Header) (string, error) {
	name := strings.TrimPrefix(h.Name, "./")
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\\\x00") || len(name) > 255 {
		return "", refuse("%.300q in there is not a plain file name", h.Name)
	}
	if h.Typeflag != tar.TypeReg {
		return "", refuse("%q in there is not a plain file", name)
	}
	for record := range h.PAXRecords {
		if strings.HasPrefix(record, "GNU.sparse.") {
			return "", refuse("%q in there is sparse", name)
		}
	}
	return name, nil
}

// tarError tells what is wrong with the archive from what is wrong with reading it.
func tarError(err error) error {
	switch {
	case errors.Is(err, tar.ErrHeader):
		return refuse("it is no tar, or a damaged one")
	case errors.Is(err, tar.ErrFieldTooLong):
		return refuse("a header in there is too long")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return refuse("it is cut short")
	}
	return err
}

// read returns the bytes of a member that may have max of them.
func (m *member) read(r io.ReaderAt, max int64) ([]byte, error) {
	if m.length > max {
		return nil, refuse("%q in there is larger than %d bytes", m.name, max)
	}
	p := make([]byte, m.length)
	if n, err := r.ReadAt(p, m.offset); n < len(p) {
		return nil, err
	}
	return p, nil
}
