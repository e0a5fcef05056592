package image

// What sums are of.
const (
	SumStored   = "stored"   // the data as it is downloaded: os_hash_value
	SumReceived = "received" // the data as it came, if the import made something else of it
	SumDisk     = "disk"     // the disk that a guest sees: disk.raw in the mount
)

// A ContentSum is a hash of some of an image's content.
type ContentSum struct {
	Of    string `json:"of"`
	Algo  string `json:"algorithm"`
	Value string `json:"value"` // hex
	Size  int64  `json:"size"`  // bytes that were hashed
}
