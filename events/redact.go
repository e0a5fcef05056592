package events

import (
	"errors"
	"regexp"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// userinfo is what stands before the host in a URL.
var userinfo = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]*://)[^\s/?#]*@`)

// secretNames are parts of the names of properties whose values are nobody's business.
var secretNames = regexp.MustCompile(`(?i)passw|passphrase|secret|token|credential|private_?key`)

const redacted = "redacted"

// redactText leaves credentials out of the URLs in a text.
func redactText(text string) string {
	if !strings.Contains(text, "://") {
		return text
	}
	return userinfo.ReplaceAllString(text, "${1}"+redacted+"@")
}

// hidden are properties that no API shows either.
var hidden = map[string]bool{"os_glance_stage_host": true, "os_glance_hash_op_host": true}

// redactProperties returns a copy without what is secret.
func redactProperties(properties map[string]string) map[string]string {
	clean := make(map[string]string, len(properties))
	for name, value := range properties {
		switch {
		case hidden[name]:
		case secretNames.MatchString(name):
			clean[name] = redacted
		default:
			clean[name] = redactText(value)
		}
	}
	return clean
}

// reason returns what may be told of an error: the text that was written for a person, or of which kind it is.
func reason(err error) string {
	if e, ok := errors.AsType[*image.Error](err); ok {
		return redactText(e.Text)
	}
	if e, ok := errors.AsType[*image.QuotaError](err); ok {
		return e.Error()
	}
	if e, ok := errors.AsType[*image.InUseError](err); ok {
		return e.Error()
	}
	for _, kind := range image.Errors() {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return "internal error"
}
