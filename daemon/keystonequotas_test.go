package daemon_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testdaemon"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestKeystoneQuotas lets an operator set limits with the openstack client, in Keystone alone, and two projects run into them.
func TestKeystoneQuotas(t *testing.T) {
	testservers.Require(t, "openstack")
	keystone, cfg := openKeystone(t)
	operate := func(commands ...string) {
		t.Helper()
		if err := keystone.Operate(t.Context(), commands...); err != nil {
			t.Fatal(err)
		}
	}
	poor, rich := keystone.Project(t, "poor"), keystone.Project(t, "rich")
	token := func(name, project string) string {
		keystone.User(t, name, "secret", project, "member")
		return keystone.Token(t, keystone.Login(name, "secret", project))
	}
	poorToken, richToken, newToken := token("paul", poor), token("rolf", rich), token("nora", keystone.Project(t, "unseen"))
	operate("service create --name limited-images image",
		"role add --user vitrine --system all reader",
		"registered limit create --service limited-images --default-limit 1 "+image.QuotaSize,
		"registered limit create --service limited-images --default-limit 1 "+image.QuotaStaged,
		"registered limit create --service limited-images --default-limit 3 "+image.QuotaImages,
		"registered limit create --service limited-images --default-limit 1 "+image.QuotaUploading,
		"limit create --service limited-images --project rich --resource-limit 3 "+image.QuotaSize,
		"limit create --service limited-images --project rich --resource-limit -1 "+image.QuotaStaged)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 2<<20)) }))
	defer web.Close()
	d := testdaemon.Start(t, testdaemon.Config{Dir: t.TempDir(), TOML: keystoneTOML(cfg, "") +
		"\n[outgoing]\nallow_networks = [\"127.0.0.1\"]\nallowed_ports = []\n" +
		"[quotas.keystone]\nenabled = true\nservice = \"limited-images\"\ncache_time = \"1ms\"\n"})
	paul, rolf := as(t, d.Endpoint, poorToken), as(t, d.Endpoint, richToken)

	upload := func(c *client.Client, id image.ID, bytes int64, announced bool) error {
		up := client.Upload{Body: io.LimitReader(zeros{}, bytes), Size: -1}
		if announced {
			up.Size = bytes
		}
		return c.Upload(t.Context(), id, up)
	}
	stage := func(c *client.Client, id image.ID) error {
		return c.Stage(t.Context(), id, client.Upload{Body: bytes.NewReader(make([]byte, 2<<20)), Size: 2 << 20})
	}
	id, second, third := newRaw(t, paul), newRaw(t, paul), newRaw(t, paul)
	_, err := paul.Create(t.Context(), "", nil)
	wantOverLimit(t, "a fourth image", err, "image_count_total of 3", "attempted 4")
	wantOverLimit(t, "an upload", upload(paul, id, 2<<20, true), "image_size_total of 1048576", "attempted 2097152")
	wantOverLimit(t, "an upload of unknown size", upload(paul, id, 2<<20, false), "image_size_total of 1048576")
	wantOverLimit(t, "staging", stage(paul, id), "image_stage_total of 1048576", "attempted 2097152")
	fetch := image.Import{Method: image.ImportURL, URL: web.URL + "/disk"}
	if err := paul.Import(t.Context(), id, fetch); err != nil {
		t.Error(err)
	}
	var tasks []*image.Task
	for len(tasks) == 0 || !tasks[0].Status.Ended() {
		if tasks, err = paul.ImageTasks(t.Context(), id); err != nil {
			t.Fatal(err)
		}
	}
	if tasks[0].Status != image.TaskFailure || !strings.Contains(tasks[0].Message, "image_size_total of 1048576") &&
		!strings.Contains(tasks[0].Message, "image_stage_total of 1048576") {
		t.Errorf("the import of too much ended as %s: %s", tasks[0].Status, tasks[0].Message)
	}

	body, w := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- paul.Upload(context.Background(), second, client.Upload{Body: body, Size: 4}) }()
	if _, err := w.Write([]byte("da")); err != nil {
		t.Fatal(err)
	}
	waitSaving(t, paul, second)
	wantOverLimit(t, "a second upload at the same time", upload(paul, third, 4, true), "image_count_uploading of 1", "attempted 2")
	wantOverLimit(t, "an import at the same time", paul.Import(t.Context(), third, fetch), "image_count_uploading of 1")
	if _, err := w.Write([]byte("ta")); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if got, want := usageOf(t, paul), "image_count_total 3/3, image_count_uploading 0/1, image_size_total 0/1, image_stage_total 0/1"; got != want {
		t.Errorf("paul's usage is %s, want %s", got, want)
	}
	rolfs := newRaw(t, rolf)
	if got, want := usageOf(t, rolf), "image_count_total 1/3, image_count_uploading 0/1, image_size_total 0/3, image_stage_total 0/-1"; got != want {
		t.Errorf("rolf's usage is %s, want %s", got, want)
	}
	if err := upload(rolf, newRaw(t, rolf), 2<<20, false); err != nil {
		t.Errorf("a project with a limit of its own: %v", err)
	}
	if err := stage(rolf, rolfs); err != nil {
		t.Errorf("a project without a limit: %v", err)
	}

	operate("limit create --service limited-images --project poor --resource-limit 2 " + image.QuotaSize)
	if err := upload(paul, id, 1<<20, true); err != nil {
		t.Errorf("once there is more: %v", err)
	}
	nora := as(t, d.Endpoint, newToken)
	if _, err := nora.ImportMethods(t.Context()); err != nil { // her token is remembered from now on, and not her limits
		t.Fatal(err)
	}
	if err := keystone.Stop(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := keystone.Restart(context.Background(), time.Hour); err != nil {
			t.Error(err)
		}
	}()
	wantOverLimit(t, "without Keystone", upload(paul, third, 2<<20, true), "image_size_total of 2097152")
	if err := upload(paul, third, 4, true); err != nil {
		t.Errorf("limits that are known, without Keystone: %v", err)
	}
	if _, err := nora.Create(t.Context(), "", nil); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("limits that are not known, without Keystone: %v, want %v", err, image.ErrUnavailable)
	}
	if _, err := nora.Usage(t.Context()); !errors.Is(err, image.ErrUnavailable) {
		t.Errorf("the usage without Keystone: %v, want %v", err, image.ErrUnavailable)
	}
}

// wantOverLimit wants an answer 413 whose text has all of these.
func wantOverLimit(t *testing.T, what string, err error, texts ...string) {
	t.Helper()
	var refused *client.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("%s: %v, want 413", what, err)
		return
	}
	for _, text := range texts {
		if !strings.Contains(refused.Text, text) {
			t.Errorf("%s is refused with %q, want %q", what, refused.Text, text)
		}
	}
}

// usageOf returns what a project uses of its limits.
func usageOf(t *testing.T, c *client.Client) string {
	t.Helper()
	quotas, err := c.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, q := range quotas {
		all = append(all, fmt.Sprintf("%s %d/%d", q.Resource, q.Used, q.Limit))
	}
	return strings.Join(all, ", ")
}
