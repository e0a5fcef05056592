package image

// A Visibility says who may see an image.
type Visibility string

// The visibilities of the Image API; images are shared unless the client says otherwise.
const (
	Public    Visibility = "public"
	Community Visibility = "community"
	Shared    Visibility = "shared"
	Private   Visibility = "private"
)

// Visibilities returns every visibility.
func Visibilities() []Visibility { return []Visibility{Public, Community, Shared, Private} }

// A Caller is who asks: made by auth, passed on explicitly.
type Caller struct {
	ProjectID string
	UserID    string
	Roles     []string
	Anonymous bool // carries no credentials; may read what is public
}

// IsAdmin reports whether the caller has the role admin.
func (c Caller) IsAdmin() bool {
	for _, r := range c.Roles {
		if equalFold(r, "admin") {
			return true
		}
	}
	return false
}

// equalFold compares role names, which Keystone keeps in ASCII.
func equalFold(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i]|0x20, b[i]|0x20
		if x != y {
			return false
		}
	}
	return true
}
