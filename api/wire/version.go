package wire

// Versions is the document that lists the API's versions, newest first.
type Versions struct {
	Versions []Version `json:"versions"`
}

// A Version is a minor version of the API: a label, since all of them behave the same.
type Version struct {
	ID     string `json:"id"`     // such as "v2.17"
	Status string `json:"status"` // "CURRENT" or "SUPPORTED"
	Links  []Link `json:"links"`
}

// A Link points from one document to another.
type Link struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}
