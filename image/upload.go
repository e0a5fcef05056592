package image

import "time"

// An Upload is a reservation: it is recorded before the first byte is written, so that a sweep can find the object of
// an upload whose process died. It names the instance of the process that holds it.
type Upload struct {
	ID       string // random
	Number   int64  // of the image
	ImageID  ID
	Store    string
	Object   string // name of the object within the store
	Instance string // the process instance, which beats its heart in the database
	Bytes    int64  // announced size, or -1
	Reserved int64  // bytes that it counts for in its project's usage
	Started  time.Time
}

// StagingStore is the id of the store in which data waits for its import.
const StagingStore = "os_glance_staging_store"

// Garbage is data whose record is gone already: deleting goes record first, bytes second.
type Garbage struct {
	ID       int64
	Number   int64 // of the image, for those who still hold it open
	ImageID  ID
	Location Location
	Since    time.Time
}
