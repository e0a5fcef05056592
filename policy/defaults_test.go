package policy_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/policy"
)

// The callers of the tables: an administrator of some project, a member and a reader of the project that owns the image, a
// member and a reader of a project that it is shared with, a member of a third project, who sees it because it is a
// community image, somebody of that project without a role, two services, and nobody.
var callers = []struct {
	letter byte
	image.Caller
}{
	{'A', image.Caller{ProjectID: "ops", Roles: []string{"admin", "member", "reader"}}},
	{'O', image.Caller{ProjectID: "own", Roles: []string{"member", "reader"}}},
	{'R', image.Caller{ProjectID: "own", Roles: []string{"reader"}}},
	{'S', image.Caller{ProjectID: "guest", Roles: []string{"member", "reader"}}},
	{'s', image.Caller{ProjectID: "guest", Roles: []string{"reader"}}},
	{'X', image.Caller{ProjectID: "third", Roles: []string{"member", "reader"}}},
	{'n', image.Caller{ProjectID: "third"}},
	{'V', image.Caller{ProjectID: "service", Roles: []string{"service"}}},
	{'v', image.Caller{ProjectID: "third", Roles: []string{"member", "reader"}, ServiceRoles: []string{"service"}}},
	{'-', image.Caller{Anonymous: true}},
}

// imageFor is an image as the caller meets it.
func imageFor(c image.Caller) policy.Target {
	img := &image.Image{Owner: "own", Visibility: image.Shared, Status: image.Active}
	switch c.ProjectID {
	case "guest":
		return policy.ForImage(img, "guest")
	case "third":
		img.Visibility = image.Community
	}
	return policy.ForImage(img, "")
}

func publicImage(image.Caller) policy.Target {
	return policy.ForImage(&image.Image{Owner: "own", Visibility: image.Public, Status: image.Active}, "")
}

func ownProject(c image.Caller) policy.Target { return policy.ForProject(c.ProjectID) }

func ownNewImage(c image.Caller) policy.Target {
	return policy.ForImage(&image.Image{Owner: c.ProjectID, Visibility: image.Shared}, "")
}

func foreignNewImage(image.Caller) policy.Target {
	return policy.ForImage(&image.Image{Owner: "foreign", Visibility: image.Shared}, "")
}

func namespace(v image.Visibility) func(image.Caller) policy.Target {
	return func(image.Caller) policy.Target { return policy.ForNamespace("OS::Test", "own", v) }
}

// TestBuiltInRules says of every built-in rule which of the callers it allows.
func TestBuiltInRules(t *testing.T) {
	const all = "AORSsXnVv"
	type row struct {
		target  func(image.Caller) policy.Target
		allowed string
		rules   string // several with blanks
	}
	e := open(t, policy.Config{})
	seen := make(map[string]bool)
	for _, tt := range []row{
		{ownProject, all, "default metadef_default get_task get_tasks add_task modify_task"},
		{ownProject, "A", "context_is_admin metadef_admin"},
		{ownProject, "AVv", "service_api stores_info_detail"},
		{ownNewImage, "AOSXv", "add_image"},
		{foreignNewImage, "A", "add_image"},
		{ownProject, "AORSsXv-", "get_images"},
		{imageFor, "AORSsXv", "get_image"},
		{publicImage, "AORSsXv-", "get_image"},
		{imageFor, "AOSXv", "download_image download_from_store"},
		{publicImage, "AOSXv-", "download_image download_from_store"},
		{imageFor, "AO", "modify_image delete_image upload_image communitize_image deactivate reactivate set_image_location add_member delete_member pin_image"},
		{imageFor, "A", "publicize_image copy_image clone_image get_image_users delete_image_location"},
		{imageFor, "AOR", "get_image_location"},
		{imageFor, "AOVv", "add_image_location"},
		{imageFor, "AVv", "fetch_image_location"},
		{imageFor, "AORSs", "get_member get_members"},
		{imageFor, "AS", "modify_member"},
		{ownProject, "A", "tasks_api_access cache_image cache_list cache_delete cache_clean cache_prune list_cached_nodes manage_image_cache"},
		{ownProject, "AORSsXv-", "get_metadef_namespaces list_metadef_resource_types"},
		{namespace(image.Private), "AOR", "get_metadef_namespace get_metadef_object get_metadef_objects get_metadef_resource_type get_metadef_property get_metadef_properties get_metadef_tag get_metadef_tags"},
		{namespace(image.Public), "AORSsXv-", "get_metadef_namespace get_metadef_object get_metadef_objects get_metadef_resource_type get_metadef_property get_metadef_properties get_metadef_tag get_metadef_tags"},
		{namespace(image.Public), "A", `add_metadef_namespace modify_metadef_namespace delete_metadef_namespace
			add_metadef_object modify_metadef_object delete_metadef_object
			add_metadef_resource_type_association remove_metadef_resource_type_association
			add_metadef_property modify_metadef_property remove_metadef_property
			add_metadef_tag add_metadef_tags modify_metadef_tag delete_metadef_tag delete_metadef_tags`},
	} {
		for rule := range strings.FieldsSeq(tt.rules) {
			seen[rule] = true
			got := ""
			for _, c := range callers {
				allowed := e.Allows(t.Context(), c.Caller, rule, tt.target(c.Caller))
				err := e.Check(t.Context(), c.Caller, rule, tt.target(c.Caller))
				if allowed != (err == nil) || err != nil && !errors.Is(err, image.ErrForbidden) {
					t.Errorf("%s: %c: Allows = %t, Check = %v", rule, c.letter, allowed, err)
				}
				if allowed {
					got += string(c.letter)
				}
			}
			if got != tt.allowed {
				t.Errorf("%s allows %s, want %s", rule, got, tt.allowed)
			}
		}
	}
	for _, d := range policy.Definitions() {
		if !seen[d.Name] {
			t.Errorf("nothing is said of %s", d.Name)
		}
	}
	if n := len(policy.Definitions()); n != 70 {
		t.Errorf("%d rules, want 70", n)
	}
}

// TestScope refuses tokens that are not for a project, whatever their roles.
func TestScope(t *testing.T) {
	e := open(t, policy.Config{})
	for _, c := range []image.Caller{
		{Roles: []string{"admin"}},
		{Roles: []string{"admin"}, DomainID: "d"},
		{Roles: []string{"admin"}, DomainID: "d", ProjectID: "p"},
	} {
		if e.Allows(t.Context(), c, policy.GetImages, policy.ForProject("")) {
			t.Errorf("%+v may list images", c)
		}
		if !e.IsAdmin(t.Context(), c) {
			t.Errorf("%+v is no administrator", c)
		}
	}
}

func TestDefinitionsAreComplete(t *testing.T) {
	var names []string
	for _, d := range policy.Definitions() {
		names = append(names, d.Name)
		if !strings.HasSuffix(d.Text, ".") {
			t.Errorf("%s: the text %q is no sentence", d.Name, d.Text)
		}
		if !d.AnyScope && len(d.Operations) == 0 {
			t.Errorf("%s is asked for by no operation", d.Name)
		}
	}
	slices.Sort(names)
	if len(slices.Compact(names)) != len(policy.Definitions()) {
		t.Error("a rule is there twice")
	}
}
