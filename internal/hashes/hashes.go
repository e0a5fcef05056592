// Package hashes knows the hash algorithms that os_hash_algo may name.
package hashes

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/crypto/blake2b"
	"golang.org/x/crypto/blake2s"
)

// algorithms have the names of Python's hashlib, in which clients look them up. Its SHAKEs are left out: they have no
// length of their own.
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

func unkeyed(fn func(key []byte) (hash.Hash, error)) func() hash.Hash {
	return func() hash.Hash {
		h, _ := fn(nil) // only a key can be wrong
		return h
	}
}

// New returns a hash by the name of its algorithm, and nil for an unknown one.
func New(name string) hash.Hash {
	if fn := algorithms[name]; fn != nil {
		return fn()
	}
	return nil
}

// Sum returns the hash of all that r gives, in hex. The name is one that Check knows.
func Sum(name string, r io.Reader) (string, error) {
	h := New(name)
	if _, err := io.CopyBuffer(h, r, make([]byte, 1<<20)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Check says whether hashes can be made with the algorithm of that name.
func Check(name string) error {
	if algorithms[name] == nil {
		return fmt.Errorf("there is no hash algorithm %q; choose one of %s", name,
			strings.Join(slices.Sorted(maps.Keys(algorithms)), ", "))
	}
	return nil
}
