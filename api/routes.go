package api

import (
	"net/http"
	"strings"

	"github.com/julienschmidt/httprouter"

	"github.com/vitrine-image/vitrine/api/wire"
)

// A route is one operation of the API.
type route struct {
	method string
	path   string
	handle handler
	body   bool // the operation takes a body; sending one to any other is an error
}

// recorded reports whether the audit log tells of the operation: of everything but what is only looked at.
func (rt route) recorded() bool {
	return rt.method != http.MethodGet || strings.HasSuffix(rt.path, "/file") || strings.HasSuffix(rt.path, "/locations")
}

// A handler carries out an operation and answers, or returns what it is answered with.
type handler func(*server, http.ResponseWriter, *http.Request) error

// routes is every operation there is, beside metadefRoutes and cacheRoutes. An operation without an entry here does not exist.
var routes = []route{
	{"POST", "/v2/images", (*server).createImage, true},
	{"GET", "/v2/images", (*server).listImages, false},
	{"GET", "/v2/images/:image", (*server).showImage, false},
	{"PATCH", "/v2/images/:image", (*server).patchImage, true},
	{"DELETE", "/v2/images/:image", (*server).deleteImage, false},
	{"PUT", "/v2/images/:image/file", (*server).uploadData, true},
	{"PUT", "/v2/images/:image/stage", (*server).stageData, true},
	{"POST", "/v2/images/:image/import", (*server).importImage, true},
	{"DELETE", "/v2/stores/:store/:image", (*server).deleteCopy, false},
	{"GET", "/v2/images/:image/locations", (*server).listLocations, false},
	{"POST", "/v2/images/:image/locations", (*server).addLocation, true},
	{"GET", "/v2/images/:image/file", (*server).downloadData, false},
	{"POST", "/v2/images/:image/actions/deactivate", (*server).deactivateImage, false},
	{"POST", "/v2/images/:image/actions/reactivate", (*server).reactivateImage, false},
	{"PUT", "/v2/images/:image/tags/:tag", (*server).addTag, false},
	{"DELETE", "/v2/images/:image/tags/:tag", (*server).removeTag, false},

	{"GET", "/v2/images/:image/members", (*server).listMembers, false},
	{"POST", "/v2/images/:image/members", (*server).addMember, true},
	{"GET", "/v2/images/:image/members/:member", (*server).showMember, false},
	{"PUT", "/v2/images/:image/members/:member", (*server).setMemberStatus, true},
	{"DELETE", "/v2/images/:image/members/:member", (*server).removeMember, false},

	{"GET", "/v2/images/:image/tasks", (*server).listImageTasks, false},
	{"GET", wire.TasksPath, (*server).listTasks, false},
	{"POST", wire.TasksPath, (*server).createTask, true},
	{"GET", wire.TasksPath + "/:task", (*server).showTask, false},

	{"GET", "/v2/info/import", (*server).showImportMethods, false},
	{"GET", "/v2/info/stores", (*server).listStores, false},
	{"GET", "/v2/info/stores/detail", (*server).listStoreDetails, false},
	{"GET", "/v2/info/usage", (*server).showUsage, false},

	{"POST", wire.OwnPath + "/images/:image/clones", (*server).cloneImage, true},
	{"GET", wire.OwnPath + "/images/:image/extents", (*server).listExtents, false},
	{"GET", wire.OwnPath + "/images/:image/pins", (*server).listPins, false},
	{"PUT", wire.OwnPath + "/images/:image/pins/:guest", (*server).pinImage, false},
	{"DELETE", wire.OwnPath + "/images/:image/pins/:guest", (*server).unpinImage, false},
	{"GET", wire.OwnPath + "/images/:image/sums", (*server).listSums, false},
	{"GET", wire.OwnPath + "/images/:image/users", (*server).showUsers, false},

	{"GET", "/v2/schemas/image", (*server).showSchema, false},
	{"GET", "/v2/schemas/images", (*server).showSchema, false},
	{"GET", wire.MemberSchema, (*server).showSchema, false},
	{"GET", wire.MembersSchema, (*server).showSchema, false},
	{"GET", wire.TaskSchema, (*server).showSchema, false},
	{"GET", wire.TasksSchema, (*server).showSchema, false},
}

// methods are the verbs that some resource could know; any other is answered with 501.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// A router finds the route of a request.
type router struct{ tree *httprouter.Router }

func newRouter(s *server, routes []route) *router {
	tree := httprouter.New()
	for _, rt := range routes {
		tree.Handle(rt.method, rt.path, func(w http.ResponseWriter, r *http.Request, params httprouter.Params) {
			s.operate(w.(*response), r, rt, params)
		})
	}
	return &router{tree}
}

// find returns the operation of a path that begins with /v2/ or /vitrine/. Errors: 404, 405 with the methods that the path knows.
func (rt *router) find(method, path string) (httprouter.Handle, httprouter.Params, error) {
	if handle, params, _ := rt.tree.Lookup(method, path); handle != nil {
		return handle, params, nil
	}
	var allowed []string
	for _, m := range methods {
		if handle, _, _ := rt.tree.Lookup(m, path); handle != nil {
			allowed = append(allowed, m)
		}
	}
	if allowed != nil {
		return nil, nil, &statusError{code: http.StatusMethodNotAllowed, allow: strings.Join(allowed, ", "),
			text: "The method " + method + " is not allowed for this resource."}
	}
	return nil, nil, &statusError{code: http.StatusNotFound, text: "The resource could not be found."}
}
