package events

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/requestid"
)

func openAudit(t *testing.T, cfg AuditConfig) *Audit {
	t.Helper()
	if cfg.File.Path == "" {
		cfg.File.Path = filepath.Join(t.TempDir(), "audit.jsonl")
	}
	a, err := OpenAudit(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

// auditing runs the audit log until the returned func is called, which waits for its end.
func auditing(t *testing.T, a *Audit) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

var ann = image.Caller{UserID: "u1", ProjectID: "p1", Roles: []string{"member", "reader"}, Token: "gAAAA"}

func TestRecords(t *testing.T) {
	a := openAudit(t, AuditConfig{})
	ctx := WithOrigin(requestid.With(t.Context(), "req-1"), Origin{netip.MustParseAddr("::ffff:192.0.2.7"), "keystone"})
	const id = "1b4e28ba-2fa1-11d2-883f-0016d3cca427"
	before, after := picture("before"), picture("after https://u:hunter2@h/")
	after.Visibility, after.Owner, after.Protected, after.Tags = image.Private, "", true, nil
	after.Properties["os_type"], after.Properties["a\nb"] = "hunter2", "hunter2"
	delete(after.Properties, "mirror")
	after.Locations[0].URL = "file:///x"
	for _, act := range []Act{
		{Action: Create, Kind: ImageObject, ID: id},
		{Action: Change, Kind: ImageObject, ID: id, Changes: Changes(before, after)},
		{Action: Share, Kind: ImageObject, ID: id, Member: "p2"},
		{Action: Download, Kind: ImageObject, ID: id, Bytes: 1024},
		{Action: Delete, Kind: ImageObject, ID: id, Err: image.Errorf(image.ErrForbidden, "You may not do it")},
		{Action: Upload, Kind: ImageObject, ID: id, Err: fmt.Errorf("dial 10.0.0.1: %w", image.ErrStoreOffline)},
		{Action: Delete, Kind: TaskObject, ID: "t", Err: errors.New("sql: /var/lib")},
	} {
		act.Caller, act.At = ann, at
		a.Record(ctx, act)
	}
	a.Record(t.Context(), Act{At: at, Caller: image.Caller{Anonymous: true}, Action: Show, Kind: CacheObject, Err: image.ErrUnauthorized})
	a.Record(t.Context(), Act{At: at, Caller: image.Caller{UserID: "n", ProjectID: "p", DomainID: "d", ServiceRoles: []string{"service"}}, Action: Create, Kind: NamespaceObject, ID: "OS::CPU\n{}"})
	lines := readAll(t, a.file.cfg.Path)
	if s := a.Stats(); len(lines) != 9 || s.Written != 9 || s.Missed != 0 {
		t.Errorf("%d lines, %+v", len(lines), s)
	}
	all := strings.Join(lines, "\n") + "\n"
	for _, secret := range []string{"hunter2", "gAAAA", "10.0.0.1", "/var/lib", "file://"} {
		if strings.Contains(all, secret) {
			t.Errorf("%q is told", secret)
		}
	}
	golden(t, "audit.jsonl", []byte(all))
}

func TestChanges(t *testing.T) {
	if list := Changes(picture("x"), picture("x")); list != nil {
		t.Errorf("the same image has the changes %v", list)
	}
	if n := reflect.TypeFor[image.Image]().NumField(); n != 22 {
		t.Errorf("an image has %d fields: is Changes to tell of the new one?", n)
	}
	fields := map[string]func(*image.Image){
		"name": func(i *image.Image) { i.Name = nil }, "owner": func(i *image.Image) { i.Owner = "x" },
		"visibility": func(i *image.Image) { i.Visibility = image.Community }, "protected": func(i *image.Image) { i.Protected = true },
		"status": func(i *image.Image) { i.Status = image.Deactivated }, "os_hidden": func(i *image.Image) { i.Hidden = true },
		"disk_format": func(i *image.Image) { i.DiskFormat = "raw" }, "container_format": func(i *image.Image) { i.ContainerFormat = "ova" },
		"min_disk": func(i *image.Image) { i.MinDisk = 9 }, "min_ram": func(i *image.Image) { i.MinRAM = 9 },
		"tags": func(i *image.Image) { i.Tags = nil }, "locations": func(i *image.Image) { i.Locations = nil },
		"os_type": func(i *image.Image) { delete(i.Properties, "os_type") }, "empty": func(i *image.Image) { i.Properties["empty"] = "" },
	}
	for field, edit := range fields {
		img := picture("x")
		edit(img)
		if list := Changes(picture("x"), img); len(list) != 1 || list[0].Field != field {
			t.Errorf("%s: %v", field, list)
		}
	}
	if list := Changes(&image.Image{}, &image.Image{Properties: map[string]string{"a": "b"}}); len(list) != 1 {
		t.Errorf("a first property: %v", list)
	}
}

func TestNoRecordIsLostSilently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		a := openAudit(t, AuditConfig{File: FileConfig{Path: path}, Strict: true, Logger: log.logger()})
		lax := &Audit{file: a.file, log: a.log}
		record := func(id string) { a.Record(t.Context(), Act{Caller: ann, Action: Delete, Kind: ImageObject, ID: id}) }
		record("one")
		if err := errors.Join(a.Err(), a.Check()); err != nil {
			t.Fatal(err)
		}
		repair := readOnly(t, a.file)
		record("two")
		record("three")
		lax.Record(t.Context(), Act{Action: Delete, Kind: ImageObject, ID: "lax"})
		for _, id := range []string{"two", "three", "lax"} {
			if !strings.Contains(log.String(), `\"id\":\"`+id+`\"`) {
				t.Errorf("the record of %s is nowhere: %s", id, &log)
			}
		}
		time.Sleep(2 * time.Second)
		if err := a.Check(); !errors.Is(err, image.ErrUnavailable) || a.Err() == nil {
			t.Errorf("Check = %v, Err = %v", err, a.Err())
		}
		if err := lax.Check(); err != nil || lax.Err() == nil {
			t.Errorf("without Strict: Check = %v, Err = %v", err, lax.Err())
		}
		repair()
		if a.Check() == nil {
			t.Error("it is looked at again within a second")
		}
		time.Sleep(time.Second)
		if err := a.Check(); err != nil {
			t.Errorf("after the repair: %v", err)
		}
		record("four")
		lines := readAll(t, path)
		if len(lines) != 3 || !strings.Contains(lines[1], `"action":"resume","object":"audit_log","missed":2}`) {
			t.Errorf("the log holds %q", lines)
		}
		if s := a.Stats(); s.Written != 2 || s.Missed != 2 || !strings.Contains(log.String(), "can be written again") {
			t.Errorf("%+v: %s", s, &log)
		}
	})
}

