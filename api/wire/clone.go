package wire

// OwnPath begins the paths of what the Image API does not know.
const OwnPath = "/vitrine/v1"

// A NewClone is the document that asks for a clone of an image.
type NewClone struct {
	Store string `json:"store,omitempty"`
	Pool  string `json:"pool"`
	Name  string `json:"name"`
	Size  int64  `json:"size,omitempty"` // bytes
}

// A Clone is the document of a clone that was made.
type Clone struct {
	Store    string `json:"store"`
	Location string `json:"location"`
	Size     int64  `json:"size"`
	Parent   string `json:"parent"`
}
