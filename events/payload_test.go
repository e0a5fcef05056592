package events

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
)

// samples returns one event of each name.
func samples() []Event {
	img := picture("debian")
	img.Properties["os_glance_failed_import"] = "lost"
	queued := &image.Image{ID: img.ID, Status: image.Queued, Visibility: image.Private, CreatedAt: at, UpdatedAt: at}
	caller := image.Caller{ProjectID: "p2", UserID: "u2", Token: "gAAAA"}
	member := image.Member{ImageID: img.ID, Project: "p2", Status: image.MemberPending, CreatedAt: at, UpdatedAt: at}
	expires := at.Add(time.Hour)
	task := &image.Task{ID: "2c5ea4c0-4067-11e9-8bad-9b1deb4d3b7d", Type: image.TaskImageImport, Status: image.TaskPending, Owner: "p1",
		Input: []byte(`{"import_from":"https://user:hunter2@example.org"}`), Result: []byte(`{"token":"hunter2"}`), Message: "hunter2", CreatedAt: at, UpdatedAt: at}
	ended := *task
	ended.Status, ended.ExpiresAt = image.TaskSuccess, &expires
	display, target := "CPU", "image"
	ns := &metadef.Namespace{Name: "OS::CPU", DisplayName: &display, Visibility: image.Public, Owner: "p1", CreatedAt: at, UpdatedAt: at}
	schema := metadef.Schema{"title": "Cores", "type": "integer", "minimum": json.Number("0"), "enum": []any{"1"}, "readonly": true}
	object := &metadef.Object{Name: "cpu", Required: []string{"cores"}, Properties: map[string]metadef.Schema{"cores": schema, "arch": {"title": "A", "type": "string"}}, CreatedAt: at, UpdatedAt: at}
	property := &metadef.Property{Name: "cores", Schema: schema}
	tag := metadef.Tag{Name: "fast", CreatedAt: at, UpdatedAt: at}
	about := metadef.Association{ResourceType: "OS::Glance::Image", Prefix: "hw_", PropertiesTarget: &target, CreatedAt: at, UpdatedAt: at}
	return []Event{
		ForImage(ImageCreate, queued, at), ForData(ImagePrepare, img, "fast", at), ForData(ImageUpload, img, "", at),
		ForImage(ImageActivate, img, at), ForSend(img, caller, netip.MustParseAddr("::ffff:192.0.2.1"), 1024, 1024, at),
		ForImage(ImageUpdate, img, at), ForImage(ImageDelete, img, at),
		ForMember(MemberCreate, member, at), ForMember(MemberUpdate, member, at), ForMember(MemberDelete, member, at),
		ForTask(TaskCreate, task, at), ForTask(TaskRun, task, at), ForTask(TaskProcessing, task, at), ForTask(TaskSuccess, &ended, at),
		ForTask(TaskFailure, &ended, at), ForTask(TaskDelete, &ended, at),
		ForNamespace(NamespaceCreate, ns, "", at), ForNamespace(NamespaceUpdate, ns, "OS::Old", at), ForNamespace(NamespaceDelete, ns, "", at),
		ForNamespace(NamespaceDeleteObjects, ns, "", at), ForNamespace(NamespaceDeleteProperties, ns, "", at), ForNamespace(NamespaceDeleteTags, ns, "", at),
		ForObject(ObjectCreate, ns.Name, object, "", at), ForObject(ObjectUpdate, ns.Name, object, "old", at), ForObject(ObjectDelete, ns.Name, object, "", at),
		ForProperty(PropertyCreate, ns.Name, property, "", at), ForProperty(PropertyUpdate, ns.Name, property, "old", at), ForProperty(PropertyDelete, ns.Name, property, "", at),
		ForTag(TagCreate, ns.Name, tag, "", at), ForTag(TagUpdate, ns.Name, tag, "old", at), ForTag(TagDelete, ns.Name, tag, "", at),
		ForResourceType(ResourceTypeCreate, ns.Name, about, at), ForResourceType(ResourceTypeDelete, ns.Name, about, at),
	}
}

