package image

// PageBytes bounds the text of a page: it ends with the image that reaches this number, even if its Limit is not reached.
// A page of a thousand images that have MaxTextBytes each would need more memory than there is.
const PageBytes = 2 << 20

// TextBytes returns the number of bytes that clients wrote: name, tags and properties.
func (img *Image) TextBytes() int {
	n := 0
	if img.Name != nil {
		n = len(*img.Name)
	}
	for _, tag := range img.Tags {
		n += len(tag)
	}
	for name, value := range img.Properties {
		n += len(name) + len(value)
	}
	return n
}

// Full reports whether the page is one that ended because of its Limit or its PageBytes, so that more may follow.
func (q Query) Full(page []*Image) bool {
	if len(page) == 0 || len(page) >= q.Limit {
		return len(page) > 0
	}
	n := 0
	for _, img := range page {
		n += img.TextBytes()
	}
	return n >= PageBytes
}
