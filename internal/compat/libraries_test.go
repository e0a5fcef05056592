package compat

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestLibraries lets the Python libraries of the glance and openstack clients call each of their methods.
func TestLibraries(t *testing.T) {
	t.Parallel()
	for _, library := range []string{"glanceclient", "openstacksdk"} {
		t.Run(library, func(t *testing.T) {
			t.Parallel()
			testservers.Require(t, library)
			c := openCloud(t)
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 100_000)) }))
			defer web.Close()
			type account struct {
				Name     string `json:"name"`
				Password string `json:"password"`
				Project  string `json:"project"`
			}
			users := make(map[string]account)
			for who, role := range map[string]string{"owner": "member", "guest": "member", "admin": "admin"} {
				u := c.user(t, library+"-"+who, c.Project(t, library+"-"+who), role)
				users[who] = account{u.Username, u.Password, u.project}
			}
			config, err := json.Marshal(map[string]any{"auth_url": c.AuthURL, "region": testservers.Region, "users": users, "web": web.URL + "/disk"})
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-B", library+"_calls.py")
			cmd.Dir, cmd.Stdin = "testdata", bytes.NewReader(config)
			cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}
