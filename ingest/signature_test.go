package ingest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore/storetest"
	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/internal/signature/signaturetest"
)

// signed returns the check that the data, and no other, passes.
func signed(t *testing.T, data []byte) *signature.Check {
	t.Helper()
	signer := signaturetest.Default()
	check, err := signaturetest.Verifier(t, signer).Check(t.Context(), "", signer.Properties(t, data))
	if err != nil {
		t.Fatal(err)
	}
	return check
}

// TestSignedDataThatBreaksOff ends with the client's connection, and leaves nothing running.
func TestSignedDataThatBreaksOff(t *testing.T) {
	data := storetest.Random(3 * bufferSize)
	in, store := newIngester(t, Config{}), newStore(t)
	gone := errors.New("connection reset")
	ctx, cancel := context.WithCancelCause(t.Context())
	req := upload(store, io.MultiReader(bytes.NewReader(data), bodyFunc(func([]byte) (int, error) { cancel(gone); return 0, gone })))
	req.Signature = signed(t, data)
	if _, err := in.Copy(ctx, req); !errors.Is(err, gone) {
		t.Errorf("Copy = %v, want %v", err, gone)
	}
	checkNothingLeft(t, in, store)
}

// TestSignatures verifies with a hash of its own, and with the one that is made anyway.
func TestSignatures(t *testing.T) {
	data := storetest.Random(3*bufferSize + 77)
	check := signed(t, data)
	for algo, hashes := range map[string]int{"sha512": 3, check.HashAlgo(): 2} {
		in, store := newIngester(t, Config{HashAlgo: algo}), newStore(t)
		req := upload(store, bytes.NewReader(data))
		req.Signature = check
		got, err := in.Copy(t.Context(), req)
		if err != nil {
			t.Fatalf("%s: %v", algo, err)
		}
		checkStored(t, store, got.Location, data)
		if got.HashAlgo != algo {
			t.Errorf("os_hash_algo = %s, want %s", got.HashAlgo, algo)
		}
		if n := len(newTransfer(in, req, nil, nil).sums); n != hashes {
			t.Errorf("%s: %d hashes, want %d", algo, n, hashes)
		}
		req = upload(store, bytes.NewReader(data))
		req.Signature, req.NoSums = check, true
		if got, err := in.Copy(t.Context(), req); err != nil || got.HashAlgo != "" {
			t.Errorf("%s: without sums: %+v, %v", algo, got, err)
		}
	}
	for name, wrong := range map[string][]byte{
		"one bit":     append(bytes.Clone(data[:len(data)-1]), data[len(data)-1]^1),
		"one byte":    data[:len(data)-1],
		"more":        append(bytes.Clone(data), 0),
		"nothing":     nil,
		"other bytes": []byte("other bytes"),
	} {
		for _, algo := range []string{"sha512", check.HashAlgo(), ""} { // "" without sums
			t.Run(fmt.Sprint(name, " ", algo), func(t *testing.T) {
				in, store := newIngester(t, Config{HashAlgo: cmp.Or(algo, check.HashAlgo())}), newStore(t)
				req := upload(store, bytes.NewReader(wrong))
				req.Signature, req.NoSums = check, algo == ""
				if _, err := in.Copy(t.Context(), req); !errors.Is(err, image.ErrInvalid) || !strings.Contains(err.Error(), "Signature verification") {
					t.Errorf("Copy = %v, want %v", err, image.ErrInvalid)
				}
				checkNothingLeft(t, in, store)
			})
		}
	}
}
