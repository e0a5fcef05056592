package ingest

import (
	"bytes"
	"testing"
)

func TestAnotherAlgorithm(t *testing.T) {
	const md5, sha256 = "0e426b97486bf9604d58013031341e41", "ec2799bfa04695ef199276db85c474e441e944c854bbb9538b6993701a21df3e"
	in := newIngester(t, Config{HashAlgo: "sha256"})
	got, err := in.Copy(t.Context(), upload(newStore(t), bytes.NewReader([]byte("vitrine"))))
	if err != nil || got.HashAlgo != "sha256" || got.HashValue != sha256 || got.Checksum != md5 {
		t.Errorf("Copy = %+v, %v", got, err)
	}
}
