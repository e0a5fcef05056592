package policy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/watchfile"
	"github.com/vitrine-image/vitrine/policy"
)

func open(t testing.TB, cfg policy.Config) *policy.Enforcer {
	t.Helper()
	e, err := policy.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	return e
}

// write makes a file of the text and returns its path.
func write(t testing.TB, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	rewrite(t, path, text)
	return path
}

func rewrite(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

var reader = image.Caller{UserID: "u", ProjectID: "p", Roles: []string{"reader"}}

// allowed reports which of the rules allow a reader something about his project.
func allowed(t *testing.T, e *policy.Enforcer, rules ...string) string {
	t.Helper()
	var all []string
	for _, rule := range rules {
		if e.Allows(t.Context(), reader, rule, policy.ForProject("p")) {
			all = append(all, rule)
		}
	}
	return strings.Join(all, " ")
}

func TestOverrides(t *testing.T) {
	rules := []string{"add_task", "get_images", "copy_image", "cache_list", "cache_image", "cache_clean", "tasks_api_access", "get_tasks"}
	const want = "get_images copy_image cache_list cache_image"
	for name, text := range map[string]string{
		"yaml": `
# ours
default: "!"
"copy_image": "rule:ours"
ours: role:READER and project_id:%(project_id)s
cache_list: &everybody "@"
cache_image: *everybody
cache_clean: []
tasks_api_access: [[]]
`,
		"json": "{\"default\": \"!\",\n\t\"copy_image\": \"rule:ours\", \"ours\": \"role:READER and project_id:%(project_id)s\",\n" +
			"\t\"cache_list\": \"\", \"cache_image\": [[\"role:x\"], [\"role:reader\", \"project_id:p\"]], \"cache_clean\": [\"role:x\", \"!\"]}\n",
	} {
		t.Run(name, func(t *testing.T) {
			want := want
			if name == "yaml" {
				want = "get_images copy_image cache_list cache_image cache_clean"
			}
			if got := allowed(t, open(t, policy.Config{File: write(t, text)}), rules...); got != want {
				t.Errorf("allowed: %s, want %s", got, want)
			}
		})
	}
}

func TestAnOverrideDecidesAloneForTheAnonymous(t *testing.T) {
	e := open(t, policy.Config{File: write(t, `{"get_images": "role:reader", "get_image": "'public':%(visibility)s"}`)})
	nobody := image.Caller{Anonymous: true}
	private := policy.ForImage(&image.Image{Visibility: image.Private}, "")
	for _, tt := range []struct {
		rule   string
		target policy.Target
		want   bool
	}{
		{policy.GetImages, policy.ForProject(""), false},
		{policy.GetImage, publicImage(nobody), true},
		{policy.GetImage, private, false},
		{policy.DownloadImage, publicImage(nobody), true},
		{policy.DownloadImage, private, false},
	} {
		if got := e.Allows(t.Context(), nobody, tt.rule, tt.target); got != tt.want {
			t.Errorf("%s = %t, want %t", tt.rule, got, tt.want)
		}
	}
}

func TestAnEmptyFileChangesNothing(t *testing.T) {
	for _, text := range []string{"", "\n# nothing\n", "---\n", "{}", "null"} {
		if got := allowed(t, open(t, policy.Config{File: write(t, text)}), policy.GetImages, policy.CopyImage); got != policy.GetImages {
			t.Errorf("%q: allowed: %s", text, got)
		}
	}
}

// TestBadFiles are refused with the line.
func TestBadFiles(t *testing.T) {
	chain := new(strings.Builder)
	for i := range 200 {
		fmt.Fprintf(chain, "r%03d: rule:r%03d\n", i, i+1)
	}
	chain.WriteString("r200: '@'\n")
	doubling := new(strings.Builder)
	for i := range 40 {
		fmt.Fprintf(doubling, "r%02d: rule:r%02d or rule:r%02d\n", i, i+1, i+1)
	}
	doubling.WriteString("r40: '!'\n")
	for name, tt := range map[string]struct{ text, want string }{
		"no yaml":              {"a: [\n", "line "},
		"unquoted at":          {"default: '@'\nget_image: @\n", "line 2"},
		"unquoted exclamation": {"default: '@'\nget_image: !\n", `line 2: rule "get_image": a text in quotes`},
		"tagged":               {"get_image: !!str role:admin\n", "a text in quotes"},
		"null":                 {"get_image:\n", "line 1: rule \"get_image\": a text in quotes"},
		"boolean":              {"get_image: true\n", "a text in quotes"},
		"number":               {"\nget_image: 1\n", "line 2"},
		"mapping":              {"get_image: {a: b}\n", "a text in quotes"},
		"list of mappings":     {"get_image: [{a: b}]\n", "a text in quotes"},
		"list of numbers":      {"get_image: [[1]]\n", "a text in quotes"},
		"list":                 {"- a\n", "line 1: names of rules"},
		"text":                 {"role:admin\n", "names of rules"},
		"number as a name":     {"1: '@'\n", "the name of a rule"},
		"list as a name":       {"? [a]\n: '@'\n", "the name of a rule"},
		"merge key":            {"<<: {a: '@'}\n", "the name of a rule"},
		"twice":                {"get_image: '@'\ndefault: ''\n\"get_image\": '!'\n", `line 3: rule "get_image" is there already, in line 1`},
		"two documents":        {"get_image: '@'\n---\nget_image: '!'\n", "line 2: a second document"},
		"syntax":               {"get_image: 'role:a or'\n", `line 1: rule "get_image": it ends where a check is expected`},
		"syntax in a list":     {"get_image: [['role:a', 'admin']]\n", `"admin" is no check`},
		"and in a list":        {"get_image: ['rule:a and rule:b']\n", `rule "a and rule:b", which does not exist`},
		"missing rule":         {"get_image: rule:adminn\n", `rule "adminn", which does not exist`},
		"itself":               {"a: rule:a\n", `line 1: rule "a" refers to itself: a -> a`},
		"each other":           {"a: rule:b\nb: not rule:c\nc: '@ and (role:x or rule:a)'\n", "refers to itself: a -> b -> c -> a"},
		"through a built-in":   {"context_is_admin: rule:copy_image\n", "refers to itself"},
		"through is_admin":     {"context_is_admin: is_admin:True\n", "refers to itself"},
		"a long chain":         {chain.String(), "more than 100 rules that refer to each other"},
		"doubling":             {doubling.String(), "leads to more than 10000 checks"},
		"many checks":          {"a: '" + strings.Repeat("@ or ", 10_000) + "@'\n", "leads to more than 10000 checks"},
		"a long rule":          {"a: '" + strings.Repeat("@ or ", 20_000) + "@'\n", "at most 65536"},
		"a large file":         {strings.Repeat("#", 1<<20) + "\n", "at most 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			path := write(t, tt.text)
			_, err := policy.Open(policy.Config{File: path})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("Open = %v, want the file and %q", err, tt.want)
			}
			if err != nil && len(err.Error()) > 400 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
	if _, err := policy.Open(policy.Config{File: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

func TestReload(t *testing.T) {
	path := write(t, "copy_image: '@'\n")
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e, err := policy.Open(policy.Config{File: path, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err != nil {
			t.Fatal(err)
		}
		want := func(text, want string) {
			t.Helper()
			rewrite(t, path, text)
			time.Sleep(watchfile.Interval)
			if got := allowed(t, e, policy.CopyImage, policy.CacheList); got != want {
				t.Errorf("%q: allowed: %s, want %s", text, got, want)
			}
		}
		want("copy_image: '@'\n", "copy_image")
		want("cache_list: '@'\n", "cache_list")
		want("copy_image: '@'\ncache_list: 'role:reader or'\n", "cache_list")
		if text := log.String(); !strings.Contains(text, path) || !strings.Contains(text, "line 2") {
			t.Errorf("the log does not name file and line: %s", text)
		}
		want("copy_image: '@'\ncache_list: '!'\n", "copy_image")
	})
}

func TestWarnings(t *testing.T) {
	var log bytes.Buffer
	e := open(t, policy.Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), File: write(t, `
ours: role:x
copy_image: "rule:ours or not token.project.id:p"
get_imagse: role:reader
cache_list: system_scope:all or is_admin_project:True
`)})
	for _, want := range []string{
		"rule=copy_image line=3 check=token.project.id", "rule=get_imagse line=4", "rule=cache_list line=5 check=is_admin_project",
		"tokens for the system are not accepted",
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is not in the log: %s", want, &log)
		}
	}
	if strings.Contains(log.String(), "rule=ours") || strings.Count(log.String(), "\n") != 4 {
		t.Errorf("the log says too much: %s", &log)
	}
	if got := allowed(t, e, policy.CopyImage, policy.CacheList); got != "" {
		t.Errorf("a check that nobody knows lets somebody in: %s", got)
	}
	log.Reset()
	if allowed(t, e, "no_such_rule") != "" || !strings.Contains(log.String(), "rule=no_such_rule") {
		t.Errorf("a rule that does not exist: %s", &log)
	}
}

func TestIsAdminAsksTheRule(t *testing.T) {
	e := open(t, policy.Config{File: write(t, `
context_is_admin: role:boss
cache_list: is_admin:True
cache_image: is_admin:False
cache_clean: not is_admin:True
cache_prune: is_admin:maybe
`)})
	boss := image.Caller{ProjectID: "p", Roles: []string{"Boss"}}
	admin := image.Caller{ProjectID: "p", Roles: []string{"admin"}}
	if !e.IsAdmin(t.Context(), boss) || e.IsAdmin(t.Context(), admin) {
		t.Error("context_is_admin does not say who is an administrator")
	}
	for rule, want := range map[string][2]bool{
		policy.CacheList: {true, false}, policy.CacheImage: {false, true}, policy.CacheClean: {false, true}, policy.CachePrune: {false, false},
		policy.CopyImage: {true, false},
	} {
		got := [2]bool{e.Allows(t.Context(), boss, rule, policy.Target{}), e.Allows(t.Context(), admin, rule, policy.Target{})}
		if got != want {
			t.Errorf("%s: boss and admin = %v, want %v", rule, got, want)
		}
	}
}

func TestManyAskAtOnce(t *testing.T) {
	e := open(t, policy.Config{File: write(t, "get_images: rule:ours\nours: role:reader and not is_admin:True\n")})
	p, err := policy.OpenProtections(policy.ProtectionsConfig{Format: policy.Policies, Enforcer: e, File: write(t, "[.]\ncreate=ours\nread=ours\nupdate=!\ndelete=!\n")})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 200 {
				if !e.Allows(t.Context(), reader, policy.GetImages, policy.ForProject("p")) || !p.For(reader).May(t.Context(), policy.Read, "x") {
					t.Error("not allowed")
				}
			}
		})
	}
	group.Wait()
}
