package policy

import "slices"

// A Definition is a built-in rule.
type Definition struct {
	Name       string
	Expression string
	Operations []string // method and path; none for rules that only other rules refer to
	Text       string   // what it allows, a sentence
	// Anonymous lets callers without credentials through, where the configuration has any, to what is public. An
	// operator's rule in the place of this one decides alone.
	Anonymous bool
	// AnyScope takes tokens that are not for a project, too: rules that only others refer to.
	AnyScope bool
}

// A group is a heading of the reference with its rules.
type group struct {
	title       string
	definitions []Definition
}

// Definitions returns the built-in rules.
func Definitions() []Definition {
	var all []Definition
	for _, g := range groups {
		all = append(all, g.definitions...)
	}
	return slices.Clip(all)
}

// The expressions that the built-in rules share.
const (
	everybody = ""
	admin     = "rule:" + ContextIsAdmin
	service   = "rule:" + ServiceAPI

	projectMember   = "role:member and project_id:%(project_id)s"
	projectReader   = "role:reader and project_id:%(project_id)s"
	ofProject       = "project_id:%(project_id)s"
	ofMember        = "project_id:%(member_id)s"
	whoSeesTheImage = "(" + ofProject + " or " + ofMember +
		" or 'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s)"

	adminOrMember = admin + " or (" + projectMember + ")"
	adminOrReader = admin + " or (" + projectReader + ")"
	// The reader of a member project passes too; he is shown his own record only.
	adminOrReaderOrSharedWith = admin + " or (role:reader and (" + ofProject + " or " + ofMember + "))"
)

const imagePath = "/v2/images/{image_id}"

