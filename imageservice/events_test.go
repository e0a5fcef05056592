package imageservice_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/events"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/imageservice/servicetest"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/metadef"
	"github.com/vitrine-image/vitrine/policy"
)

// A notebook is event log and audit log of a test.
type notebook struct {
	mu      sync.Mutex
	events  []string
	names   map[events.Name]bool // of all events so far
	acts    []string
	sources []netip.Addr // of the acts
}

func (n *notebook) Emit(_ context.Context, e events.Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[e.Name] = true
	text := string(e.Name)
	if e.Priority == events.ErrorPriority {
		text += "!"
	}
	n.events = append(n.events, text)
}

func (n *notebook) Record(ctx context.Context, act events.Act) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := fmt.Sprint(act.Caller.ProjectID, " ", act.Action, " ", act.Kind)
	if act.Member != "" {
		text += " with " + act.Member
	}
	if act.Volume != "" {
		text += " " + act.Volume
	}
	if act.Guest != "" {
		text += " for " + act.Guest
	}
	for _, c := range act.Changes {
		text += " " + strings.ReplaceAll(c.Field, " ", "_")
	}
	if act.Bytes != 0 {
		text += fmt.Sprint(" ", act.Bytes)
	}
	switch {
	case errors.Is(act.Err, image.ErrForbidden):
		text += " refused"
	case act.Err != nil:
		text += " failed"
	}
	n.acts = append(n.acts, text)
	n.sources = append(n.sources, events.OriginFrom(ctx).Address)
}

// take returns what was noted since the last time.
func (n *notebook) take() (told, recorded string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	told, recorded = strings.Join(n.events, " "), strings.Join(n.acts, ", ")
	n.events, n.acts = nil, nil
	return told, recorded
}

// everything is what a caller can do, on the service itself and through a client.
type everything interface {
	servicetest.Sharing
	metadef.Catalog
	tasks
	Import(ctx context.Context, id image.ID, imp image.Import) error
	DeleteCopy(ctx context.Context, store string, id image.ID) error
	Locations(ctx context.Context, id image.ID) ([]image.Location, error)
	CreateTask(ctx context.Context, kind image.TaskType, input map[string]any) (*image.Task, error)
	AddLocation(ctx context.Context, id image.ID, add image.NewLocation) error
}

// workOnce carries out the import that waits: it brings what is staged, or stored already, into the stores.
func workOnce(ctx context.Context, svc *imageservice.Service) error {
	_, err := svc.RunTask(ctx, func(ctx context.Context, task *image.Task) error {
		plan, err := task.Plan()
		if err != nil {
			return err
		}
		if plan.Method == image.LocationMethod {
			if !plan.Location.Added {
				err = svc.Adopt(ctx, task, plan)
			}
			if err == nil {
				err = svc.Examine(ctx, task, plan, func(r io.Reader) io.Reader { return r })
			}
			return errors.Join(err, svc.EndLocation(ctx, task, err != nil, "done"))
		}
		if plan.Method == image.ImportURL {
			return svc.EndImport(ctx, task, plan, true, "nobody answers there")
		}
		img, err := svc.ImportedImage(ctx, task)
		if err != nil {
			return err
		}
		open := svc.OpenImported
		if plan.Method == image.ImportStaged {
			open = svc.OpenStaged
		}
		r, err := open(ctx, img)
		if err != nil {
			return err
		}
		defer r.Close()
		data := make([]byte, r.Size())
		if _, err := r.ReadAt(ctx, data, 0); err != nil && err != io.EOF {
			return err
		}
		for _, store := range plan.Stores {
			req := ingest.Request{Body: bytes.NewReader(data), Size: r.Size(), DiskFormat: img.DiskFormat, ContainerFormat: img.ContainerFormat}
			if err := svc.Receive(ctx, task, plan, store, req); err != nil {
				return err
			}
		}
		return svc.EndImport(ctx, task, plan, false, "done")
	})
	return err
}

