package glance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func translate(t *testing.T, text string) *Translation {
	t.Helper()
	path := filepath.Join(t.TempDir(), "glance-api.conf")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := ReadConf(path)
	if err != nil {
		t.Fatal(err)
	}
	made, err := Translate(c)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestTranslate(t *testing.T) {
	made := translate(t, `
# a comment
[DEFAULT]
state_path = /var/lib/glance
enabled_backends = fast:file, big:rbd,
  web:http, far:swift
image_size_cap = 1073741824
user_storage_quota = 10GB
enabled_import_methods = [glance-direct,web-download]
show_multiple_locations = True
workers = 8
image_cache_max_size = 5
frobnicate = 1
[glance_store]
default_backend = big
[fast]
filesystem_store_datadirs = ${state_path}/one:200
filesystem_store_datadirs = /srv/two
weight = 7
[big]
rbd_store_pool = vm-images
rbd_store_user = glance
rbd_store_chunk_size = 4
[paste_deploy]
flavor = keystone+caching
[keystone_authtoken]
auth_url = http://keystone:5000
username = glance
password = "a b$$c"
project_name = service
user_domain_id = default
auth_type = password
token_cache_time = 300
[inject_metadata_properties]
inject = a:b, "c":d
[import_filtering_opts]
allowed_ports = [80, 8080]
[task]
task_time_to_live = 12
[oslo_policy]
policy_file = /etc/glance/policy.yaml
`)
	for _, want := range []string{`listen = ['0.0.0.0:9292']`, `path = '/var/lib/glance/one'`, `priority = 200`, `path = '/srv/two'`, `weight = 7`, `pool = 'vm-images'`,
		`user = 'glance'`, `object_size = '4MiB'`, `size_cap = '1GiB'`, `size = '10GiB'`, `methods = ['glance-direct', 'web-download']`, `show_multiple_locations = true`,
		`type = 'keystone'`, `url = 'http://keystone:5000/v3'`, `password = 'a b$c'`, `user_domain = 'Default'`, `cache_time = '300s'`, `c = 'd'`, `allowed_ports = [80, 8080]`,
		`keep_tasks = '12h'`, `file = '/etc/glance/policy.yaml'`, `default = true`} {
		if !strings.Contains(made.TOML, want) {
			t.Errorf("%s is not in\n%s", want, made.TOML)
		}
	}
	for _, want := range []string{`store far: the type "swift" has no counterpart`, "[DEFAULT] frobnicate: has no counterpart", "[DEFAULT] workers: not needed", "mount.cache_size",
		"[DEFAULT] state_path: has no counterpart"} {
		if !slices.ContainsFunc(made.Notes, func(note string) bool { return strings.Contains(note, want) }) {
			t.Errorf("%q is not among the notes %q", want, made.Notes)
		}
	}
	if len(made.Notes) != 5 {
		t.Errorf("the notes are %q", made.Notes)
	}
}

// Without authentication nobody gets an API that the network can reach.
func TestTranslateWithoutAuthentication(t *testing.T) {
	made := translate(t, "[DEFAULT]\nuse_keystone_limits = maybe\n[glance_store]\nfilesystem_store_datadir = /srv/images\n[keystone_authtoken]\nauth_url = http://k\n")
	for _, want := range []string{"listen = ['127.0.0.1:9292']", "[stores.local]", "path = '/srv/images'", "default = true"} {
		if !strings.Contains(made.TOML, want) {
			t.Errorf("%s is not in\n%s", want, made.TOML)
		}
	}
	if strings.Contains(made.TOML, "keystone") || len(made.Notes) != 2 || !strings.Contains(made.Notes[1], `"maybe" is neither true nor false`) {
		t.Errorf("it is\n%s\nwith the notes %q", made.TOML, made.Notes)
	}
}

func TestReadConfRefuses(t *testing.T) {
	for _, text := range []string{"word\n", "  continues nothing\n"} {
		path := filepath.Join(t.TempDir(), "glance-api.conf")
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := ReadConf(path); err == nil || !strings.Contains(err.Error(), path+":1:") {
			t.Errorf("ReadConf of %q: %v", text, err)
		}
	}
}

func TestDatabaseURLs(t *testing.T) {
	for url, want := range map[string]string{
		"mysql+pymysql://glance:p%40ss@db:3307/glance?charset=utf8":    "glance:p@ss@tcp(db:3307)/glance",
		"mysql://glance:x@[::1]/glance":                                "glance:x@tcp([::1]:3306)/glance",
		"mysql+pymysql://glance:x@/glance?unix_socket=/run/mysql.sock": "glance:x@unix(/run/mysql.sock)/glance",
	} {
		cfg, err := mysqlConfig(url)
		if err != nil || !strings.HasPrefix(cfg.FormatDSN(), want) {
			t.Errorf("mysqlConfig(%s) = %s, %v, want %s", url, cfg.FormatDSN(), err, want)
		}
	}
	for _, url := range []string{"postgresql://u:secret@h/glance", "mysql://u:secret@h/glance?read_default_file=/etc/my.cnf", "mysql://u:sec%ret@h/glance", "sqlite:////nowhere/glance.db"} {
		if _, err := OpenSource(t.Context(), url); err == nil || strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "sec%ret") {
			t.Errorf("OpenSource(%s): %v", url, err)
		}
	}
}
