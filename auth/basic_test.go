package auth

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/watchfile"
)

const basicUsersFile = `[olga]
project = "ops"
roles = ["admin"]

["otto@example.org"]
project = "dev"
roles = ["member"]
id = "u-17"
domain = "default"
`

func hash(t testing.TB, password string) string {
	t.Helper()
	h, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(h)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// openBasic returns an authenticator for two users, and how often it has checked a password.
func openBasic(t testing.TB, cfg BasicConfig) (*Basic, *atomic.Int64) {
	t.Helper()
	dir := t.TempDir()
	cfg.HTPasswd, cfg.Users = filepath.Join(dir, "htpasswd"), filepath.Join(dir, "users.toml")
	write(t, cfg.HTPasswd, "# people\nolga:"+strings.Replace(hash(t, "secret"), "$2a$", "$2y$", 1)+"\n\notto@example.org:"+hash(t, "geheim")+"\nghost:"+hash(t, "boo")+"\n")
	write(t, cfg.Users, basicUsersFile)
	b, err := NewBasic(cfg)
	if err != nil {
		t.Fatal(err)
	}
	checks := new(atomic.Int64)
	check := b.check
	b.check = func(hash, password []byte) error { checks.Add(1); return check(hash, password) }
	return b, checks
}

func basicHeader(name, password string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(name, password)
	return r.Header.Get("Authorization")
}

func TestBasicSaysWhoAsks(t *testing.T) {
	b, _ := openBasic(t, BasicConfig{})
	olga, err := ask(b, "Authorization", basicHeader("olga", "secret"))
	if err != nil || olga.UserID != "olga" || olga.ProjectID != "ops" || !slices.Equal(olga.Roles, []string{"admin", "member", "reader"}) || olga.Anonymous {
		t.Errorf("olga is %+v, %v", olga, err)
	}
	otto, err := ask(b, "Authorization", basicHeader("otto@example.org", "geheim"))
	if err != nil || otto.UserID != "u-17" || otto.UserDomainID != "default" || otto.ProjectDomainID != "default" || otto.IsAdmin() || !otto.HasRole("reader") {
		t.Errorf("otto is %+v, %v", otto, err)
	}
	if got := b.Challenge(); got != `Basic realm="vitrine"` {
		t.Errorf("Challenge = %s", got)
	}
}

func TestBasicRefuses(t *testing.T) {
	b, _ := openBasic(t, BasicConfig{})
	open, _ := openBasic(t, BasicConfig{Anonymous: true})
	if caller, err := ask(open); err != nil || !caller.Anonymous || !AnonymousReads(open) || AnonymousReads(b) {
		t.Errorf("without credentials: %+v, %v", caller, err)
	}
	_, err := ask(b)
	wantError(t, "nothing", err, image.ErrUnauthorized)
	good := basicHeader("olga", "secret")
	for name, values := range map[string][]string{
		"a wrong password":       {basicHeader("olga", "Secret")},
		"no password":            {basicHeader("olga", "")},
		"nobody":                 {basicHeader("", "")},
		"an unknown user":        {basicHeader("eve", "secret")},
		"a user with no project": {basicHeader("ghost", "boo")},
		"another's password":     {basicHeader("otto@example.org", "secret")},
		"a user in capitals":     {basicHeader("OLGA", "secret")},
		"another scheme":         {"Bearer abc"},
		"no base64":              {"Basic %%%"},
		"an empty header":        {""},
		"two headers":            {good, good},
		"a long name":            {basicHeader(strings.Repeat("a", 1<<20), "secret")},
		"a long password":        {basicHeader("olga", strings.Repeat("a", 1<<20))},
	} {
		for _, a := range []*Basic{b, open} {
			headers := []string{}
			for _, value := range values {
				headers = append(headers, "Authorization", value)
			}
			_, err := ask(a, headers...)
			wantError(t, name, err, image.ErrUnauthorized)
		}
	}
}

func TestBasicChecksAPasswordOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, checks := openBasic(t, BasicConfig{})
		try := func(when, password string, want error, checked int64) {
			t.Helper()
			_, err := ask(b, "Authorization", basicHeader("olga", password))
			wantError(t, when, err, want)
			if got := checks.Load(); got != checked {
				t.Errorf("%s: %d checks, want %d", when, got, checked)
			}
		}
		try("first", "secret", nil, 1)
		time.Sleep(time.Minute - 1)
		try("again", "secret", nil, 1)
		time.Sleep(time.Nanosecond)
		try("after a minute", "secret", nil, 2)
		try("wrong", "guess", image.ErrUnauthorized, 3)
		try("wrong again", "guess", image.ErrUnauthorized, 3)
		time.Sleep(wrongTime)
		try("wrong later", "guess", image.ErrUnauthorized, 4)
		var all sync.WaitGroup
		b.check = func(hash, password []byte) error { checks.Add(1); time.Sleep(time.Second); return nil }
		for range 20 {
			all.Go(func() {
				_, err := ask(b, "Authorization", basicHeader("olga", "another"))
				wantError(t, "at the same time", err, nil)
			})
		}
		all.Wait()
		if got := checks.Load(); got != 5 {
			t.Errorf("20 requests at the same time: %d checks, want 1", got-4)
		}
	})
}

