package api

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

// listImages serves GET /v2/images: a page of what the caller may see.
func (s *server) listImages(w http.ResponseWriter, r *http.Request) error {
	params, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	q, err := imageQuery(params, s.cfg.Limits)
	if err != nil {
		return err
	}
	return s.writeDocument(w, r, http.StatusOK, func() (document, error) { return s.loadPage(r, q, params) })
}

// loadPage returns a page as it will be sent. Only a few are made at once: unlike those that wait for a client, they
// hold more than their text.
func (s *server) loadPage(r *http.Request, q image.Query, params parameters) (document, error) {
	leave, err := s.enterLoading(r, q.Limit)
	if err != nil {
		return document{}, err
	}
	defer leave()
	images, err := s.session(r).List(r.Context(), q)
	if err != nil {
		return document{}, err
	}
	opts := s.documentsFor(r)
	return newDocument(func(dst []byte) []byte { return s.appendPage(dst, q, params, images, opts) }), nil
}

// enterLoading waits until one of the maxLoading lists may begin; one of few records need not wait for long ones. Call leave
// at its end. Errors: image.ErrUnavailable when that takes too long.
func (s *server) enterLoading(r *http.Request, records int) (leave func(), err error) {
	leaveAny := func() { <-s.loading }
	select {
	case s.loading <- struct{}{}:
		return leaveAny, nil
	default:
	}
	few := s.loadingFew
	if records > fewRecords {
		few = nil // nothing gets through
	}
	timeout := time.NewTimer(s.patience(r))
	defer timeout.Stop()
	select {
	case s.loading <- struct{}{}:
		return leaveAny, nil
	case few <- struct{}{}:
		return func() { <-few }, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case <-timeout.C:
		return nil, errBusy
	}
}

// maxPageJSON bounds the document of a page as image.PageBytes does its text, which may become six times as long.
const maxPageJSON = 2 * image.PageBytes

func (s *server) appendPage(dst []byte, q image.Query, params parameters, images []*image.Image, opts wire.Options) []byte {
	page, next := wire.NewPageWriter(dst, opts), ""
	for i, img := range images {
		page.Add(img)
		if i == len(images)-1 && q.Full(images) || i < len(images)-1 && page.Len() >= maxPageJSON {
			next = params.link(wire.ImagesPath, string(img.ID))
			break
		}
	}
	return page.End(params.link(wire.ImagesPath, ""), next)
}

// maxFilters bounds the work that one list can ask for.
const maxFilters = 50

// imageQuery turns the parameters of a list into a query. What is no parameter of the list's own is a filter.
func imageQuery(params parameters, limits Limits) (q image.Query, err error) {
	if q.Limit, err = parseLimit(params, limits); err != nil {
		return q, err
	}
	if q.Sort, err = parseSort(params); err != nil {
		return q, err
	}
	for _, p := range params {
		if err := addParameter(&q, p); err != nil {
			return q, err
		}
	}
	if len(q.Filters)+len(q.Tags) > maxFilters {
		return q, image.Errorf(image.ErrInvalid, "A list takes at most %d filters.", maxFilters)
	}
	return q, nil
}

func addParameter(q *image.Query, p parameter) (err error) {
	switch p.key {
	case "limit", "sort", "sort_key", "sort_dir": // read already
	case "marker":
		var ok bool
		if q.Marker, ok = image.ParseID(p.value); !ok {
			return image.Errorf(image.ErrInvalid, "The marker %q is no image id.", p.value)
		}
	case "visibility":
		q.Visibility = image.Visibility(p.value)
		if q.Visibility != image.AnyVisibility && !slices.Contains(image.Visibilities(), q.Visibility) {
			return image.Errorf(image.ErrInvalid, "Invalid visibility value: %s", p.value)
		}
	case "member_status":
		q.MemberStatus = p.value
		if !slices.Contains([]string{"accepted", "pending", "rejected", "all"}, p.value) {
			return image.Errorf(image.ErrInvalid, "Invalid status: %s", p.value)
		}
	case "os_hidden":
		p.value = strings.ToLower(p.value) // clients in Python say True
		q.Hidden, err = parseBool(p)
	case "tag":
		q.Tags = append(q.Tags, p.value)
	case "deleted": // deleted images are in no list, whatever is asked for
	case "changes-since", "locations", "properties":
		return image.Errorf(image.ErrInvalid, "Images cannot be filtered by %s.", p.key)
	default:
		var f image.Filter
		if f, err = parseFilter(p); err == nil {
			q.Filters = append(q.Filters, f)
		}
	}
	return err
}

// parseLimit returns the size of the page: as many images as were asked for, up to the highest number allowed.
func parseLimit(params parameters, limits Limits) (int, error) {
	text, given := params.last("limit")
	if !given {
		return min(limits.PageSize, limits.MaxPage), nil
	}
	text = strings.TrimSpace(text)
	if text == "" || strings.Trim(text, "0123456789") != "" {
		return 0, image.Errorf(image.ErrInvalid, "limit param must be a number that is not negative, not %q", text)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		n = limits.MaxPage // too long a number
	}
	return min(n, limits.MaxPage), nil
}

// parseSort reads the two ways to order a list: sort=name:asc,size and repeated sort_key with sort_dir.
func parseSort(params parameters) ([]image.SortKey, error) {
	keys, dirs := params.all("sort_key"), params.all("sort_dir")
	if text, given := params.last("sort"); given {
		if len(keys)+len(dirs) > 0 {
			return nil, image.Errorf(image.ErrInvalid, "Old and new sorting syntax cannot be combined")
		}
		for part := range strings.SplitSeq(text, ",") {
			key, dir, _ := strings.Cut(part, ":")
			if dir == "" {
				dir = "desc"
			}
			keys, dirs = append(keys, key), append(dirs, dir)
		}
	}
	switch {
	case len(keys) == 0 && len(dirs) > 0:
		keys = []string{string(image.FieldCreatedAt)}
	case len(dirs) == 0:
		dirs = []string{"desc"}
	}
	if len(dirs) > 1 && len(dirs) != len(keys) {
		return nil, image.Errorf(image.ErrInvalid, "Number of sort dirs does not match the number of sort keys")
	}
	var sort []image.SortKey
	for i, key := range keys {
		dir := dirs[min(i, len(dirs)-1)] // one direction is that of every key
		k, err := sortKey(strings.TrimSpace(key), strings.TrimSpace(dir))
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(sort, func(have image.SortKey) bool { return have.Field == k.Field }) {
			sort = append(sort, k) // a field named twice is decided by its first place
		}
	}
	return sort, nil
}

func sortKey(key, dir string) (image.SortKey, error) {
	if !slices.Contains(image.SortFields(), image.Field(key)) {
		return image.SortKey{}, image.Errorf(image.ErrInvalid, "Invalid sort key: %s. It must be one of the following: %s.", key, sortFields())
	}
	if dir != "asc" && dir != "desc" {
		return image.SortKey{}, image.Errorf(image.ErrInvalid, "Invalid sort direction: %s", dir)
	}
	return image.SortKey{Field: image.Field(key), Desc: dir == "desc"}, nil
}

func sortFields() string {
	var names []string
	for _, f := range image.SortFields() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}
