package sqlite

import (
	"slices"

	"github.com/vitrine-image/vitrine/image"
)

// A view is a list by the name of its project; "" for everybody's images.
type view struct {
	project string
	kind    int64
}

// viewsOf returns the lists whose union the query may show. They share no image: a project's own public images are on the
// list of the public ones, and images shared with their own owner are on no member list.
func viewsOf(q image.Query) ([]view, error) {
	kind, known := visibilityLists[q.Visibility]
	if !known && q.Visibility != "" && q.Visibility != image.AnyVisibility {
		return nil, image.Errorf(image.ErrInvalid, "The visibility %q is not known", q.Visibility)
	}
	members, err := memberViews(q)
	if err != nil {
		return nil, err
	}
	project := q.Caller.ProjectID
	var all []view
	switch {
	case q.Caller.Anonymous:
		all = []view{{"", listPublic}}
	case q.Caller.IsAdmin():
		all = []view{{"", listPublic}, {"", listCommunity}, {"", listShared}, {"", listPrivate}}
	default:
		all = []view{{"", listPublic}, {"", listCommunity}}
		if project != "" {
			all = append(all, view{project, listShared}, view{project, listPrivate})
			all = append(all, members...)
		}
	}
	var views []view
	for _, v := range all {
		switch {
		case q.Visibility == image.AnyVisibility, v.kind == kind && known, v.kind >= listAccepted && q.Visibility == image.Shared:
			views = append(views, v)
		case q.Visibility != "":
		case v.kind != listCommunity:
			views = append(views, v)
		case project != "": // others' community images are shown only when asked for
			views = append(views, view{project, listCommunity})
		}
	}
	return views, nil
}

func memberViews(q image.Query) ([]view, error) {
	project := q.Caller.ProjectID
	switch q.MemberStatus {
	case "":
		return []view{{project, listAccepted}}, nil
	case "all":
		return []view{{project, listAccepted}, {project, listPending}, {project, listRejected}}, nil
	}
	kind, ok := memberLists[q.MemberStatus]
	if !ok {
		return nil, image.Errorf(image.ErrInvalid, "The member status %q is not known", q.MemberStatus)
	}
	return []view{{project, kind}}, nil
}

// filterOwner replaces lists by those of the owners that the filters ask for.
func (sel *selection) filterOwner(views []view, filters []image.Filter) ([]view, error) {
	for _, f := range filters {
		if f.Field != image.FieldOwner {
			continue
		}
		owners, err := stringsOf(f)
		if err != nil {
			return nil, err
		}
		owners = slices.DeleteFunc(owners, func(o string) bool { return o == "" }) // that is null, which no filter matches
		var kept []view
		residual := false
		tooMany := len(owners)*len(views) > maxArms // then everybody's images are read, and those of others left out
		for _, v := range views {
			switch {
			case v.kind >= listAccepted, v.project == "" && tooMany:
				kept = append(kept, v)
				residual = true
			case v.project == "":
				for _, o := range owners {
					kept = append(kept, view{o, v.kind})
				}
			case slices.Contains(owners, v.project):
				kept = append(kept, v)
			}
		}
		views = kept
		if residual {
			sel.addCondition(onImage, `i.owner IN (SELECT value FROM json_each(?))`, encodeStrings(owners))
		}
	}
	return views, nil
}