func TestBasicTakesAsLongForUnknownUsers(t *testing.T) {
	b, checks := openBasic(t, BasicConfig{})
	for i, name := range []string{"olga", "eve", "ghost"} {
		_, err := ask(b, "Authorization", basicHeader(name, "guess"))
		wantError(t, name, err, image.ErrUnauthorized)
		if got := checks.Load(); got != int64(i+1) {
			t.Errorf("%s: %d checks, want one for each", name, got)
		}
	}
	all := b.files.Get()
	if first := b.standIn(all, "eve"); string(first) != string(b.standIn(all, "eve")) || checkHash(first) != nil {
		t.Errorf("an unknown user's hash is %s, and another the next time", first)
	}
	if err := checkHash(b.standIn(new(accounts), "eve")); err != nil {
		t.Errorf("without any user: %v", err)
	}
}

func TestBasicBoundsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := openBasic(t, BasicConfig{})
		if _, err := ask(b, "Authorization", basicHeader("olga", "secret")); err != nil {
			t.Fatal(err)
		}
		var running, most atomic.Int64
		b.check = func([]byte, []byte) error {
			if n := running.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(4 * time.Second)
			running.Add(-1)
			return errors.New("wrong")
		}
		var all sync.WaitGroup
		var busy atomic.Int64
		for i := range 100 {
			all.Go(func() {
				if _, err := ask(b, "Authorization", basicHeader("olga", strings.Repeat("a", i))); errors.Is(err, image.ErrUnavailable) {
					busy.Add(1)
				}
			})
		}
		synctest.Wait()
		if _, err := ask(b, "Authorization", basicHeader("olga", "secret")); err != nil {
			t.Errorf("who is known must wait: %v", err)
		}
		all.Wait()
		if most.Load() > 64 || busy.Load() == 0 {
			t.Errorf("%d checks ran at once, %d were refused", most.Load(), busy.Load())
		}
	})
}

func TestBasicFollowsItsFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := openBasic(t, BasicConfig{})
		var log strings.Builder
		cfg := b.cfg
		cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		b, err := NewBasic(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "user=ghost") {
			t.Errorf("a user without a project was not logged: %s", &log)
		}
		try := func(when, password, project string, want error) {
			t.Helper()
			time.Sleep(watchfile.Interval)
			caller, err := ask(b, "Authorization", basicHeader("olga", password))
			wantError(t, when, err, want)
			if err == nil && caller.ProjectID != project {
				t.Errorf("%s: project %s", when, caller.ProjectID)
			}
		}
		try("first", "secret", "ops", nil)
		write(t, cfg.Users, strings.Replace(basicUsersFile, `"ops"`, `"sre"`, 1))
		try("another project", "secret", "sre", nil)
		write(t, cfg.HTPasswd, "olga:"+hash(t, "new")+"\n")
		try("the old password", "secret", "", image.ErrUnauthorized)
		try("the new password", "new", "sre", nil)
		write(t, cfg.Users, "[olga]\nproject = 7\n")
		try("a broken file", "new", "sre", nil)
		if !strings.Contains(log.String(), cfg.Users+": line 2") {
			t.Errorf("the broken file was not logged with file and line: %s", &log)
		}
	})
}

func TestBasicFilesAreChecked(t *testing.T) {
	good := hash(t, "a")
	for _, tt := range []struct{ htpasswd, users, want string }{
		{"olga:{SHA}NWoZK3kTsExUV00Ywo1G5jlUKKs=\n", "", "htpasswd: line 1: only bcrypt"},
		{"# x\nolga:$apr1$abc$def\n", "", "line 2: only bcrypt"},
		{"olga:plain\n", "", "line 1: only bcrypt"},
		{"olga\n", "", "line 1: not of the form"},
		{":" + good + "\n", "", "line 1: not of the form"},
		{"olga:" + good + "\nolga:" + good + "\n", "", "line 2: the user \"olga\" stands here again"},
		{"olga:" + good[:50] + "\n", "", "line 1: the bcrypt hash is damaged"},
		{"olga:$2b$31$" + good[7:] + "\n", "", "line 1: a bcrypt hash of cost 31"},
		{"", "[olga]\nproject = \"p\"\n", "[olga] needs a project and roles"},
		{"", "[olga]\nroles = [\"member\"]\n", "[olga] needs a project and roles"},
		{"", "[olga]\nproject = \"p\"\nroles = [\"member\"]\npasword = \"x\"\n", "users.toml: line 4: unknown key olga.pasword"},
		{"", "[olga\n", "users.toml: line 1"},
	} {
		dir := t.TempDir()
		cfg := BasicConfig{HTPasswd: filepath.Join(dir, "htpasswd"), Users: filepath.Join(dir, "users.toml")}
		write(t, cfg.HTPasswd, tt.htpasswd)
		write(t, cfg.Users, tt.users)
		if _, err := NewBasic(cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q and %q: %v, want %q", tt.htpasswd, tt.users, err, tt.want)
		}
	}
	if _, err := NewBasic(BasicConfig{}); err == nil {
		t.Error("no files were no error")
	}
}

func FuzzAccounts(f *testing.F) {
	f.Add("olga:$2y$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234\n", basicUsersFile)
	f.Add("olga:x", "[olga]\nroles=[]")
	f.Fuzz(func(t *testing.T, htpasswd, users string) {
		all, err := parseAccounts([]byte(htpasswd), []byte(users), "users", slog.New(slog.DiscardHandler))
		if err != nil {
			return
		}
		for name, account := range all.users {
			if name == "" || checkHash(account.hash) != nil || account.caller.ProjectID == "" || len(account.caller.Roles) == 0 || account.caller.Anonymous {
				t.Errorf("the user %q is %+v", name, account)
			}
		}
	})
}
