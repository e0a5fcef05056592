package client

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"strings"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"

	"github.com/vitrine-image/vitrine/image"
)

// algorithms are the hashes that can be verified, by the names that os_hash_algo has for them.
var algorithms = map[string]func() hash.Hash{
	"md5":        md5.New,
	"sha1":       sha1.New,
	"sha224":     sha256.New224,
	"sha256":     sha256.New,
	"sha384":     sha512.New384,
	"sha512":     sha512.New,
	"sha512_224": sha512.New512_224,
	"sha512_256": sha512.New512_256,
	"sha3_224":   func() hash.Hash { return sha3.New224() },
	"sha3_256":   func() hash.Hash { return sha3.New256() },
	"sha3_384":   func() hash.Hash { return sha3.New384() },
	"sha3_512":   func() hash.Hash { return sha3.New512() },
	"blake2b":    unkeyed(blake2b.New512),
	"blake2s":    unkeyed(blake2s.New256),
}

func unkeyed(make func(key []byte) (hash.Hash, error)) func() hash.Hash {
	return func() hash.Hash {
		h, _ := make(nil) // only a key can be wrong
		return h
	}
}

// A sum is a hash that grows with the data, and what it must be in the end.
type sum struct {
	hash.Hash
	algo, want string
}

// newSum chooses what to verify an image by: its hash, else its MD5, else nothing (algo is "").
func newSum(img *image.Image) sum {
	if make := algorithms[strings.ToLower(img.HashAlgo)]; make != nil && img.HashValue != "" {
		return sum{make(), strings.ToLower(img.HashAlgo), img.HashValue}
	}
	if img.Checksum != "" {
		return sum{md5.New(), "md5", img.Checksum}
	}
	return sum{Hash: md5.New()}
}

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
