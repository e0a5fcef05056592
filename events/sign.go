package events

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// The headers of a webhook.
const (
	HeaderID        = "X-Vitrine-Event-Id"  // the message_id: who sees it twice was told twice
	HeaderTimestamp = "X-Vitrine-Timestamp" // seconds since 1970, of the attempt
	HeaderSignature = "X-Vitrine-Signature" // sha256= and the HMAC in hex
)

// tolerance is how old a webhook may be that Verify accepts, and how far its sender's clock may be ahead.
const tolerance = 5 * time.Minute

// sign returns the signature of a body: HMAC-SHA256 over the timestamp, a dot and the body.
func sign(secret image.Secret, timestamp string, body []byte) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte(timestamp + "."))
	h.Write(body)
	return "sha256=" + hex.EncodeToString(h.Sum(nil))
}

// Verify reports why a webhook that was received is not to be believed; nil for a good one.
func Verify(header http.Header, body []byte, secret image.Secret, now time.Time) error {
	timestamp := header.Get(HeaderTimestamp)
	if !hmac.Equal([]byte(header.Get(HeaderSignature)), []byte(sign(secret, timestamp, body))) {
		return errors.New("the signature is wrong")
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return errors.New("the timestamp is no number")
	}
	if now.Sub(time.Unix(seconds, 0)).Abs() > tolerance {
		return errors.New("the timestamp is too old or in the future: it may be a repetition by somebody else")
	}
	return nil
}
