package image

import "time"

// Usage is what a project uses.
type Usage struct {
	Images    int64 // that are not deleted
	Bytes     int64 // of data, each copy counted, and of what uploads under way have reserved
	Uploading int64 // images that are saving, uploading or importing
	Staged    int64 // bytes in the staging area
}

// Uploading reports whether data of the image is on its way in.
func (img *Image) Uploading() bool {
	return img.Status == Saving || img.Status == Uploading || img.Status == Importing
}

// StoredBytes returns the size of the image's data, counting each copy.
func (img *Image) StoredBytes() int64 {
	if img.Size == nil {
		return 0
	}
	return *img.Size * int64(len(img.Locations))
}

// Staged is data that waits in the staging area for its import.
type Staged struct {
	Number   int64 // of the image
	ImageID  ID
	Location Location
	Size     int64 // bytes
	Since    time.Time
}
