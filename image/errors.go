package image

import (
	"errors"
	"fmt"
	"strings"
)

// The domain errors. Code that meets one wraps it (fmt.Errorf with %w, or Errorf where the text is for the user);
// callers compare with errors.Is. Every way out (HTTP status, errno, exit code) has one table that knows them all.
var (
	ErrNotFound           = errors.New("not found")                   // also what the caller may not see
	ErrInvalid            = errors.New("invalid request")             // the client must change what it sent
	ErrForbidden          = errors.New("forbidden")                   // seen, but not allowed
	ErrUnauthorized       = errors.New("authentication required")     // no or bad credentials
	ErrConflict           = errors.New("conflict")                    // the image's state does not allow it
	ErrInUse              = errors.New("image is in use")             // open through the mount, cloned or pinned; see InUseError
	ErrGone               = errors.New("image was deleted meanwhile") // deleted while its data was being uploaded
	ErrTooLarge           = errors.New("too large")                   // a size cap or quota; see QuotaError
	ErrStoreFull          = errors.New("store is full")               // no space left for the data
	ErrStoreOffline       = errors.New("store is offline")            // cannot be reached now
	ErrStoreReadOnly      = errors.New("store takes no new data")     // an http store, or one configured so
	ErrUnsupportedContent = errors.New("content is not acceptable")   // the bytes are not of the declared format, or unsafe
	ErrUnsupportedType    = errors.New("unsupported media type")      // the request's Content-Type
	ErrNoData             = errors.New("image has no data")           // queued, saving...: nothing was uploaded yet
	ErrDataMissing        = errors.New("image data is missing")       // active, but the store lost the bytes
	ErrCorrupt            = errors.New("data is corrupt")             // a format cut short or contradictory, a hash that does not match
	ErrRange              = errors.New("range not satisfiable")       // the requested range lies outside of the data
	ErrUnavailable        = errors.New("metadata is not available")   // the database is gone, or its disk is full; try again
	ErrInterrupted        = errors.New("the client went away")        // the body ended early or the connection closed
)

// Errors returns every domain error, so that each table of translations can be tested for completeness.
func Errors() []error {
	return []error{ErrNotFound, ErrInvalid, ErrForbidden, ErrUnauthorized, ErrConflict, ErrInUse, ErrGone, ErrTooLarge,
		ErrStoreFull, ErrStoreOffline, ErrStoreReadOnly, ErrUnsupportedContent, ErrUnsupportedType, ErrNoData,
		ErrDataMissing, ErrCorrupt, ErrRange, ErrUnavailable, ErrInterrupted}
}

// An Error is a domain error with a text written for the person who made the request. Its chain holds Kind.
type Error struct {
	Kind error // one of Errors
	Text string
}

// Errorf returns an *Error of the given kind.
func Errorf(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}

func (e *Error) Error() string { return e.Text }

// Unwrap returns the kind.
func (e *Error) Unwrap() error { return e.Kind }

// An InUseError refuses the deletion of an image and says who uses it.
type InUseError struct {
	ID    ID
	Users []string // such as "open through the mount (3 handles)"
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("Image %s could not be deleted because it is in use: %s", e.ID, strings.Join(e.Users, ", "))
}

// Unwrap returns ErrInUse.
func (e *InUseError) Unwrap() error { return ErrInUse }

// A QuotaError says which limit a request would exceed.
type QuotaError struct {
	Resource  string // such as "image_property_quota"
	Limit     int64
	Attempted int64
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("The limit %s of %d has been exceeded: attempted %d", e.Resource, e.Limit, e.Attempted)
}

// Unwrap returns ErrTooLarge.
func (e *QuotaError) Unwrap() error { return ErrTooLarge }
