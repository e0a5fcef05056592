package compat

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

// The columns of the policy table: an admin, a member and a reader of the project that owns the image, a member of a
// project that it is shared with, and a member of another one.
const columns = "AORSX"

// projects of the tests, made once.
type projects struct {
	owner, member, other string
	tokens               map[rune]string
}

func openProjects(t *testing.T, c *cloud, name string) *projects {
	t.Helper()
	p := &projects{owner: c.Project(t, name+"-owner"), member: c.Project(t, name+"-member"), other: c.Project(t, name+"-other")}
	p.tokens = map[rune]string{
		'A': c.Token(t, c.AdminLogin()),
		'O': c.Token(t, c.user(t, name+"-o", p.owner, "member").AuthOptions),
		'R': c.Token(t, c.user(t, name+"-r", p.owner, "reader").AuthOptions),
		'S': c.Token(t, c.user(t, name+"-s", p.member, "member").AuthOptions),
		'X': c.Token(t, c.user(t, name+"-x", p.other, "member").AuthOptions),
	}
	return p
}

// must sends a request that has to succeed.
func must(t *testing.T, c *cloud, token, method, path, body string) string {
	t.Helper()
	a := c.send(t, token, method, path, body)
	if a.status/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, path, a.status, a.body)
	}
	return a.body
}

// newImage makes an image of the owner's with data (unless it should be queued), which is shared with the member project.
func (p *projects) newImage(t *testing.T, c *cloud, state string) string {
	t.Helper()
	var made struct{ ID string }
	body := must(t, c, p.tokens['O'], "POST", "/v2/images", `{"disk_format":"raw","container_format":"bare","name":"disk"}`)
	if err := json.Unmarshal([]byte(body), &made); err != nil {
		t.Fatal(err)
	}
	at := "/v2/images/" + made.ID
	must(t, c, p.tokens['O'], "POST", at+"/members", fmt.Sprintf(`{"member":%q}`, p.member))
	visibility, rest, _ := strings.Cut(state, " ")
	if rest != "queued" {
		must(t, c, p.tokens['O'], "PUT", at+"/file", "data")
	}
	if rest == "deactivated" {
		must(t, c, p.tokens['O'], "POST", at+"/actions/deactivate", "")
	}
	if rest == "protected" {
		must(t, c, p.tokens['O'], "PATCH", at, `[{"op":"replace","path":"/protected","value":true}]`)
	}
	if visibility != "shared" {
		must(t, c, p.tokens['A'], "PATCH", at, fmt.Sprintf(`[{"op":"replace","path":"/visibility","value":%q}]`, visibility))
	}
	return made.ID
}

