package signature

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
)

// extensions of the files in a Directory, tried in this order.
var extensions = []string{".pem", ".crt", ".der"}

// A Directory holds certificates in files: <uuid>.pem, .crt or .der, with the UUID in lower case. Files are read when they
// are asked for, so that added, changed and removed ones count at once. It is safe for concurrent use.
type Directory struct {
	path string
	log  *slog.Logger
}

// OpenDirectory checks that the directory can be read. A nil logger discards.
func OpenDirectory(path string, log *slog.Logger) (*Directory, error) {
	if _, err := os.ReadDir(path); err != nil {
		return nil, fmt.Errorf("signature: certificates: %w", err)
	}
	return &Directory{path: path, log: cmp.Or(log, slog.New(slog.DiscardHandler))}, nil
}

// Certificate reads the file of that name. Symbolic links may lead to other files of the directory only.
func (d *Directory) Certificate(ctx context.Context, _ image.Secret, id image.ID) (*x509.Certificate, error) {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, d.unavailable(ctx, id, err)
	}
	defer root.Close()
	for _, extension := range extensions {
		data, err := readFile(root, string(id)+extension)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, d.unavailable(ctx, id, err)
		}
		return parseCertificate(id, data)
	}
	return nil, noCertificate(id)
}

func (d *Directory) unavailable(ctx context.Context, id image.ID, err error) error {
	d.log.ErrorContext(ctx, "a certificate cannot be read", "certificate", id, "path", d.path, "error", err)
	return image.Errorf(image.ErrUnavailable, "The certificate %s cannot be read now", id)
}

// readFile returns what a regular file holds, up to a little more than a certificate may have.
func readFile(root *os.Root, name string) ([]byte, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // a FIFO must not block
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil, errors.Join(fmt.Errorf("%s is no regular file", name), err)
	}
	return io.ReadAll(io.LimitReader(f, maxCertificate+1))
}
