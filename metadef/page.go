package metadef

import (
	"cmp"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/image"
)

// Page returns the namespaces that the caller of the query sees, in its order, as far as they belong to the page.
// Errors: image.ErrInvalid for an unknown sort key, image.ErrNotFound for an unknown marker.
func (q Query) Page(all []Namespace) ([]Namespace, error) {
	key := cmp.Or(q.Sort, "created_at")
	compare, known := namespaceOrder[key]
	if !known {
		return nil, image.Errorf(image.ErrInvalid, "Namespaces cannot be sorted by %q (of: %s)", key, strings.Join(SortFields, ", "))
	}
	visible := slices.DeleteFunc(slices.Clone(all), func(n Namespace) bool {
		return !n.CanSee(q.Caller) || q.Visibility != "" && n.Visibility != q.Visibility
	})
	return page(visible, q.Asc, q.Limit, q.Marker, compare, func(n *Namespace) string { return n.Name })
}

// Page returns the tags of the page in the query's order.
// Errors: image.ErrInvalid for an unknown sort key, image.ErrNotFound for an unknown marker.
func (q TagQuery) Page(all []Tag) ([]Tag, error) {
	key := cmp.Or(q.Sort, "created_at")
	compare, known := tagOrder[key]
	if !known {
		return nil, image.Errorf(image.ErrInvalid, "Tags cannot be sorted by %q (of: %s)", key, strings.Join(TagSortFields, ", "))
	}
	return page(slices.Clone(all), q.Asc, q.Limit, q.Marker, compare, func(t *Tag) string { return t.Name })
}

var namespaceOrder = map[string]func(a, b *Namespace) int{
	"namespace":    func(a, b *Namespace) int { return 0 }, // names break ties
	"display_name": func(a, b *Namespace) int { return cmp.Compare(orEmpty(a.DisplayName), orEmpty(b.DisplayName)) },
	"description":  func(a, b *Namespace) int { return cmp.Compare(orEmpty(a.Description), orEmpty(b.Description)) },
	"visibility":   func(a, b *Namespace) int { return cmp.Compare(a.Visibility, b.Visibility) },
	"protected":    func(a, b *Namespace) int { return compareBool(a.Protected, b.Protected) },
	"owner":        func(a, b *Namespace) int { return cmp.Compare(a.Owner, b.Owner) },
	"created_at":   func(a, b *Namespace) int { return a.CreatedAt.Compare(b.CreatedAt) },
	"updated_at":   func(a, b *Namespace) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
}

var tagOrder = map[string]func(a, b *Tag) int{
	"name":       func(a, b *Tag) int { return 0 }, // names break ties
	"created_at": func(a, b *Tag) int { return a.CreatedAt.Compare(b.CreatedAt) },
	"updated_at": func(a, b *Tag) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
}

func page[T any](list []T, asc bool, limit int, marker string, compare func(a, b *T) int, name func(*T) string) ([]T, error) {
	slices.SortFunc(list, func(a, b T) int {
		order := cmp.Or(compare(&a, &b), cmp.Compare(FoldName(name(&a)), FoldName(name(&b))))
		if asc {
			return order
		}
		return -order
	})
	if marker != "" {
		at := slices.IndexFunc(list, func(e T) bool { return FoldName(name(&e)) == FoldName(marker) })
		if at < 0 {
			return nil, image.Errorf(image.ErrNotFound, "There is no %q to start after", marker)
		}
		list = list[at+1:]
	}
	return list[:min(max(limit, 0), len(list))], nil
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
