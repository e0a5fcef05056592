package image

import "time"

// Usage is what a project uses.
type Usage struct {
	Images    int64 // that are not deleted
	Bytes     int64 // of data, each copy counted, and of what uploads under way to stores have reserved
	Uploading int64 // images that are saving, uploading or importing
	Staged    int64 // bytes in the staging area, and of what uploads to it have reserved
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

// The resources that projects have quotas of.
const (
	QuotaSize      = "image_size_total"
	QuotaStaged    = "image_stage_total"
	QuotaImages    = "image_count_total"
	QuotaUploading = "image_count_uploading"
)

// A Quota is what a project uses of a resource, and how much it may: MiB of QuotaSize and QuotaStaged, and numbers of the
// others.
type Quota struct {
	Resource string
	Used     int64
	Limit    int64 // below 0 for none
}
