package image

// An Extent is a range of an image's data. One without data reads as zeros.
type Extent struct {
	Offset, Length int64 // bytes
	Data           bool
}

// An ExtentQuery asks for extents.
type ExtentQuery struct {
	Format string // of the data, as for a download; "" for that of the image
	Offset int64  // where they begin
}

// ExtentPage are some of the extents of an image's data.
type ExtentPage struct {
	Format  string
	Size    int64    // bytes of the data in the format
	Extents []Extent // in order, each from the end of the one before on; the first one begins where it was asked for
	Next    int64    // where the next page begins; Size for the last page
}
