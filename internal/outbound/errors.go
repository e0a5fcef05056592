package outbound

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/vitrine-image/vitrine/image"
)

// ErrFetch is in the chain of every error for a URL that was asked for and gave no data: nobody answered, or not well.
var ErrFetch = errors.New("the URL could not be fetched")

// errUnresolved says that a name has no address now. Check lets it pass.
var errUnresolved = errors.New("the name does not resolve")

// An Error says that a URL is refused or could not be fetched. Its text is for the person who gave the URL and does not
// tell more about the network than that person may know: a name without an address, a closed port, a forbidden address
// and an answer that never came read alike. LogValue has the rest.
type Error struct {
	Kind   error // image.ErrInvalid: refused; image.ErrTooLarge: more bytes than allowed; ErrFetch: all else
	Text   string
	Status int   // what the server answered instead of 200, 0 when that is not the reason
	Cause  error // for the log alone, nil when Text says it all
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// LogValue returns the text with its cause, and with the cause's own.
func (e *Error) LogValue() slog.Value {
	if e.Cause == nil {
		return slog.StringValue(e.Text)
	}
	cause := e.Cause.Error()
	if inner, found := errors.AsType[*Error](e.Cause); found {
		cause = inner.LogValue().String()
	}
	return slog.StringValue(e.Text + ": " + cause)
}

// refused returns the error for a URL that is not asked for.
func refused(format string, args ...any) *Error {
	return &Error{Kind: image.ErrInvalid, Text: "The URL is not accepted: " + fmt.Sprintf(format, args...)}
}

// notAllowed refuses a host by a rule. Whether the rule is about the name or about an address behind it is for the log.
func notAllowed(cause error) *Error {
	e := refused("its host is not allowed")
	e.Cause = cause
	return e
}

// unfetched returns the error for a URL from which nothing came. Its text does not tell why.
func unfetched(cause error) *Error {
	return &Error{Kind: ErrFetch, Text: "The URL could not be fetched; the log of the service tells why", Cause: cause}
}
