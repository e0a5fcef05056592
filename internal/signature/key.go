package signature

import (
	"crypto"
	//lint:ignore SA1019 images were signed with DSA; nothing is signed with it here
	"crypto/dsa"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// A key knows one type of keys.
type key struct {
	check  func(public any) string // says what is wrong with a public key, "" when nothing is
	verify func(public any, method crypto.Hash, sum, value []byte) bool
}

// keys are the values of KeyType.
var keys = map[string]key{
	"RSA-PSS":       {checkRSA, verifyPSS},
	"DSA":           {checkDSA, verifyDSA},
	"ECC_SECP384R1": {checkCurve(elliptic.P384()), verifyECDSA},
	"ECC_SECP521R1": {checkCurve(elliptic.P521()), verifyECDSA},
}

// binaryCurves are values of KeyType that others know, and which Go's library cannot compute with.
var binaryCurves = map[string]bool{"ECC_SECT571K1": true, "ECC_SECT409K1": true, "ECC_SECT571R1": true, "ECC_SECT409R1": true}

// Larger numbers would only keep the processor busy: certificates may come from users.
const (
	maxRSA = 16384 // bits, as in OpenSSL
	maxDSA = 4096
)

func checkRSA(public any) string {
	switch k, ok := public.(*rsa.PublicKey); {
	case !ok:
		return "its key is no RSA key"
	case k.N.BitLen() < 1024 || k.N.BitLen() > maxRSA:
		return fmt.Sprintf("its RSA key has %d bits", k.N.BitLen())
	}
	return ""
}

// verifyPSS wants MGF1 with the same hash, and the longest salt that the key allows, as cursive does.
func verifyPSS(public any, method crypto.Hash, sum, value []byte) bool {
	k := public.(*rsa.PublicKey)
	salt := (k.N.BitLen()-1+7)/8 - method.Size() - 2 // RFC 8017, 9.1.1; at least 128-64-2
	return rsa.VerifyPSS(k, method, sum, value, &rsa.PSSOptions{SaltLength: salt}) == nil
}

func checkDSA(public any) string {
	k, ok := public.(*dsa.PublicKey)
	if !ok {
		return "its key is no DSA key"
	}
	q := k.Q.BitLen()
	if p := k.P.BitLen(); p < 1024 || p > maxDSA || q != 160 && q != 224 && q != 256 {
		return fmt.Sprintf("its DSA key has %d and %d bits", p, q)
	}
	return ""
}

func verifyDSA(public any, _ crypto.Hash, sum, value []byte) bool {
	k := public.(*dsa.PublicKey)
	var numbers struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(value, &numbers); err != nil || len(rest) > 0 {
		return false
	}
	sum = sum[:min(len(sum), k.Q.BitLen()/8)] // FIPS 186-3, 4.6; dsa.Verify leaves it to us
	return dsa.Verify(k, sum, numbers.R, numbers.S)
}

func checkCurve(curve elliptic.Curve) func(any) string {
	return func(public any) string {
		switch k, ok := public.(*ecdsa.PublicKey); {
		case !ok:
			return "its key is on no elliptic curve that is known here"
		case k.Curve != curve:
			return fmt.Sprintf("its key is on the curve %s instead of %s", k.Curve.Params().Name, curve.Params().Name)
		}
		return ""
	}
}

func verifyECDSA(public any, _ crypto.Hash, sum, value []byte) bool {
	return ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), sum, value)
}
