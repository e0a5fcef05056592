package hashes

import (
	"encoding/hex"
	"testing"
)

// sums are what Python's hashlib makes of "vitrine".
var sums = map[string]string{
	"blake2b": "21e260a435e4e26d5461a89dfb4d9a7961173a88f88166b23c9785710e658a5d" +
		"a77a8c5b1c9c8277fb35aa1383daaa4dbbecd7973b4bf0db46d26b8ec7b063e9",
	"blake2s":  "e5e047b43aef06da2bcb3a9e667ac4314bb96f5220fff7a6cb46e62eda2fb38f",
	"md5":      "0e426b97486bf9604d58013031341e41",
	"sha1":     "d8a64125411dba36e4727352e0e1003e22bd9049",
	"sha224":   "3f7153483d15baf30d73ce4a72672b69d213005f15d97408cb2e1228",
	"sha256":   "ec2799bfa04695ef199276db85c474e441e944c854bbb9538b6993701a21df3e",
	"sha384":   "7a721ce90c106abadc270ca46176a4ce3321a8602a0f8b265492ac0de9fa7c40786f546f5ab7fcb20dc9529745c10402",
	"sha3_224": "08e579636455f19d1150d9cfbe230c7e468b7f0bb0c6ae743d461cda",
	"sha3_256": "2cb0f9187f3931e183f7c11fe4b2ebe2d709739457fd3a7012e7ef1d01235dad",
	"sha3_384": "2f81090bd27a52b33f22378812ddf0e7bca100af9706c8e98aecff9d0276e8c897ade43de379527856f125788b7b66ef",
	"sha3_512": "0bd8d1da5312190073fa82d34360ea1ec52efa16a04fdcb64fd9297bccf5fdfa" +
		"efe441cc9226b36581f52c19d8962476da6c8aef505ab99c71c20c66d4947866",
	"sha512": "65c625373c272dc00664c555d73b5c0e269fe87131359233c945f1d1da62ad09" +
		"5b6e0823c016f506433d55293b5e9beef17e1f4972bea013e3e2eda281c1a25b",
	"sha512_224": "9f1495e63a4e37104c1abc14acd3059548f09f30e0337a9252b63333",
	"sha512_256": "2c0ce57c83accdfdcd44c53510ff11203566a60d2ab8a107e2980004f7828ef4",
}

func TestAlgorithms(t *testing.T) {
	if len(algorithms) != len(sums) {
		t.Errorf("%d algorithms, want %d", len(algorithms), len(sums))
	}
	for name, want := range sums {
		h := New(name)
		if h == nil || Check(name) != nil {
			t.Errorf("%s is unknown", name)
			continue
		}
		h.Write([]byte("vitrine"))
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"", "SHA512", "sha-512", "crc32", "shake_128"} {
		if New(name) != nil || Check(name) == nil {
			t.Errorf("%q is known", name)
		}
	}
}
