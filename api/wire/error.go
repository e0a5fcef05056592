package wire

// An Error is the body of a refused request in its JSON form.
type Error struct {
	Message string `json:"message"`
	Code    string `json:"code"`  // such as "404 Not Found"
	Title   string `json:"title"` // such as "Not Found"
}