func TestPayloads(t *testing.T) {
	keys := make(map[string][]string)
	for _, p := range payloads {
		for _, f := range p.fields {
			keys[p.name] = append(keys[p.name], f.key)
		}
		slices.Sort(keys[p.name])
	}
	var all bytes.Buffer
	events := samples()
	if len(events) != 33 || len(definitions) != 33 {
		t.Fatalf("%d events and %d definitions, want 33", len(events), len(definitions))
	}
	for i, d := range definitions {
		e := events[i]
		if e.Name != d.Name || e.Priority != d.Priority {
			t.Errorf("event %d is %s (%s), want %s (%s)", i, e.Name, e.Priority, d.Name, d.Priority)
		}
		text, err := json.MarshalIndent(e.payload, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s\n%s\n", e.Name, text)
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if d.Name == ImageUpload { // without a store that was chosen
			got["backend"] = ""
		}
		if got := slices.Sorted(maps.Keys(got)); !slices.Equal(got, keys[d.Payload]) {
			t.Errorf("%s has the keys\n%v, its payload %q\n%v", d.Name, got, d.Payload, keys[d.Payload])
		}
		if deleted, is := got["deleted"]; is && (deleted == true) != strings.HasSuffix(string(d.Name), ".delete") {
			t.Errorf("%s: deleted is %v", d.Name, deleted)
		}
	}
	for _, secret := range []string{"hunter2", "gAAAA", "swift", "node1"} {
		if strings.Contains(all.String(), secret) {
			t.Errorf("%q is told", secret)
		}
	}
	golden(t, "payloads.txt", all.Bytes())
}

func TestAnEventSharesNothing(t *testing.T) {
	img := picture("debian")
	e := ForData(ImageUpload, img, "", at)
	before, err := encode(e.payload)
	if err != nil {
		t.Fatal(err)
	}
	*img.Name, *img.Size, img.Tags[0], img.Properties["os_type"] = "x", 1, "x", "x"
	if after, _ := encode(e.payload); !bytes.Equal(before, after) {
		t.Errorf("a change of the image afterwards changes the event: %s", after)
	}
}

func TestADownloadThatBrokeOffIsAnError(t *testing.T) {
	if e := ForSend(picture("x"), image.Caller{Anonymous: true}, netip.Addr{}, 1023, 1024, at); e.Priority != ErrorPriority {
		t.Errorf("the priority is %s", e.Priority)
	}
}

func TestAFailedUploadSaysWhatTheUserIsTold(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("write /srv/secret: %w", image.Errorf(image.ErrTooLarge, "The data is too large, see http://u:hunter2@h/")), "The data is too large, see http://redacted@h/"},
		{fmt.Errorf("put: %w", image.ErrStoreFull), "store is full"},
		{&image.QuotaError{Resource: "image_size_total", Limit: 1, Attempted: 2}, "The limit image_size_total of 1 has been exceeded: attempted 2"},
		{&image.InUseError{ID: "x", Users: []string{"a guest"}}, "Image x could not be deleted because it is in use: a guest"},
		{errors.New("dial 10.0.0.1: refused"), "internal error"},
	} {
		e := ForFailedUpload("1b4e28ba-2fa1-11d2-883f-0016d3cca427", tt.err, at)
		if want := "Failed to upload the data of image 1b4e28ba-2fa1-11d2-883f-0016d3cca427: " + tt.want; e.payload != want || e.Priority != ErrorPriority || e.Name != ImageUpload {
			t.Errorf("%+v, want %q", e, want)
		}
	}
}

func TestRedaction(t *testing.T) {
	for text, want := range map[string]string{
		"linux":                              "linux",
		"me@example.org":                     "me@example.org",
		"https://example.org/a@b":            "https://example.org/a@b",
		"https://u:p@example.org":            "https://redacted@example.org",
		"https://u:p@q@example.org/x":        "https://redacted@example.org/x",
		"rbd://k%zz:p@pool/i swift://t:u@h/": "rbd://redacted@pool/i swift://redacted@h/",
		"see http://h?x=u:p@y":               "see http://h?x=u:p@y",
	} {
		if got := redactText(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}

func TestFilters(t *testing.T) {
	for _, tt := range []struct {
		only, disabled []string
		name           Name
		want           bool
	}{
		{nil, nil, ImageCreate, true},
		{nil, []string{"image"}, ImageCreate, false},
		{nil, []string{"image"}, MemberCreate, false},
		{nil, []string{"image.member"}, MemberCreate, false},
		{nil, []string{"image.member"}, ImageCreate, true},
		{nil, []string{"image.create", "task"}, ImageUpdate, true},
		{nil, []string{"image.create", "task"}, TaskRun, false},
		{[]string{"metadef_tag"}, nil, TagCreate, true},
		{[]string{"metadef_tag"}, nil, ObjectCreate, false},
		{[]string{"image"}, []string{"image.send"}, ImageSend, false},
	} {
		f, err := newFilter(tt.only, tt.disabled)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.allows(tt.name); got != tt.want {
			t.Errorf("only %q without %q: %s is %t", tt.only, tt.disabled, tt.name, got)
		}
	}
	for _, wrong := range []string{"", "imag", "image.", "image.creates", "metadef", "."} {
		if _, err := newFilter(nil, []string{wrong}); err == nil {
			t.Errorf("%q is taken for events", wrong)
		}
	}
}

func TestReference(t *testing.T) {
	const path = "../docs/reference/events.md"
	want := Reference()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if have, err := os.ReadFile(path); err != nil || string(have) != want {
		t.Errorf("%s is not what the program says (%v); write it anew: go test ./events -run TestReference -update", path, err)
	}
	for _, d := range definitions {
		if !slices.ContainsFunc(payloads, func(p payload) bool { return p.name == d.Payload }) {
			t.Errorf("%s: there is no payload %q", d.Name, d.Payload)
		}
	}
}
