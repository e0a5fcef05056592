package glance

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

// schema is what Glance 25.1 (2023.1) makes in SQLite, but for what is not read.
//
//go:embed testdata/schema.sql
var schema string

// newGlance makes a database of Glance with what the statements put into it.
func newGlance(t testing.TB, statements ...string) *sql.DB {
	t.Helper()
	path := filepath.Join(t.TempDir(), "glance.db")
	db, err := sql.Open("sqlite3", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	for _, s := range append([]string{schema, "PRAGMA journal_mode = WAL"}, statements...) {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	return db
}

func fileOf(t testing.TB, db *sql.DB) string {
	t.Helper()
	var number, name, path string
	if err := db.QueryRow("PRAGMA database_list").Scan(&number, &name, &path); err != nil {
		t.Fatal(err)
	}
	return path
}

func newDB(t testing.TB) metadata.DB {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: filepath.Join(t.TempDir(), "vitrine.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

var places = []Place{{Store: "fast", Type: TypeFile, Dirs: []string{"/srv/fast"}}, {Store: "slow", Type: TypeFile, Dirs: []string{"/srv/slow"}},
	{Store: "ceph", Type: TypeRBD, Pool: "images"}, {Store: "web", Type: TypeHTTP}}

func adopt(t testing.TB, from *sql.DB, to metadata.DB, key string) *Report {
	t.Helper()
	source, err := OpenSource(t.Context(), "sqlite:///"+fileOf(t, from))
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	report, err := Adopt(t.Context(), Config{Source: source, DB: to, Places: places, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func id(n int) string { return fmt.Sprintf("1b4e28ba-2fa1-11d2-883f-%012d", n) }

// insertImage returns a statement for an image with a status and a location, "" for none.
func insertImage(n int, status, location, metadata string) string {
	const at = "'2024-05-06 07:08:09.123456'"
	s := fmt.Sprintf(`INSERT INTO images (id, name, size, status, created_at, updated_at, deleted, disk_format, container_format, min_disk, min_ram,
		protected, visibility, os_hidden) VALUES ('%s', 'n%d', 5, '%s', %s, %s, 0, 'raw', 'bare', 1, 2, 0, 'public', 0);`, id(n), n, status, at, at)
	if location != "" {
		s += fmt.Sprintf(`INSERT INTO image_locations (image_id, value, created_at, updated_at, deleted, meta_data, status)
			VALUES ('%s', '%s', %s, %s, 0, '%s', 'active');`, id(n), location, at, at, metadata)
	}
	return s
}

func find(t testing.TB, db metadata.DB, n int) (img *image.Image) {
	t.Helper()
	err := db.View(t.Context(), func(tx metadata.Tx) (err error) {
		img, err = tx.Image(image.ID(id(n)))
		return err
	})
	if err != nil {
		t.Errorf("image %d: %v", n, err)
		return &image.Image{}
	}
	return img
}

// What is under way, gone or somewhere else in Glance becomes what can be had of it, or is named.
func TestStatesAndPlaces(t *testing.T) {
	// sealed is what glance.common.crypt.urlsafe_encrypt makes of file:///srv/fast/ and the id of image 11.
	const key, sealed = "0123456789abcdef", "CWYSlmtjWyV-33nOa5Tnzp8LB_-BWM_EuBzGd-qLVWd3Hav-bqJlDDeRy8xB5_JnAiTLhwTttpKgBkh-j_6WjvGK285oAFQybtyxzGPr4xA="
	var statements []string
	cases := []struct {
		status, location, metadata string
		want                       image.Status // "" for not taken over
		store, url                 string
		problem                    string
	}{
		1:  {"active", "file:///srv/fast/" + id(1), `{"store": "fast", "mine": "x"}`, image.Active, "fast", "file:///srv/fast/" + id(1), ""},
		2:  {"active", "file:///srv/slow/" + id(2), `{"store": "fast"}`, image.Active, "slow", "file:///srv/slow/" + id(2), ""},
		3:  {"active", "file:///old/" + id(3), `{"store": "slow"}`, image.Active, "slow", "file:///old/" + id(3), ""},
		4:  {"deactivated", "rbd://fsid/images/" + id(4) + "/snap", `{}`, image.Deactivated, "ceph", "rbd://fsid/images/" + id(4) + "/snap", ""},
		5:  {"active", "rbd://fsid/other/" + id(5) + "/snap", `{}`, "", "", "", "none of the configured stores"},
		6:  {"active", "https://u:secret@example.org/x", `{}`, image.Active, "web", "https://u:secret@example.org/x", ""},
		7:  {"active", "swift+https://u:secret@host/c/o", `{}`, "", "", "", "no counterpart (swift+https://)"},
		8:  {"active", "", "", "", "", "", "no location"},
		9:  {"saving", "", "", image.Queued, "", "", ""},
		10: {"active", "file:///etc/passwd", `{"store": "fast"}`, "", "", "", "not named after an image"},
		11: {"active", sealed, `{"store": "fast"}`, image.Active, "fast", "file:///srv/fast/" + id(11), ""},
		12: {"killed", "", "", "", "", "", "it is killed"},
		13: {"active", "file:///old/" + id(13), "", "", "", "", "none of the configured stores"},
	}
	for n, c := range cases[1:] {
		statements = append(statements, insertImage(n+1, c.status, c.location, c.metadata))
	}
	statements = append(statements, insertImage(20, "pending_delete", "", ""), insertImage(21, "deleted", "", ""),
		`UPDATE images SET deleted = 1, deleted_at = updated_at WHERE id IN ('`+id(20)+`', '`+id(21)+`')`,
		`INSERT INTO image_properties (image_id, name, value, created_at, deleted) VALUES ('`+id(1)+`', 'os_glance_import_task', 'x', '2024-01-01', 0),
			('`+id(1)+`', 'kept', NULL, '2024-01-01', 0), ('`+id(1)+`', 'dropped', 'x', '2024-01-01', 1)`)
	from, to := newGlance(t, statements...), newDB(t)
	report := adopt(t, from, to, key)
	problems := make(map[string]string)
	for _, p := range report.Problems {
		problems[p.ID] = p.Text
		if strings.Contains(p.Text, "secret") {
			t.Errorf("the report tells a password: %s", p.Text)
		}
	}
	for n, c := range cases[1:] {
		n++
		if !strings.Contains(problems[id(n)], c.problem) || (c.problem == "") != (problems[id(n)] == "") {
			t.Errorf("image %d: the problem is %q, want %q", n, problems[id(n)], c.problem)
		}
		if c.want == "" {
			continue
		}
		img := find(t, to, n)
		if img.Status != c.want || c.store != "" && (len(img.Locations) != 1 || img.Locations[0].Store != c.store || img.Locations[0].URL != c.url) {
			t.Errorf("image %d is %s at %+v, want %s in %s at %s", n, img.Status, img.Locations, c.want, c.store, c.url)
		}
	}
	first := find(t, to, 1)
	if first.Locations[0].Metadata["mine"] != "x" || len(first.Properties) != 1 || !first.CreatedAt.Equal(time.Date(2024, 5, 6, 7, 8, 9, 123456000, time.UTC)) {
		t.Errorf("the first image is %+v", first)
	}
	if report.Images.Added != 7 || report.Images.Left != 6 || report.Deleted != 2 || report.Scrub != 1 || len(report.Remarks) != 1 {
		t.Errorf("the report is %+v", report)
	}
	for text, key := range map[string]string{"encrypted: Glance's metadata_encryption_key is needed": "", "another metadata_encryption_key": "fedcba9876543210"} {
		if p := adopt(t, from, newDB(t), key).Problems; !strings.Contains(fmt.Sprint(p), text) {
			t.Errorf("with the key %q the problems are %v, want %q", key, p, text)
		}
	}
}

// Whichever side has changed an image or a membership last wins, and what is deleted here does not come back.
func TestRepeatedAdoption(t *testing.T) {
	member := func(n int, project, status, at string) string {
		return fmt.Sprintf(`INSERT INTO image_members (image_id, member, can_share, created_at, updated_at, deleted, status)
			VALUES ('%s', '%s', 0, '2024-01-01 00:00:00', '%s', 0, '%s')`, id(n), project, at, status)
	}
	from := newGlance(t)
	for n := 1; n <= 5; n++ {
		if _, err := from.Exec(insertImage(n, "active", "file:///srv/fast/"+id(n), "{}")); err != nil {
			t.Fatal(err)
		}
	}
	run := func(statement string) {
		t.Helper()
		if _, err := from.Exec(statement); err != nil {
			t.Fatal(err)
		}
	}
	run(member(1, "p1", "pending", "2024-01-01 00:00:00"))
	run(member(1, "p2", "accepted", "2024-02-01 00:00:00"))
	run(member(1, "p3", "nonsense", "2024-02-01 00:00:00"))
	to := newDB(t)
	if r := adopt(t, from, to, ""); r.Images != (Counts{Added: 5}) || r.Members != (Counts{Added: 2, Left: 1}) || r.Bytes != 25 {
		t.Errorf("the first run: %+v", r)
	}
	run(`UPDATE images SET name = 'theirs', updated_at = '2024-06-01 00:00:00' WHERE id IN ('` + id(1) + `', '` + id(2) + `')`)
	run(`UPDATE images SET deleted = 1, status = 'deleted', deleted_at = '2024-06-01 00:00:00' WHERE id IN ('` + id(4) + `', '` + id(5) + `')`)
	run(`UPDATE image_members SET deleted = 1, deleted_at = '2024-06-01 00:00:00' WHERE member = 'p2'`)
	run(`UPDATE image_members SET status = 'rejected', updated_at = '2024-06-01 00:00:00' WHERE member = 'p1'`)
	now := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	err := to.Update(t.Context(), func(tx metadata.WriteTx) error {
		for _, n := range []int{2, 3, 5} {
			img, err := tx.Image(image.ID(id(n)))
			if err != nil {
				return err
			}
			img.UpdatedAt, img.Hidden = now, true
			if n == 3 {
				img.Status = image.Deleted
			}
			if err := tx.SaveImage(img); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		r := adopt(t, from, to, "")
		text := fmt.Sprint(r.Problems)
		for _, want := range []string{id(2) + ` ("theirs"): it was changed here`, id(3) + ` ("n3"): it was deleted here`, id(5) + ` ("n5"): it was deleted in Glance`} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not among the problems %s", want, text)
			}
		}
		if r.Images.Left != 3 {
			t.Errorf("a later run: %+v", r)
		}
	}
	if img := find(t, to, 1); *img.Name != "theirs" {
		t.Errorf("the image that Glance renamed is %q", *img.Name)
	}
	err = to.View(t.Context(), func(tx metadata.Tx) error {
		members, err := tx.Members(find(t, to, 1).Number)
		if len(members) != 1 || members[0].Project != "p1" || members[0].Status != image.MemberRejected {
			t.Errorf("the members are %+v", members)
		}
		if _, gone := tx.Image(image.ID(id(4))); gone == nil {
			t.Error("the image that Glance deleted is still there")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestTasks(t *testing.T) {
	task := func(n int, kind, status, expires string) string {
		return fmt.Sprintf(`INSERT INTO tasks (id, type, status, owner, expires_at, created_at, updated_at, deleted, image_id, user_id)
			VALUES ('%s', '%s', '%s', 'p1', %s, '2024-01-01', '2024-01-02', 0, '%s', 'u1');
			INSERT INTO task_info (task_id, input, result, message) VALUES ('%[1]s', '{"a": 1}', 'null', 'm')`, id(n), kind, status, expires, id(9))
	}
	from := newGlance(t, task(1, "api_image_import", "success", "'2999-01-01'"), task(2, "import", "processing", "NULL"), task(3, "export", "success", "NULL"),
		task(4, "import", "success", "'2024-01-03'"))
	to := newDB(t)
	r := adopt(t, from, to, "")
	if r.Tasks != (Counts{Added: 2, Left: 1}) || len(r.Remarks) != 1 {
		t.Errorf("the report is %+v", r)
	}
	err := to.View(t.Context(), func(tx metadata.Tx) error {
		one, err := tx.Task(image.ID(id(1)))
		if err != nil {
			return err
		}
		if one.UserID != "u1" || one.ImageID != image.ID(id(9)) || string(one.Input) != `{"a": 1}` || one.Result != nil || one.Message != "m" || one.ExpiresAt.Year() != 2999 {
			t.Errorf("the first task is %+v", one)
		}
		two, err := tx.Task(image.ID(id(2)))
		if err == nil && (two.Status != image.TaskFailure || two.ExpiresAt == nil) {
			t.Errorf("what had not ended is %+v", two)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// processorTime returns what this process has used so far.
func processorTime(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestAdoptMany takes over very many images in little memory: 100,000 of them when VITRINE_ROUNDS is set.
func TestAdoptMany(t *testing.T) {
	n := 100_000
	if os.Getenv("VITRINE_ROUNDS") == "" {
		n /= 20
	}
	from := newGlance(t, fmt.Sprintf(`INSERT INTO images (id, name, size, status, created_at, updated_at, deleted, disk_format, container_format, min_disk,
		min_ram, protected, visibility, os_hidden, owner) WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < %d)
		SELECT printf('1b4e28ba-2fa1-11d2-883f-%%012d', n), 'image ' || n, n, 'active', '2024-01-01', '2024-01-01', 0, 'raw', 'bare', 0, 0, 0, 'shared', 0, 'p' || (n %% 100) FROM c`, n),
		`INSERT INTO image_locations (image_id, value, created_at, deleted, meta_data, status) SELECT id, 'file:///srv/fast/' || id, '2024-01-01', 0, '{"store": "fast"}', 'active' FROM images`,
		`INSERT INTO image_properties (image_id, name, value, created_at, deleted) SELECT id, 'os_distro', 'debian', '2024-01-01', 0 FROM images UNION ALL
			SELECT id, 'hw_disk_bus', 'virtio', '2024-01-01', 0 FROM images`,
		`INSERT INTO image_tags (image_id, value, created_at, deleted) SELECT id, 'tag', '2024-01-01', 0 FROM images`,
		`INSERT INTO image_members (image_id, member, can_share, created_at, updated_at, deleted, status) SELECT id, 'q', 0, '2024-01-01', '2024-01-01', 0, 'accepted' FROM images`)
	to := newDB(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	peak := make(chan uint64)
	go func() { // looks at the heap until the adoption ends
		var most uint64
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapInuse)
		}
		peak <- most
	}()
	start, used := time.Now(), processorTime(t)
	r := adopt(t, from, to, "")
	took, used := time.Since(start), processorTime(t)-used
	stop()
	most := <-peak
	t.Logf("%d images, each with a location, a member, a tag and two properties: %s, of them %s on a processor; the heap has at most %d MiB", n,
		took.Round(time.Millisecond), used.Round(time.Millisecond), most>>20)
	if r.Images.Added != n || r.Members.Added != n || len(r.Problems) > 0 {
		t.Errorf("the report is %+v", r)
	}
	if most > 96<<20 {
		t.Errorf("the heap had %d MiB", most>>20)
	}
	start = time.Now()
	if again := adopt(t, from, to, ""); again.Images.Unchanged != n {
		t.Errorf("the second run: %+v", again)
	}
	t.Logf("once more, when nothing has changed: %s", time.Since(start).Round(time.Millisecond))
}
