package compat

import (
	"bytes"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imageimport"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/members"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/tasks"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// gophercloud returns a client that has found the image endpoint in the catalog.
func (c *cloud) gophercloud(t *testing.T, login gophercloud.AuthOptions) *gophercloud.ServiceClient {
	t.Helper()
	return c.gophercloudIn(t, testservers.Region, login)
}

func (c *cloud) gophercloudIn(t *testing.T, region string, login gophercloud.AuthOptions) *gophercloud.ServiceClient {
	t.Helper()
	provider, err := openstack.AuthenticatedClient(t.Context(), login)
	if err != nil {
		t.Fatal(err)
	}
	client, err := openstack.NewImageV2(provider, gophercloud.EndpointOpts{Region: region})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// wantCode wants an error of gophercloud for a status.
func wantCode(t *testing.T, what string, err error, code int) {
	t.Helper()
	if !gophercloud.ResponseCodeIs(err, code) {
		t.Errorf("%s: %v, want %d", what, err, code)
	}
}

// goodTime reports whether a time is one of this test.
func goodTime(at time.Time) bool { return time.Since(at) > -time.Minute && time.Since(at) < time.Hour }

// TestGophercloudImages takes an image through its life, and looks at each field that gophercloud knows.
func TestGophercloudImages(t *testing.T) {
	t.Parallel()
	c := openCloud(t)
	project, guest := c.Project(t, "gopher-owner"), c.Project(t, "gopher-guest")
	owner := c.gophercloud(t, c.user(t, "gopher-o", project, "member").AuthOptions)
	ctx := t.Context()

	shared, yes := images.ImageVisibilityShared, true
	made, err := images.Create(ctx, owner, images.CreateOpts{Name: "gopher", Tags: []string{"lts"}, ContainerFormat: "bare", DiskFormat: "raw",
		MinDisk: 1, MinRAM: 64, Visibility: &shared, Protected: &yes, Hidden: &yes, Properties: map[string]string{"os_distro": "debian"}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(made.OpenStackImageImportMethods, "web-download") || !slices.Equal(made.OpenStackImageStoreIDs, []string{"fast", "slow"}) {
		t.Errorf("the methods are %q, the stores %q", made.OpenStackImageImportMethods, made.OpenStackImageStoreIDs)
	}
	if made.Status != images.ImageStatusQueued || !made.Hidden || !made.Protected || made.SizeBytes != 0 {
		t.Errorf("the new image is %+v", made)
	}
	_, err = images.Create(ctx, owner, images.CreateOpts{Name: "again", ID: made.ID}).Extract()
	wantCode(t, "an id twice", err, http.StatusConflict)

	data := bytes.Repeat([]byte("gopher"), 100_000)
	if err := imagedata.Upload(ctx, owner, made.ID, bytes.NewReader(data)).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	got, err := images.Get(ctx, owner, made.ID).Extract()
	if err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(data)
	for what, ok := range map[string]bool{
		"id": got.ID == made.ID, "name": got.Name == "gopher", "status": got.Status == images.ImageStatusActive, "tags": slices.Equal(got.Tags, []string{"lts"}),
		"container_format": got.ContainerFormat == "bare", "disk_format": got.DiskFormat == "raw", "min_disk": got.MinDiskGigabytes == 1,
		"min_ram": got.MinRAMMegabytes == 64, "owner": got.Owner == project, "protected": got.Protected, "visibility": got.Visibility == shared,
		"os_hidden": got.Hidden, "checksum": got.Checksum == hex.EncodeToString(sum[:]), "size": got.SizeBytes == int64(len(data)),
		"virtual_size": got.VirtualSize == int64(len(data)), "created_at": goodTime(got.CreatedAt), "updated_at": goodTime(got.UpdatedAt),
		"file": got.File == "/v2/images/"+made.ID+"/file", "schema": got.Schema == "/v2/schemas/image",
		"os_distro": got.Properties["os_distro"] == "debian", "os_hash_algo": got.Properties["os_hash_algo"] == "sha512",
		"stores": got.Properties["stores"] == "fast",
	} {
		if !ok {
			t.Errorf("%s is wrong in %+v", what, got)
		}
	}
	down, err := imagedata.Download(ctx, owner, made.ID).Extract()
	if err != nil {
		t.Fatal(err)
	}
	if read, err := io.ReadAll(down); err != nil || !bytes.Equal(read, data) {
		t.Errorf("the download has %d bytes, %v", len(read), err)
	}
	down.Close()

	wantCode(t, "deleting a protected image", images.Delete(ctx, owner, made.ID).ExtractErr(), http.StatusForbidden)
	got, err = images.Update(ctx, owner, made.ID, images.UpdateOpts{images.ReplaceImageName{NewName: "marmot"}, images.ReplaceImageHidden{},
		images.ReplaceImageTags{NewTags: []string{"a", "b"}}, images.ReplaceImageMinDisk{NewMinDisk: 2}, images.ReplaceImageMinRam{NewMinRam: 128},
		images.ReplaceImageProtected{}, images.UpdateVisibility{Visibility: images.ImageVisibilityCommunity},
		images.UpdateImageProperty{Op: images.AddOp, Name: "os_version", Value: "12"},
		images.UpdateImageProperty{Op: images.ReplaceOp, Name: "os_version", Value: "13"},
		images.UpdateImageProperty{Op: images.RemoveOp, Name: "os_distro"}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got.Tags)
	if _, left := got.Properties["os_distro"]; left || got.Name != "marmot" || got.Hidden || !slices.Equal(got.Tags, []string{"a", "b"}) || got.MinDiskGigabytes != 2 ||
		got.MinRAMMegabytes != 128 || got.Protected || got.Visibility != images.ImageVisibilityCommunity || got.Properties["os_version"] != "13" {
		t.Errorf("the changed image is %+v", got)
	}
	_, err = images.Update(ctx, owner, made.ID, images.UpdateOpts{images.ReplaceImageChecksum{Checksum: "0"}}).Extract()
	wantCode(t, "changing the checksum", err, http.StatusForbidden)
	_, err = images.Update(ctx, owner, made.ID, images.UpdateOpts{images.UpdateVisibility{Visibility: images.ImageVisibilityPublic}}).Extract()
	wantCode(t, "publishing", err, http.StatusForbidden)

	other := c.gophercloud(t, c.user(t, "gopher-g", guest, "member").AuthOptions)
	if _, err := images.Get(ctx, other, made.ID).Extract(); err != nil {
		t.Errorf("another project asks for a community image: %v", err)
	}
	wantCode(t, "another project's deletion", images.Delete(ctx, other, made.ID).ExtractErr(), http.StatusForbidden)
	if err := images.Delete(ctx, owner, made.ID).ExtractErr(); err != nil {
		t.Error(err)
	}
	_, err = images.Get(ctx, owner, made.ID).Extract()
	wantCode(t, "a deleted image", err, http.StatusNotFound)
}

// TestGophercloudLists goes through pages, and uses each filter that gophercloud sends: size_min and size_max it leaves out.
func TestGophercloudLists(t *testing.T) {
	t.Parallel()
	c := openCloud(t)
	project := c.Project(t, "gopher-lists")
	owner := c.gophercloud(t, c.user(t, "gopher-l", project, "member").AuthOptions)
	ctx := t.Context()
	hidden, community := true, images.ImageVisibilityCommunity
	var ids []string
	for i := range 5 {
		opts := images.CreateOpts{Name: fmt.Sprint("list ", i), DiskFormat: "raw", ContainerFormat: "bare", Tags: []string{"all", fmt.Sprint("tag", i)}}
		switch i {
		case 1:
			opts.DiskFormat = "qcow2"
		case 2:
			opts.ContainerFormat = "ovf"
		case 3:
			opts.Visibility = &community
		case 4:
			opts.Hidden = &hidden
		}
		made, err := images.Create(ctx, owner, opts).Extract()
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, made.ID)
	}
	if err := imagedata.Upload(ctx, owner, ids[0], bytes.NewReader(make([]byte, 5000))).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		opts images.ListOpts
		want []int
	}{
		{"all", images.ListOpts{}, []int{0, 1, 2, 3}},
		{"in pages", images.ListOpts{Limit: 1}, []int{0, 1, 2, 3}},
		{"ids", images.ListOpts{ID: "in:" + ids[0] + "," + ids[2]}, []int{0, 2}},
		{"behind a marker", images.ListOpts{Marker: ids[1]}, []int{2, 3}},
		{"name", images.ListOpts{Name: "list 2"}, []int{2}},
		{"names", images.ListOpts{Name: `in:"list 1","list 3"`}, []int{1, 3}},
		{"visibility", images.ListOpts{Visibility: community}, []int{3}},
		{"hidden", images.ListOpts{Hidden: true}, []int{4}},
		{"status", images.ListOpts{Status: "active"}, []int{0}},
		{"statuses", images.ListOpts{Status: "in:queued,saving"}, []int{1, 2, 3}},
		{"tags", images.ListOpts{Tags: []string{"all", "tag2"}}, []int{2}},
		{"containers", images.ListOpts{ContainerFormat: "in:ovf,docker"}, []int{2}},
		{"disks", images.ListOpts{DiskFormat: "qcow2"}, []int{1}},
		{"old ones", images.ListOpts{CreatedAtQuery: &images.ImageDateQuery{Date: time.Now().Add(-time.Hour), Filter: images.FilterLT}}, nil},
		{"new ones", images.ListOpts{UpdatedAtQuery: &images.ImageDateQuery{Date: time.Now().Add(-time.Hour), Filter: images.FilterGTE}}, []int{0, 1, 2, 3}},
		{"members", images.ListOpts{MemberStatus: images.ImageMemberStatusAll, Visibility: images.ImageVisibilityShared}, []int{0, 1, 2}},
	} {
		tt.opts.Owner = project
		tt.opts.Sort = "name:asc"
		pages, err := images.List(owner, tt.opts).AllPages(ctx)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		list, err := images.ExtractImages(pages)
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, img := range list {
			got = append(got, slices.Index(ids, img.ID))
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: the images %v, want %v", tt.name, got, tt.want)
		}
	}
	pages, err := images.List(owner, images.ListOpts{Owner: project, SortKey: "name", SortDir: "desc"}).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := images.ExtractImages(pages); err != nil || len(list) != 4 || list[0].ID != ids[3] {
		t.Errorf("sorted the old way: %+v, %v", list, err)
	}
}

// TestGophercloudMembers shares an image.
func TestGophercloudMembers(t *testing.T) {
	t.Parallel()
	c := openCloud(t)
	project, guest := c.Project(t, "gopher-sharer"), c.Project(t, "gopher-sharee")
	owner := c.gophercloud(t, c.user(t, "gopher-s", project, "member").AuthOptions)
	other := c.gophercloud(t, c.user(t, "gopher-t", guest, "member").AuthOptions)
	ctx := t.Context()
	img, err := images.Create(ctx, owner, images.CreateOpts{Name: "shared"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, m *members.Member, err error, status string) {
		t.Helper()
		if err != nil || m.MemberID != guest || m.ImageID != img.ID || m.Status != status || m.Schema != "/v2/schemas/member" ||
			!goodTime(m.CreatedAt) || !goodTime(m.UpdatedAt) {
			t.Errorf("%s: %+v, %v, want it %s", what, m, err, status)
		}
	}
	m, err := members.Create(ctx, owner, img.ID, guest).Extract()
	check("create", m, err, "pending")
	_, err = members.Create(ctx, owner, img.ID, guest).Extract()
	wantCode(t, "a member twice", err, http.StatusConflict)
	_, err = members.Update(ctx, owner, img.ID, guest, members.UpdateOpts{Status: "accepted"}).Extract()
	wantCode(t, "accepting for somebody else", err, http.StatusForbidden)
	m, err = members.Update(ctx, other, img.ID, guest, members.UpdateOpts{Status: "accepted"}).Extract()
	check("accept", m, err, "accepted")
	m, err = members.Get(ctx, other, img.ID, guest).Extract()
	check("get", m, err, "accepted")
	pages, err := members.List(owner, img.ID).AllPages(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if list, err := members.ExtractMembers(pages); err != nil || len(list) != 1 {
		t.Errorf("the members are %+v, %v", list, err)
	} else {
		check("list", &list[0], nil, "accepted")
	}
	wantCode(t, "a member leaves by himself", members.Delete(ctx, other, img.ID, guest).ExtractErr(), http.StatusForbidden)
	if err := members.Delete(ctx, owner, img.ID, guest).ExtractErr(); err != nil {
		t.Error(err)
	}
	_, err = members.Get(ctx, owner, img.ID, guest).Extract()
	wantCode(t, "a member that was removed", err, http.StatusNotFound)
}

// TestGophercloudImports stages and imports, and looks at the tasks.
func TestGophercloudImports(t *testing.T) {
	t.Parallel()
	c := openCloud(t)
	project := c.Project(t, "gopher-imports")
	owner := c.gophercloud(t, c.user(t, "gopher-i", project, "member").AuthOptions)
	admin := c.gophercloud(t, c.AdminLogin())
	ctx := t.Context()
	info, err := imageimport.Get(ctx, owner).Extract()
	if err != nil || info.ImportMethods.Type != "array" || info.ImportMethods.Description == "" ||
		!slices.Contains(info.ImportMethods.Value, string(imageimport.GlanceDirectMethod)) {
		t.Errorf("the import methods are %+v, %v", info, err)
	}
	data := bytes.Repeat([]byte("import"), 50_000)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }))
	defer web.Close()
	for _, method := range []imageimport.ImportMethod{imageimport.GlanceDirectMethod, imageimport.WebDownloadMethod} {
		img, err := images.Create(ctx, owner, images.CreateOpts{Name: "imported", DiskFormat: "raw", ContainerFormat: "bare"}).Extract()
		if err != nil {
			t.Fatal(err)
		}
		how := imageimport.CreateOpts{Name: method, URI: web.URL + "/disk"}
		if method == imageimport.GlanceDirectMethod {
			how.URI = ""
			wantCode(t, "importing what was not staged", imageimport.Create(ctx, owner, img.ID, how).ExtractErr(), http.StatusConflict)
			if err := imagedata.Stage(ctx, owner, img.ID, bytes.NewReader(data)).ExtractErr(); err != nil {
				t.Fatal(err)
			}
			if img, err := images.Get(ctx, owner, img.ID).Extract(); err != nil || img.Status != "uploading" {
				t.Errorf("the staged image is %+v, %v", img, err)
			}
		}
		if err := imageimport.Create(ctx, owner, img.ID, how).ExtractErr(); err != nil {
			t.Fatal(err)
		}
		c.waitFor(t, img.ID, "active")
		if img, err := images.Get(ctx, owner, img.ID).Extract(); err != nil || img.SizeBytes != int64(len(data)) || img.VirtualSize != int64(len(data)) {
			t.Errorf("the image imported by %s is %+v, %v", method, img, err)
		}
		task := c.taskOf(t, admin, img.ID)
		if task == nil {
			t.Fatalf("the import by %s has no task", method)
		}
		if task.Type != "api_image_import" || task.Status != string(tasks.TaskStatusSuccess) || task.Owner != project || task.Input["image_id"] != img.ID ||
			!goodTime(task.CreatedAt) || !goodTime(task.UpdatedAt) || !task.ExpiresAt.After(time.Now()) || task.Self != "/v2/tasks/"+task.ID || task.Schema != "/v2/schemas/task" {
			t.Errorf("the task of %s is %+v", method, task)
		}
	}
	_, err = tasks.Get(ctx, owner, string(image.NewID())).Extract()
	wantCode(t, "tasks are for administrators", err, http.StatusForbidden)
	_, err = tasks.Get(ctx, admin, string(image.NewID())).Extract()
	wantCode(t, "no task", err, http.StatusNotFound)
	_, err = tasks.Create(ctx, owner, tasks.CreateOpts{Type: "import", Input: map[string]any{}}).Extract()
	wantCode(t, "a task by a member", err, http.StatusForbidden)
	_, err = tasks.Create(ctx, admin, tasks.CreateOpts{Type: "import", Input: map[string]any{}}).Extract()
	wantCode(t, "a task of nothing", err, http.StatusBadRequest)
	task, err := tasks.Create(ctx, admin, tasks.CreateOpts{Type: "import", Input: map[string]any{"import_from": web.URL + "/disk", "import_from_format": "raw",
		"image_properties": map[string]string{"name": "by task", "disk_format": "raw", "container_format": "bare"}}}).Extract()
	if err != nil || task.Type != "import" || task.Status != string(tasks.TaskStatusPending) {
		t.Fatalf("the new task is %+v, %v", task, err)
	}
	for task.Status != string(tasks.TaskStatusSuccess) {
		if task, err = tasks.Get(ctx, admin, task.ID).Extract(); err != nil || task.Status == string(tasks.TaskStatusFailure) {
			t.Fatalf("the task ends as %+v, %v", task, err)
		}
	}
	made, err := images.Get(ctx, admin, fmt.Sprint(task.Result["image_id"])).Extract()
	if err != nil || made.Name != "by task" || made.Status != images.ImageStatusActive {
		t.Errorf("the task made %+v, %v", made, err)
	}
}

// taskOf finds the task of an image in the list of those that succeeded, page by page, and shows it.
func (c *cloud) taskOf(t *testing.T, admin *gophercloud.ServiceClient, id string) *tasks.Task {
	t.Helper()
	pages, err := tasks.List(admin, tasks.ListOpts{Limit: 2, Status: tasks.TaskStatusSuccess, SortKey: "created_at", SortDir: "desc"}).AllPages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list, err := tasks.ExtractTasks(pages)
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range list {
		task, err := tasks.Get(t.Context(), admin, listed.ID).Extract()
		if err != nil {
			t.Fatal(err)
		}
		if task.Input["image_id"] == id {
			return task
		}
	}
	return nil
}
