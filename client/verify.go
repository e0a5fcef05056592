package client

import (
	"crypto/md5"
	"encoding/hex"
	"hash"
	"strings"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/hashes"
)

// A sum is a hash that grows with the data, and what it must be in the end.
type sum struct {
	hash.Hash
	algo, want string
}

// newSum chooses what to verify an image by: its hash, else its MD5, else nothing (algo is "").
func newSum(img *image.Image) sum {
	if h := hashes.New(strings.ToLower(img.HashAlgo)); h != nil && img.HashValue != "" {
		return sum{h, strings.ToLower(img.HashAlgo), img.HashValue}
	}
	if img.Checksum != "" {
		return sum{md5.New(), "md5", img.Checksum}
	}
	return noSum
}

// noSum verifies nothing.
var noSum = sum{Hash: noHash{}}

type noHash struct{ hash.Hash }

func (noHash) Write(p []byte) (int, error) { return len(p), nil }

// check compares the hash of what was written with what it must be. Error: image.ErrCorrupt.
func (s sum) check() error {
	if s.algo == "" {
		return nil
	}
	if got := hex.EncodeToString(s.Sum(nil)); !strings.EqualFold(got, s.want) {
		return image.Errorf(image.ErrCorrupt, "The data does not match the image: its %s is %s instead of %s", s.algo, got, s.want)
	}
	return nil
}