func TestAnUnsafeAuditLogIsNoSecret(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		a := openAudit(t, AuditConfig{File: FileConfig{Path: filepath.Join(dir, "log")}, Strict: true, Logger: log.logger()})
		stop := auditing(t, a)
		if err := os.Rename(dir, dir+".away"); err != nil {
			t.Fatal(err)
		}
		for range 5 {
			time.Sleep(2 * time.Second)
			a.Record(t.Context(), Act{Action: Delete, Kind: ImageObject, ID: "still in the moved file"})
		}
		if n := strings.Count(log.String(), "may lose records"); n != 1 || a.Check() == nil || a.Stats().Missed != 0 {
			t.Errorf("Check = %v, %+v, logged %d times: %s", a.Check(), a.Stats(), n, &log)
		}
		if err := os.Rename(dir+".away", dir); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		if err := a.Check(); err != nil || !strings.Contains(log.String(), "is safe again") {
			t.Errorf("Check = %v: %s", err, &log)
		}
		stop()
	})
}

func TestTheAuditLogRecoversByItself(t *testing.T) {
	path := filepath.Join(t.TempDir(), "audit")
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		a := openAudit(t, AuditConfig{File: FileConfig{Path: path}, Logger: log.logger()})
		stop := auditing(t, a)
		repair := readOnly(t, a.file)
		a.Record(t.Context(), Act{Action: Delete, Kind: ImageObject, ID: "lost"})
		time.Sleep(5 * time.Second)
		repair()
		time.Sleep(2 * time.Second)
		if lines := readAll(t, path); len(lines) != 1 || !strings.Contains(lines[0], `"missed":1}`) {
			t.Errorf("the log holds %q", lines)
		}
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		a.Record(t.Context(), Act{Action: Delete, Kind: ImageObject, ID: "two"})
		if lines := readAll(t, path); len(lines) != 1 {
			t.Errorf("the new log holds %q", lines)
		}
		if err := errors.Join(os.Rename(path, path+".2"), a.Reopen()); err != nil {
			t.Fatal(err)
		}
		if lines := readAll(t, path); len(lines) != 0 {
			t.Errorf("the third log holds %q", lines)
		}
		stop()
	})
}

func TestManyRecordTheirActs(t *testing.T) {
	a := openAudit(t, AuditConfig{File: FileConfig{Path: filepath.Join(t.TempDir(), "audit"), MaxSize: 10 << 10, Keep: 100}})
	stop := auditing(t, a)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 100 {
				a.Record(t.Context(), Act{Caller: ann, Action: Create, Kind: ImageObject, ID: fmt.Sprint(w, i)})
				if err := a.Check(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	stop()
	seen := make(map[any]bool)
	files, _ := filepath.Glob(a.file.cfg.Path + "*")
	for _, file := range files {
		for _, line := range readAll(t, file) {
			seen[decode(t, line)["id"]] = true
		}
	}
	if len(seen) != 400 || len(files) < 2 {
		t.Errorf("%d records in %d files", len(seen), len(files))
	}
}

func TestRecordsOnAFullDiskAreInTheDaemonsLog(t *testing.T) {
	dir := smallDisk(t)
	var log logBuffer
	a := openAudit(t, AuditConfig{File: FileConfig{Path: filepath.Join(dir, "audit")}, Strict: true, Logger: log.logger()})
	for i := range 400 {
		a.Record(t.Context(), Act{Caller: ann, Action: Create, Kind: ImageObject, ID: fmt.Sprintf("image-%d.", i)})
	}
	written := text(t, a.file.cfg.Path)
	written = written[:strings.LastIndex(written, "\n")+1]
	for i := range 400 {
		id := fmt.Sprintf("image-%d.", i)
		if strings.Contains(written, id) == strings.Contains(log.String(), id) {
			t.Errorf("%s is in both logs or in none", id)
		}
	}
	if s := a.Stats(); s.Missed == 0 || s.Written == 0 || s.Missed+s.Written != 400 || a.Check() == nil {
		t.Errorf("%+v, Check = %v", s, a.Check())
	}
}

func TestAnAuditLogThatCannotBeOpened(t *testing.T) {
	if _, err := OpenAudit(AuditConfig{File: FileConfig{Path: t.TempDir()}}); err == nil || !strings.Contains(err.Error(), "audit log") {
		t.Errorf("OpenAudit = %v", err)
	}
	a := openAudit(t, AuditConfig{})
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	a.Record(t.Context(), Act{})
	if !errors.Is(a.Err(), os.ErrClosed) {
		t.Errorf("Err after Close = %v", a.Err())
	}
}