// TestPolicy asks for every operation in every role. {image}, {owner} and {member} in a request stand for ids.
func TestPolicy(t *testing.T) {
	c := openCloud(t)
	p := openProjects(t, c, "policy")
	const publish = `[{"op":"replace","path":"/visibility","value":"public"}]`
	const open = `[{"op":"replace","path":"/visibility","value":"community"}]`
	const rename = `[{"op":"replace","path":"/name","value":"new"}]`
	for _, tt := range []struct {
		name    string
		state   string // visibility of the image, then "queued", "deactivated" or "protected"
		request string
		body    string
		want    string // status for each column
	}{
		{"create", "", "POST /v2/images", `{}`, "201 201 403 201 201"},
		{"create for another project", "", "POST /v2/images", `{"owner":"{other}"}`, "201 403 403 403 201"},
		{"create a public one", "", "POST /v2/images", `{"visibility":"public"}`, "201 403 403 403 403"},
		{"list", "shared", "GET /v2/images", "", "200 200 200 200 200"},
		{"show", "shared", "GET /v2/images/{image}", "", "200 200 200 200 404"},
		{"show", "private", "GET /v2/images/{image}", "", "200 200 200 404 404"},
		{"show", "community", "GET /v2/images/{image}", "", "200 200 200 200 200"},
		{"show", "public", "GET /v2/images/{image}", "", "200 200 200 200 200"},
		{"update", "shared", "PATCH /v2/images/{image}", rename, "200 200 403 403 404"},
		{"update", "public", "PATCH /v2/images/{image}", rename, "200 200 403 403 403"},
		{"give away", "shared", "PATCH /v2/images/{image}", `[{"op":"replace","path":"/owner","value":"{other}"}]`, "200 403 403 403 404"},
		{"publicize", "shared", "PATCH /v2/images/{image}", publish, "200 403 403 403 404"},
		{"communitize", "shared", "PATCH /v2/images/{image}", open, "200 200 403 403 404"},
		{"delete", "shared", "DELETE /v2/images/{image}", "", "204 204 403 403 404"},
		{"delete", "community", "DELETE /v2/images/{image}", "", "204 204 403 403 403"},
		{"delete a protected one", "shared protected", "DELETE /v2/images/{image}", "", "403 403 403 403 404"},
		{"upload", "shared queued", "PUT /v2/images/{image}/file", "data", "204 204 403 403 404"},
		{"upload", "public queued", "PUT /v2/images/{image}/file", "data", "204 204 403 403 403"},
		{"download", "shared", "GET /v2/images/{image}/file", "", "200 200 403 200 404"},
		{"download", "public", "GET /v2/images/{image}/file", "", "200 200 403 200 200"},
		{"download", "community", "GET /v2/images/{image}/file", "", "200 200 403 200 200"},
		{"download a deactivated one", "public deactivated", "GET /v2/images/{image}/file", "", "200 403 403 403 403"},
		{"download from a store", "shared", "GET /v2/images/{image}/file?prefer=slow,fast", "", "200 200 403 200 404"},
		{"deactivate", "shared", "POST /v2/images/{image}/actions/deactivate", "", "204 204 403 403 404"},
		{"reactivate", "shared deactivated", "POST /v2/images/{image}/actions/reactivate", "", "204 204 403 403 404"},
		{"tag", "shared", "PUT /v2/images/{image}/tags/new", "", "204 204 403 403 404"},
		{"untag", "community", "DELETE /v2/images/{image}/tags/none", "", "404 404 403 403 403"},
		{"list members", "shared", "GET /v2/images/{image}/members", "", "200 200 200 200 404"},
		{"list members", "public", "GET /v2/images/{image}/members", "", "403 403 403 403 403"},
		{"show a member", "shared", "GET /v2/images/{image}/members/{member}", "", "200 200 200 200 404"},
		{"add a member", "shared", "POST /v2/images/{image}/members", `{"member":"{other}"}`, "200 200 403 403 404"},
		{"accept", "shared", "PUT /v2/images/{image}/members/{member}", `{"status":"accepted"}`, "200 403 403 200 404"},
		{"remove a member", "shared", "DELETE /v2/images/{image}/members/{member}", "", "204 204 403 403 404"},
		{"tasks of an image", "shared", "GET /v2/images/{image}/tasks", "", "200 200 200 200 404"},
		{"tasks of an image", "community", "GET /v2/images/{image}/tasks", "", "200 200 200 200 200"},
		{"tasks", "", "GET /v2/tasks", "", "200 403 403 403 403"},
		{"a task", "", "GET /v2/tasks/" + string(image.NewID()), "", "404 403 403 403 403"},
		{"a task that makes an image", "", "POST /v2/tasks", `{"type":"import","input":{"import_from":"http://nowhere.invalid/disk",` +
			`"import_from_format":"raw","image_properties":{}}}`, "201 403 403 403 403"},
		{"usage", "", "GET /v2/info/usage", "", "200 200 200 200 200"},
		{"import methods", "", "GET /v2/info/import", "", "200 200 200 200 200"},
		{"stores", "", "GET /v2/info/stores", "", "200 200 200 200 200"},
		{"stores in detail", "", "GET /v2/info/stores/detail", "", "200 403 403 403 403"},
		{"namespaces", "", "GET /v2/metadefs/namespaces", "", "200 200 200 200 200"},
		{"a namespace", "", "GET /v2/metadefs/namespaces/OS::Compute::Watchdog", "", "200 200 200 200 200"},
		{"make a namespace", "", "POST /v2/metadefs/namespaces", `{"namespace":"{unique}"}`, "201 403 403 403 403"},
		{"change a namespace", "", "PUT /v2/metadefs/namespaces/OS::Compute::GuestShutdownBehavior",
			`{"namespace":"OS::Compute::GuestShutdownBehavior","visibility":"public"}`, "200 403 403 403 403"},
		{"delete a namespace that nobody has", "", "DELETE /v2/metadefs/namespaces/none", "", "404 404 404 404 404"},
	} {
		for i, want := range strings.Fields(tt.want) {
			role := rune(columns[i])
			id := ""
			if tt.state != "" {
				id = p.newImage(t, c, tt.state)
			}
			fill := strings.NewReplacer("{image}", id, "{owner}", p.owner, "{member}", p.member, "{other}", p.other, "{unique}", string(image.NewID()))
			method, path, _ := strings.Cut(tt.request, " ")
			a := c.send(t, p.tokens[role], method, fill.Replace(path), fill.Replace(tt.body))
			if got := fmt.Sprint(a.status); got != want {
				t.Errorf("%s (%s) as %c: %s, want %s: %.200s", tt.name, tt.state, role, got, want, a.body)
			}
		}
	}
}

// TestWithoutAToken is told where to get one.
func TestWithoutAToken(t *testing.T) {
	c := openCloud(t)
	for _, token := range []string{"", "nonsense"} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", c.Endpoint+"/v2/images", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Auth-Token", token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != 401 || !strings.HasPrefix(got, `Keystone uri="http`) {
			t.Errorf("token %q: %d, %q", token, resp.StatusCode, got)
		}
	}
	for path, want := range map[string]int{"/": 300, "/versions": 200, "/healthcheck": 200} {
		if a := c.send(t, "", "GET", path, ""); a.status != want {
			t.Errorf("%s without a token: %d, want %d", path, a.status, want)
		}
	}
}

// TestService: another service may do what users may not.
func TestService(t *testing.T) {
	c := openCloud(t)
	token := c.Token(t, c.Service(t, "nova"))
	if a := c.send(t, token, "GET", "/v2/info/stores/detail", ""); a.status != 200 {
		t.Errorf("stores in detail: %d %s", a.status, a.body)
	}
}
