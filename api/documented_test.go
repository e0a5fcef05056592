package api

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/api/wire"
)

// TestEveryRouteIsDocumented looks for each operation in the tables of the reference: a row with its method, and its path or,
// beside another path, what comes after their common part.
func TestEveryRouteIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/reference/http-api.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string // their first columns
	for line := range strings.Lines(string(text)) {
		if first, _, ok := strings.Cut(line, " | "); ok {
			rows = append(rows, first)
		}
	}
	names := strings.NewReplacer(":image", "{id}", ":task", "{id}", ":store", "{store}", ":tag", "{tag}", ":member", "{project}", ":guest", "{guest}",
		":namespace", "{ns}", ":name", "{name}", "/v2/metadefs", "")
	for _, rt := range slices.Concat(routes, metadefRoutes) {
		path := names.Replace(rt.path)
		if strings.HasPrefix(rt.path, wire.MetadefSchemas) {
			path = wire.MetadefSchemas + "{name}"
		}
		forms := []string{" " + path + "`", "`" + path + "`"}
		for common, written := range map[string]string{"/v2/images/{id}/actions": "`...", "/namespaces/{ns}": "`...", "/v2/schemas/": "`"} {
			if rest, ok := strings.CutPrefix(path, common); ok && rest != "" {
				forms = append(forms, written+rest+"`")
			}
		}
		if !slices.ContainsFunc(rows, func(row string) bool {
			return strings.Contains(row, "`"+rt.method) && slices.ContainsFunc(forms, func(form string) bool { return strings.Contains(row, form) })
		}) {
			t.Errorf("%s %s is not documented", rt.method, path)
		}
	}
}