// TestEventsAndRecords does everything that can be done, and some of what cannot, and looks at what is told and written
// down of it, in the order of both. No event is missing.
func TestEventsAndRecords(t *testing.T) {
	for way, through := range map[string]func(t *testing.T, svc *imageservice.Service) func(image.Caller) everything{
		"service": func(_ *testing.T, svc *imageservice.Service) func(image.Caller) everything {
			return func(c image.Caller) everything { return session{svc.As(c)} }
		},
		"HTTP": func(t *testing.T, svc *imageservice.Service) func(image.Caller) everything {
			as := serve(t, svc, api.Config{Stores: svc.Stores()})
			return func(c image.Caller) everything { return as(c) }
		},
	} {
		t.Run(way, func(t *testing.T) {
			notes := &notebook{names: make(map[events.Name]bool)}
			var later atomic.Int64
			dir := t.TempDir()
			var entries []imagestore.Entry
			for _, id := range []string{"local", "second", imagestore.Staging} {
				entries = append(entries, imagestore.Entry{ID: id, Store: openFiles(t, id, filepath.Join(dir, id)), Default: id == "local", Local: true})
			}
			entries = append(entries, imagestore.Entry{ID: "web", Store: &shelf{id: "web", scheme: "http",
				data: map[string]string{"http://web/a": "data", "http://web/b": "data"}}})
			svc := openWith(t, imageservice.Config{DB: openDB(t, dir), Events: notes, Audit: notes,
				Locations: imageservice.LocationConfig{Edit: true, Verify: true},
				Now:       func() time.Time { return time.Now().Add(time.Duration(later.Load())) },
				Import:    imageservice.ImportConfig{Methods: image.ImportMethods(), CheckURL: anyURL, FindRegion: anyRegion}}, entries...)
			as := through(t, svc)
			walk(t, svc, notes, as(servicetest.Admin), as(servicetest.Owner), as(servicetest.Member), as(servicetest.Other), func() { later.Store(int64(72 * time.Hour)) })
			for _, d := range events.Definitions() {
				if !notes.names[d.Name] {
					t.Errorf("nothing was told as %s", d.Name)
				}
			}
			for _, source := range notes.sources {
				if source.IsLoopback() != (way == "HTTP") {
					t.Errorf("an act came from %s", source)
				}
			}
		})
	}
}

