package events

import (
	"net/http"
	"testing"
	"time"
)

func TestVerify(t *testing.T) {
	body := []byte(`{"a":1}`)
	now := time.Unix(1764000000, 0)
	header := func(timestamp, signature string) http.Header {
		return http.Header{"X-Vitrine-Timestamp": {timestamp}, "X-Vitrine-Signature": {signature}}
	}
	// printf '1764000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
	const good = "sha256=19b692a3b3faad0515d4b643aa46cb06d55d8258053f2ffb472c2134aa59171c"
	if got := sign(secret, "1764000000", body); got != good {
		t.Errorf("the signature is %s, openssl's is %s", got, good)
	}
	for what, err := range map[string]error{
		"another body":      Verify(header("1764000000", good), append(body, ' '), secret, now),
		"another secret":    Verify(header("1764000000", good), body, secret+"x", now),
		"another timestamp": Verify(header("1764000001", good), body, secret, now),
		"no signature":      Verify(header("1764000000", ""), body, secret, now),
		"no headers":        Verify(http.Header{}, body, secret, now),
		"no number":         Verify(header("x", sign(secret, "x", body)), body, secret, now),
		"too old":           Verify(header("1764000000", good), body, secret, now.Add(6*time.Minute)),
		"of the future":     Verify(header("1764000000", good), body, secret, now.Add(-6*time.Minute)),
	} {
		if err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
	if err := Verify(header("1764000000", good), body, secret, now.Add(4*time.Minute)); err != nil {
		t.Error(err)
	}
}