var groups = []group{
	{"General", []Definition{
		{Name: Default, Expression: everybody, AnyScope: true,
			Text: "What the rules for single tasks refer to; old policy files set it."},
		{Name: ContextIsAdmin, Expression: "role:admin", AnyScope: true,
			Text: "Who is an administrator, in whatever project, and what the check is_admin:True asks."},
		{Name: ServiceAPI, Expression: "role:service or service_roles:service or " + admin, AnyScope: true,
			Text: "Another service that asks, in its own name or in a user's."},
	}},
	{"Images", []Definition{
		{Name: AddImage, Expression: admin + " or (" + projectMember + " and project_id:%(owner)s)",
			Operations: []string{"POST /v2/images"}, Text: "Create an image."},
		{Name: GetImage, Expression: admin + " or (role:reader and " + whoSeesTheImage + ")", Anonymous: true,
			Operations: []string{"GET " + imagePath, "GET /vitrine/v1/images/{image_id}/sums"}, Text: "Show an image."},
		{Name: GetImages, Expression: adminOrReader, Anonymous: true,
			Operations: []string{"GET /v2/images"}, Text: "List images."},
		{Name: ModifyImage, Expression: adminOrMember,
			Operations: []string{"PATCH " + imagePath, "PUT " + imagePath + "/tags/{tag}", "DELETE " + imagePath + "/tags/{tag}",
				"PUT " + imagePath + "/stage", "POST " + imagePath + "/import"},
			Text: "Change an image: its fields, properties and tags, staged data, an import."},
		{Name: DeleteImage, Expression: adminOrMember,
			Operations: []string{"DELETE " + imagePath}, Text: "Delete an image."},
		{Name: PublicizeImage, Expression: admin,
			Operations: []string{"POST /v2/images", "PATCH " + imagePath}, Text: "Make an image public."},
		{Name: CommunitizeImage, Expression: adminOrMember,
			Operations: []string{"POST /v2/images", "PATCH " + imagePath}, Text: "Make an image a community image."},
		{Name: UploadImage, Expression: adminOrMember,
			Operations: []string{"PUT " + imagePath + "/file"}, Text: "Upload the data of an image."},
		{Name: DownloadImage, Expression: admin + " or (role:member and " + whoSeesTheImage + ")", Anonymous: true,
			Operations: []string{"GET " + imagePath + "/file", "GET /vitrine/v1/images/{image_id}/extents"}, Text: "Download the data of an image, or ask which ranges hold data."},
		{Name: DownloadFromStore, Expression: "rule:" + DownloadImage, Anonymous: true,
			Operations: []string{"GET " + imagePath + "/file?prefer={stores}"}, Text: "Choose the store that a download comes from."},
		{Name: Deactivate, Expression: adminOrMember,
			Operations: []string{"POST " + imagePath + "/actions/deactivate"}, Text: "Deactivate an image."},
		{Name: Reactivate, Expression: adminOrMember,
			Operations: []string{"POST " + imagePath + "/actions/reactivate"}, Text: "Reactivate an image."},
		{Name: CopyImage, Expression: admin,
			Operations: []string{"POST " + imagePath + "/import"}, Text: "Copy the data of an image to more stores (method copy-image)."},
		{Name: CloneImage, Expression: admin,
			Operations: []string{"POST /vitrine/v1/images/{image_id}/clones"}, Text: "Make a volume in a pool of Ceph that is a clone of an image. It takes download_image, too."},
		{Name: PinImage, Expression: adminOrMember,
			Operations: []string{"GET /vitrine/v1/images/{image_id}/pins", "PUT /vitrine/v1/images/{image_id}/pins/{guest}", "DELETE /vitrine/v1/images/{image_id}/pins/{guest}"},
			Text:       "Keep an image from being deleted while a guest needs it, no longer do so, and list these guests."},
		{Name: GetImageUsers, Expression: admin,
			Operations: []string{"GET /vitrine/v1/images/{image_id}/users"}, Text: "See what uses an image, processes of the server's machine among it."},
	}},
	{"Locations", []Definition{
		{Name: GetImageLocation, Expression: adminOrReader,
			Operations: []string{"GET " + imagePath, "GET /v2/images"}, Text: "See the locations in an image's document, where they are shown."},
		{Name: SetImageLocation, Expression: adminOrMember,
			Operations: []string{"PATCH " + imagePath}, Text: "Add and replace locations in an image's document, where they are shown."},
		{Name: DeleteImageLocation, Expression: admin,
			Operations: []string{"PATCH " + imagePath, "DELETE /v2/stores/{store_id}/{image_id}"}, Text: "Remove a location, or the data from one store."},
		{Name: AddImageLocation, Expression: service + " or (" + projectMember + ")",
			Operations: []string{"POST " + imagePath + "/locations"}, Text: "Add a location; who is no service may name http URLs only."},
		{Name: FetchImageLocation, Expression: service,
			Operations: []string{"GET " + imagePath + "/locations"}, Text: "List the locations of an image."},
	}},
	{"Members", []Definition{
		{Name: AddMember, Expression: adminOrMember,
			Operations: []string{"POST " + imagePath + "/members"}, Text: "Share an image with a project."},
		{Name: GetMember, Expression: adminOrReaderOrSharedWith,
			Operations: []string{"GET " + imagePath + "/members/{member_id}"}, Text: "Show a member of an image."},
		{Name: GetMembers, Expression: adminOrReaderOrSharedWith,
			Operations: []string{"GET " + imagePath + "/members"}, Text: "List the members of an image; a member sees its own record."},
		{Name: ModifyMember, Expression: admin + " or (role:member and " + ofMember + ")",
			Operations: []string{"PUT " + imagePath + "/members/{member_id}"}, Text: "Accept or reject an image that is shared."},
		{Name: DeleteMember, Expression: adminOrMember,
			Operations: []string{"DELETE " + imagePath + "/members/{member_id}"}, Text: "Share an image no longer."},
	}},
	{"Tasks", []Definition{
		{Name: TasksAPIAccess, Expression: admin,
			Operations: []string{"GET /v2/tasks", "POST /v2/tasks", "GET /v2/tasks/{task_id}", "DELETE /v2/tasks/{task_id}"}, Text: "Use the tasks API at all."},
		{Name: GetTask, Expression: "rule:" + Default,
			Operations: []string{"GET " + imagePath + "/tasks", "GET /v2/tasks/{task_id}"}, Text: "Show a task. Imports need it too: it can hardly be narrower."},
		{Name: GetTasks, Expression: "rule:" + Default,
			Operations: []string{"GET /v2/tasks"}, Text: "List tasks. Imports need it too: it can hardly be narrower."},
		{Name: AddTask, Expression: "rule:" + Default,
			Operations: []string{"POST /v2/tasks", "POST " + imagePath + "/import"}, Text: "Create a task. Imports need it too: it can hardly be narrower."},
		{Name: ModifyTask, Expression: "rule:" + Default,
			Operations: []string{"DELETE /v2/tasks/{task_id}"}, Text: "Nothing: tasks end by themselves. The name is known so that old policy files may have it."},
	}},
	{"Stores", []Definition{
		{Name: StoresInfoDetail, Expression: admin + " or " + service,
			Operations: []string{"GET /v2/info/stores/detail"}, Text: "See how the stores are configured."},
	}},
	{"Cache", []Definition{
		{Name: CacheImage, Expression: admin,
			Operations: []string{"PUT /v2/cache/{image_id}"}, Text: "Put an image into the cache."},
		{Name: CacheList, Expression: admin,
			Operations: []string{"GET /v2/cache"}, Text: "List what is cached and queued."},
		{Name: CacheDelete, Expression: admin,
			Operations: []string{"DELETE /v2/cache", "DELETE /v2/cache/{image_id}"}, Text: "Remove images from the cache and the queue."},
		{Name: CacheClean, Expression: admin,
			Operations: []string{"POST /v2/cache/clean"}, Text: "Remove what is stalled or invalid from the cache."},
		{Name: CachePrune, Expression: admin,
			Operations: []string{"POST /v2/cache/prune"}, Text: "Bring the cache back to its size."},
		{Name: ListCachedNodes, Expression: admin,
			Operations: []string{"GET /v2/cache/nodes/{image_id}"}, Text: "List the nodes that have an image in their cache."},
		{Name: ManageImageCache, Expression: admin,
			Operations: []string{"GET /v2/cached_images", "DELETE /v2/cached_images", "DELETE /v2/cached_images/{image_id}",
				"GET /v2/queued_images", "DELETE /v2/queued_images", "PUT /v2/queued_images/{image_id}", "DELETE /v2/queued_images/{image_id}"},
			Text: "Use the older cache API."},
	}},
	{"Metadata definitions", metadefs},
}
