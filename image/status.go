package image

import (
	"slices"
	"strings"
)

// A Status says how far an image has come.
type Status string

// The statuses of the Image API.
const (
	Queued        Status = "queued"
	Saving        Status = "saving"
	Uploading     Status = "uploading"
	Importing     Status = "importing"
	Active        Status = "active"
	Deactivated   Status = "deactivated"
	Killed        Status = "killed"
	PendingDelete Status = "pending_delete"
	Deleted       Status = "deleted"
)

var transitions = map[Status][]Status{
	Queued:        {Saving, Uploading, Importing, Active, Deleted},
	Saving:        {Active, Killed, Deleted, Queued},
	Uploading:     {Importing, Queued, Deleted},
	Importing:     {Active, Deleted, Queued},
	Active:        {PendingDelete, Deleted, Deactivated},
	Killed:        {Deleted},
	PendingDelete: {Deleted, Active},
	Deactivated:   {Active, Deleted},
	Deleted:       {},
}

// Statuses returns every status.
func Statuses() []Status {
	return []Status{Queued, Saving, Uploading, Importing, Active, Deactivated, Killed, PendingDelete, Deleted}
}

// CanBecome reports whether an image may go from s to next.
func (s Status) CanBecome(next Status) bool { return slices.Contains(transitions[s], next) }

// Visible reports whether the API shows images of this status at all.
func (s Status) Visible() bool { return s != Killed && s != Deleted && s != PendingDelete }

// SetStatus moves the image to the status next. Going back to queued forgets size, virtual size and sums.
// Errors: ErrConflict when the move is not allowed, ErrInvalid when a format is missing that the move needs.
func (img *Image) SetStatus(next Status) error {
	if !img.Status.CanBecome(next) {
		return Errorf(ErrConflict, "Image status transition from %s to %s is not allowed", img.Status, next)
	}
	if (img.Status == Queued || img.Status == Uploading) && (next == Saving || next == Importing || next == Active) {
		if err := img.requireFormats(); err != nil {
			return err
		}
	}
	if next == Queued {
		img.Size, img.VirtualSize = nil, nil
		img.Checksum, img.HashAlgo, img.HashValue = "", "", ""
	}
	img.Status = next
	return nil
}

func (img *Image) requireFormats() error {
	var missing []string
	if img.DiskFormat == "" {
		missing = append(missing, "disk_format")
	}
	if img.ContainerFormat == "" {
		missing = append(missing, "container_format")
	}
	if len(missing) > 0 {
		return Errorf(ErrInvalid, "Properties %s must be set prior to saving data.", strings.Join(missing, ", "))
	}
	return nil
}