func walk(t *testing.T, svc *imageservice.Service, notes *notebook, admin, owner, member, other everything, expire func()) {
	ctx := t.Context()
	id, staged, fetched, odd, located := image.NewID(), image.NewID(), image.NewID(), image.NewID(), image.NewID()
	newRaw := func(id image.ID, format string) error {
		_, err := owner.Create(ctx, id, []image.Edit{{Op: image.EditAdd, Name: "disk_format", Value: format},
			{Op: image.EditAdd, Name: "container_format", Value: "bare"}})
		return err
	}
	edit := func(s everything, name string, value any) error {
		_, err := s.Edit(ctx, id, []image.Edit{{Op: image.EditAdd, Name: name, Value: value}})
		return err
	}
	upload := func(id image.ID) error { return owner.Upload(ctx, id, strings.NewReader("data"), 4) }
	download := func(s everything) error { _, err := s.Download(ctx, id); return err }
	share := func() error { _, err := owner.AddMember(ctx, id, "member"); return err }
	answer := func(s everything) error {
		_, err := s.SetMemberStatus(ctx, id, "member", image.MemberAccepted)
		return err
	}
	pin := func(s everything) error { _, err := s.Pin(ctx, id, "web-1"); return err }
	locations := func(s everything) error { _, err := s.Locations(ctx, id); return err }
	task := func(s everything) error {
		_, err := s.CreateTask(ctx, image.TaskImport, map[string]any{"import_from": "http://example.org", "import_from_format": "raw", "image_properties": map[string]any{}})
		return err
	}
	work := func() error { return workOnce(ctx, svc) }
	namespace := metadef.Document{Namespace: metadef.Namespace{Name: "ns", Visibility: image.Public},
		Associations: []metadef.Association{{ResourceType: "OS::Glance::Image"}}, Properties: []metadef.Property{{Name: "p", Schema: metadef.Schema{"type": "string", "title": "P"}}},
		Objects: []metadef.Object{{Name: "o"}}, Tags: []metadef.Tag{{Name: "t"}}}
	property := func(name string) metadef.Property {
		return metadef.Property{Name: name, Schema: metadef.Schema{"type": "string", "title": "P"}}
	}
	for _, step := range []struct {
		what     string
		do       func() error
		told     string
		recorded string
	}{
		{"create", func() error { return newRaw(id, "raw") }, "image.create", "owner create image"},
		{"create it again", func() error { return newRaw(id, "raw") }, "", "owner create image failed"},
		{"edit", func() error { return edit(owner, "name", "n") }, "image.update", "owner change image name"},
		{"edit what is not there", func() error { return edit(other, "name", "n") }, "", "other change image failed"},
		{"publish", func() error { return edit(owner, "visibility", "public") }, "", "owner change image visibility refused"},
		{"tag", func() error { return owner.AddTag(ctx, id, "x") }, "image.update", "owner change image tags"},
		{"tag again", func() error { return owner.AddTag(ctx, id, "x") }, "", "owner change image"},
		{"untag", func() error { return owner.RemoveTag(ctx, id, "x") }, "image.update", "owner change image tags"},
		{"upload", func() error { return upload(id) }, "image.prepare image.upload image.activate", "owner upload image 4"},
		{"upload again", func() error { return upload(id) }, "", "owner upload image failed"},
		{"download", func() error { return download(owner) }, "image.send", "owner download image 4"},
		{"deactivate", func() error { return owner.Deactivate(ctx, id) }, "image.update", "owner deactivate image status"},
		{"download what is deactivated", func() error { return download(owner) }, "", "owner download image refused"},
		{"reactivate", func() error { return admin.Reactivate(ctx, id) }, "image.update", "ops reactivate image status"},
		{"share", share, "image.member.create", "owner share image with member"},
		{"share again", share, "", "owner share image with member failed"},
		{"accept, as the owner", func() error { return answer(owner) }, "", "owner answer image with member refused"},
		{"accept", func() error { return answer(member) }, "image.member.update", "member answer image with member"},
		{"unshare", func() error { return owner.RemoveMember(ctx, id, "member") }, "image.member.delete", "owner unshare image with member"},
		{"unshare again", func() error { return owner.RemoveMember(ctx, id, "member") }, "", "owner unshare image with member failed"},
		{"pin", func() error { return pin(owner) }, "", "owner pin image for web-1"},
		{"pin, as another", func() error { return pin(other) }, "", "other pin image for web-1 failed"},
		{"unpin", func() error { return owner.Unpin(ctx, id, "web-1") }, "", "owner unpin image for web-1"},
		{"locations, as the owner", func() error { return locations(owner) }, "", "owner show_locations image refused"},
		{"locations", func() error { return locations(admin) }, "", "ops show_locations image"},

		{"copy", func() error {
			return admin.Import(ctx, id, image.Import{Method: image.ImportCopy, Stores: []string{"second"}})
		},
			"task.create image.update", "ops import image"},
		{"the copying", work, "task.run task.processing image.prepare image.upload task.success image.update", ""},
		{"delete a copy, as the owner", func() error { return owner.DeleteCopy(ctx, "second", id) }, "", "owner delete_from_store image refused"},
		{"delete a copy", func() error { return admin.DeleteCopy(ctx, "second", id) }, "image.update", "ops delete_from_store image locations"},
		{"create another", func() error { return newRaw(staged, "raw") }, "image.create", "owner create image"},
		{"stage", func() error { return owner.Stage(ctx, staged, strings.NewReader("data"), 4) }, "image.update", "owner stage image 4"},
		{"import", func() error { return owner.Import(ctx, staged, image.Import{Method: image.ImportStaged}) }, "task.create image.update", "owner import image"},
		{"import again", func() error { return owner.Import(ctx, staged, image.Import{Method: image.ImportStaged}) }, "", "owner import image failed"},
		{"the importing", work, "task.run task.processing image.prepare image.upload image.activate task.success image.update", ""},
		{"create a third one", func() error { return newRaw(fetched, "raw") }, "image.create", "owner create image"},
		{"fetch", func() error {
			return owner.Import(ctx, fetched, image.Import{Method: image.ImportURL, URL: "http://example.org"})
		}, "task.create image.update", "owner import image"},
		{"the fetching", work, "task.run task.processing task.failure image.update", ""},
		{"make by a task, as a project", func() error { return task(owner) }, "", "owner create task refused"},
		{"make by a task", func() error { return task(admin) }, "image.create task.create", "ops create task"},
		{"the making", work, "task.run task.processing task.failure image.delete", ""},
		{"create one for a location", func() error { return newRaw(located, "raw") }, "image.create", "owner create image"},
		{"add a location for services", func() error { return owner.AddLocation(ctx, located, image.NewLocation{URL: "rbd://a"}) }, "", "owner add_location image refused"},
		{"add a location", func() error { return owner.AddLocation(ctx, located, image.NewLocation{URL: "http://web/a"}) },
			"task.create image.update", "owner add_location image"},
		{"the adding", work, "task.run task.processing image.activate image.update task.success", ""},
		{"edit locations", func() error {
			_, err := owner.Edit(ctx, located, []image.Edit{{Op: image.EditAdd, Name: image.EditLocations, Item: "-", Value: map[string]any{"url": "http://web/b"}}})
			return err
		}, "image.update task.create", "owner change image locations"},
		{"the examining", work, "task.run task.processing image.update task.success", ""},
		{"create an odd one", func() error { return newRaw(odd, "qcow2") }, "image.create", "owner create image"},
		{"upload what it is not", func() error { return upload(odd) }, "image.prepare image.upload!", "owner upload image failed"},
		{"tasks, as the owner", func() error { _, _, err := owner.TaskPage(ctx, image.TaskQuery{Limit: 1}); return err }, "", "owner show task refused"},
		{"tasks", func() error { _, _, err := admin.TaskPage(ctx, image.TaskQuery{Limit: 1}); return err }, "", ""},
		{"expired tasks", func() error { expire(); return svc.DropTasks(ctx) }, "task.delete task.delete task.delete task.delete task.delete task.delete", ""},

		{"protect", func() error { return edit(owner, "protected", true) }, "image.update", "owner change image protected"},
		{"delete what is protected", func() error { return owner.Delete(ctx, id) }, "", "owner delete image refused"},
		{"unprotect", func() error { return edit(owner, "protected", false) }, "image.update", "owner change image protected"},
		{"delete", func() error { return owner.Delete(ctx, id) }, "image.delete", "owner delete image"},
		{"delete again", func() error { return owner.Delete(ctx, id) }, "", "owner delete image failed"},

		{"define", func() error { _, err := admin.CreateNamespace(ctx, namespace); return err },
			"metadef_namespace.create metadef_resource_type.create metadef_property.create metadef_object.create metadef_tag.create", "ops create metadef_namespace"},
		{"define, as a project", func() error { _, err := owner.CreateNamespace(ctx, namespace); return err }, "", "owner create metadef_namespace refused"},
		{"rename", func() error {
			n := namespace.Namespace
			n.Name = "new"
			_, err := admin.SaveNamespace(ctx, "ns", n)
			return err
		}, "metadef_namespace.update", "ops change metadef_namespace"},
		{"associate", func() error {
			_, err := admin.AddAssociation(ctx, "new", metadef.Association{ResourceType: "OS::Nova::Flavor"})
			return err
		}, "metadef_resource_type.create", "ops create metadef_namespace resource_type_OS::Nova::Flavor"},
		{"dissociate", func() error { return admin.RemoveAssociation(ctx, "new", "OS::Nova::Flavor") }, "metadef_resource_type.delete", "ops delete metadef_namespace resource_type_OS::Nova::Flavor"},
		{"dissociate again", func() error { return admin.RemoveAssociation(ctx, "new", "OS::Nova::Flavor") }, "", "ops delete metadef_namespace resource_type_OS::Nova::Flavor failed"},
		{"add a property", func() error { _, err := admin.CreateProperty(ctx, "new", property("q")); return err }, "metadef_property.create", "ops create metadef_namespace property_q"},
		{"add it again", func() error { _, err := admin.CreateProperty(ctx, "new", property("q")); return err }, "", "ops create metadef_namespace property_q failed"},
		{"change a property", func() error { _, err := admin.SaveProperty(ctx, "new", "q", property("r")); return err }, "metadef_property.update", "ops change metadef_namespace property_q"},
		{"delete a property", func() error { return admin.DeleteProperty(ctx, "new", "r") }, "metadef_property.delete", "ops delete metadef_namespace property_r"},
		{"add an object", func() error { _, err := admin.CreateObject(ctx, "new", metadef.Object{Name: "q"}); return err }, "metadef_object.create", "ops create metadef_namespace object_q"},
		{"change an object", func() error { _, err := admin.SaveObject(ctx, "new", "q", metadef.Object{Name: "q"}); return err }, "metadef_object.update", "ops change metadef_namespace object_q"},
		{"delete an object", func() error { return admin.DeleteObject(ctx, "new", "q") }, "metadef_object.delete", "ops delete metadef_namespace object_q"},
		{"add a tag", func() error { _, err := admin.CreateTag(ctx, "new", "u"); return err }, "metadef_tag.create", "ops create metadef_namespace tag_u"},
		{"add tags", func() error { _, err := admin.SetTags(ctx, "new", []string{"v", "w"}, true); return err }, "metadef_tag.create metadef_tag.create", "ops create metadef_namespace tags"},
		{"replace tags", func() error { _, err := admin.SetTags(ctx, "new", []string{"x"}, false); return err }, "metadef_namespace.delete_tags metadef_tag.create", "ops create metadef_namespace tags"},
		{"change a tag", func() error { _, err := admin.SaveTag(ctx, "new", "x", "y"); return err }, "metadef_tag.update", "ops change metadef_namespace tag_x"},
		{"delete a tag", func() error { return admin.DeleteTag(ctx, "new", "y") }, "metadef_tag.delete", "ops delete metadef_namespace tag_y"},
		{"delete what is not there", func() error { return admin.DeleteTag(ctx, "new", "y") }, "", "ops delete metadef_namespace tag_y failed"},
		{"delete all properties", func() error { return admin.DeleteProperties(ctx, "new") }, "metadef_namespace.delete_properties", "ops delete metadef_namespace properties"},
		{"delete all objects", func() error { return admin.DeleteObjects(ctx, "new") }, "metadef_namespace.delete_objects", "ops delete metadef_namespace objects"},
		{"delete all tags", func() error { return admin.DeleteTags(ctx, "new") }, "metadef_namespace.delete_tags", "ops delete metadef_namespace tags"},
		{"delete the definitions, as a project", func() error { return owner.DeleteNamespace(ctx, "new") }, "", "owner delete metadef_namespace refused"},
		{"delete the definitions", func() error { return admin.DeleteNamespace(ctx, "new") }, "metadef_namespace.delete", "ops delete metadef_namespace"},
	} {
		err := step.do()
		told, recorded := notes.take()
		if told != step.told || recorded != step.recorded {
			t.Errorf("%s (%v): told %q, want %q; recorded %q, want %q", step.what, err, told, step.told, recorded, step.recorded)
		}
		wrong := strings.HasSuffix(step.recorded, "failed") || strings.HasSuffix(step.recorded, "refused")
		if (err != nil) != wrong {
			t.Errorf("%s: %v", step.what, err)
		}
	}
}

