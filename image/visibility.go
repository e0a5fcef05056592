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