// TestRefusedLooks refuses everything that can be looked at.
func TestRefusedLooks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "policy.yaml")
	var rules strings.Builder
	for _, rule := range []string{"get_images", "get_metadef_namespaces", "list_metadef_resource_types", "stores_info_detail", "cache_list"} {
		fmt.Fprintf(&rules, "%q: \"!\"\n", rule)
	}
	if err := os.WriteFile(file, []byte(rules.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	enforcer, err := policy.Open(policy.Config{File: file})
	if err != nil {
		t.Fatal(err)
	}
	defer enforcer.Close()
	notes := &notebook{names: make(map[events.Name]bool)}
	svc := openWithStore(t, imageservice.Config{Policy: enforcer, Events: notes, Audit: notes})
	s := session{svc.As(servicetest.Admin)}
	img := active(t, s, "disk", "data")
	namespaces(t, svc, "ns")
	ctx := t.Context()
	if _, err := s.Edit(ctx, img.ID, []image.Edit{{Op: image.EditReplace, Name: "visibility", Value: "private"}}); err != nil {
		t.Fatal(err)
	}
	notes.take()
	for _, tt := range []struct {
		look func() error
		want string
	}{
		{func() error { _, err := s.List(ctx, image.Query{Limit: 1}); return err }, "image"},
		{func() error { _, err := s.Members(ctx, img.ID); return err }, "image"},
		{func() error { _, _, err := s.Namespaces(ctx, metadef.Query{Limit: 1}); return err }, "metadef_namespace"},
		{func() error { _, err := s.ResourceTypes(ctx); return err }, "metadef_namespace"},
		{func() error { _, err := s.Associations(ctx, "ns"); return err }, "metadef_namespace"},
		{func() error { _, err := s.StoresDetail(ctx); return err }, "stores"},
		{func() error { return s.Cache(ctx, policy.CacheList) }, "cache"},
		{func() error { _, err := session{svc.As(servicetest.Owner)}.Task(ctx, image.NewID()); return err }, "task"},
	} {
		err := tt.look()
		if told, recorded := notes.take(); told != "" || !strings.HasSuffix(recorded, " show "+tt.want+" refused") || !errors.Is(err, image.ErrForbidden) {
			t.Errorf("a look that ends with %v: told %q, recorded %q, want it to end with %q", err, told, recorded, "show "+tt.want+" refused")
		}
	}
	if _, err := s.Get(ctx, img.ID); err != nil {
		t.Error(err)
	}
	if _, recorded := notes.take(); recorded != "" {
		t.Errorf("a look that is allowed was recorded: %q", recorded)
	}
}

// panickingQuotas never answers.
type panickingQuotas struct{}

func (panickingQuotas) Quota(context.Context, string) (imageservice.Quota, error) { panic("no answer") }

// TestBrokenOff looks at what is told of a transfer that breaks off, and of a verb that does.
func TestBrokenOff(t *testing.T) {
	notes := &notebook{names: make(map[events.Name]bool)}
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	cfg := imageservice.Config{DB: db, Events: notes, Audit: notes}
	entry := imagestore.Entry{ID: "local", Store: openFiles(t, "local", dir), Default: true}
	svc := openWith(t, cfg, entry)
	img := active(t, session{svc.As(servicetest.Owner)}, "disk", "data")
	notes.take()
	data, err := svc.As(servicetest.Owner).Open(t.Context(), img.ID, imageservice.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	data.Reader.Close()
	data.Sent(t.Context(), 3, 4, image.ErrInterrupted)
	if told, recorded := notes.take(); told != "image.send!" || recorded != "owner download image 3 failed" {
		t.Errorf("a transfer that breaks off: told %q, recorded %q", told, recorded)
	}
	cfg.Quotas = panickingQuotas{}
	broken := openWith(t, cfg, entry)
	defer func() {
		problem := recover()
		if told, recorded := notes.take(); problem != "no answer" || told != "" || recorded != "owner create image failed" {
			t.Errorf("a verb that ends with %v: told %q, recorded %q", problem, told, recorded)
		}
	}()
	broken.As(servicetest.Owner).Create(t.Context(), "", nil)
}

// TestSweptUpload lets another instance take one for dead that is in the middle of an upload: it is told once that the data was
// not taken.
func TestSweptUpload(t *testing.T) {
	notes := &notebook{names: make(map[events.Name]bool)}
	dir, db := t.TempDir(), openDB(t, t.TempDir())
	cfg := imageservice.Config{DB: db, Events: notes, Audit: notes}
	entry := imagestore.Entry{ID: "local", Store: openFiles(t, "local", dir), Default: true}
	slow, sweeper := openWith(t, cfg, entry), openWith(t, cfg, entry)
	s := session{slow.As(servicetest.Owner)}
	img := queued(t, s)
	notes.take()
	body, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- s.Upload(context.Background(), img.ID, body, -1) }()
	if _, err := w.Write([]byte("da")); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(sweeper.BuryOthers(t.Context()), sweeper.Sweep(t.Context(), anyStore)); err != nil {
		t.Fatal(err)
	}
	if told, recorded := notes.take(); told != "image.prepare image.upload!" || recorded != "" {
		t.Errorf("after the sweep: told %q, recorded %q", told, recorded)
	}
	w.Close()
	err := <-done
	if told, recorded := notes.take(); !errors.Is(err, image.ErrConflict) || told != "" || recorded != "owner upload image failed" {
		t.Errorf("the upload ended with %v: told %q, recorded %q", err, told, recorded)
	}
}

// TestEventsOfLocations gives images data that lies somewhere else.
func TestEventsOfLocations(t *testing.T) {
	notes := &notebook{names: make(map[events.Name]bool)}
	dir := t.TempDir()
	svc := openWith(t, imageservice.Config{DB: openDB(t, dir), Events: notes, Audit: notes, Locations: imageservice.LocationConfig{Edit: true}},
		imagestore.Entry{ID: "local", Store: openFiles(t, "local", filepath.Join(dir, "images")), Default: true, Local: true},
		imagestore.Entry{ID: "web", Store: &shelf{id: "web", scheme: "http", data: map[string]string{"http://web/a": "data"}}})
	ctx, owner := t.Context(), session{svc.As(servicetest.Owner)}
	added, edited := queued(t, owner).ID, queued(t, owner).ID
	notes.take()
	for _, step := range []struct {
		what     string
		do       func() error
		told     string
		recorded string
	}{
		{"add what only services name", func() error { return owner.AddLocation(ctx, added, image.NewLocation{URL: "shelf://1"}) }, "", "owner add_location image refused"},
		{"add", func() error { return owner.AddLocation(ctx, added, image.NewLocation{URL: "http://web/a"}) }, "task.create image.update", "owner add_location image"},
		{"the adding", func() error {
			_, err := svc.RunTask(ctx, func(ctx context.Context, task *image.Task) error {
				plan, err := task.Plan()
				if err == nil {
					err = svc.Adopt(ctx, task, plan)
				}
				if err == nil {
					err = svc.Examine(ctx, task, plan, func(r io.Reader) io.Reader { return r })
				}
				return errors.Join(err, svc.EndLocation(ctx, task, err != nil, "done"))
			})
			return err
		}, "task.run task.processing image.activate image.update task.success", ""},
		{"edit", func() error {
			_, err := svc.As(servicetest.Admin).Edit(ctx, edited, []image.Edit{{Op: image.EditAdd, Name: image.EditLocations, Item: "-", Value: map[string]any{"url": "http://web/a"}}})
			return err
		}, "image.update image.activate", "ops change image status locations"},
	} {
		err := step.do()
		told, recorded := notes.take()
		if told != step.told || recorded != step.recorded || (err != nil) != strings.HasSuffix(step.recorded, "refused") {
			t.Errorf("%s: %v; told %q, want %q; recorded %q, want %q", step.what, err, told, step.told, recorded, step.recorded)
		}
	}
}

// BenchmarkEvents compares verbs with and without an event log and an audit log that write to a disk.
func BenchmarkEvents(b *testing.B) {
	for _, with := range []bool{false, true} {
		cfg := imageservice.Config{}
		if with {
			dir := b.TempDir()
			log, err := events.Open(events.Config{File: events.FileConfig{Path: filepath.Join(dir, "events.jsonl"), MaxSize: 64 << 20, Keep: 1}})
			if err != nil {
				b.Fatal(err)
			}
			audit, err := events.OpenAudit(events.AuditConfig{File: events.FileConfig{Path: filepath.Join(dir, "audit.jsonl"), MaxSize: 64 << 20, Keep: 1}})
			if err != nil {
				b.Fatal(err)
			}
			ctx, stop := context.WithCancel(context.Background())
			var running sync.WaitGroup
			running.Go(func() { log.Run(ctx) })
			running.Go(func() { audit.Run(ctx) })
			b.Cleanup(func() { stop(); running.Wait(); log.Close(); audit.Close() })
			cfg.Events, cfg.Audit = log, audit
		}
		s := openWithStore(b, cfg).As(admin)
		img, err := s.Create(b.Context(), "", nil)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("Get/events=%v", with), func(b *testing.B) {
			for b.Loop() {
				if _, err := s.Get(b.Context(), img.ID); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("Edit/events=%v", with), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if _, err := s.Edit(b.Context(), img.ID, []image.Edit{{Op: image.EditAdd, Name: "name", Value: fmt.Sprint(i)}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
