package glance

import (
	"strconv"
	"strings"
)

// stores translates the stores: those of enabled_backends, or what [glance_store] itself says where there is only one.
func (t *translator) stores() {
	const main = "glance_store"
	enabled := t.take("DEFAULT", "enabled_backends")
	byDefault := t.take(main, "default_backend")
	if enabled == "" {
		kind := t.take(main, "default_store")
		if kind == "" {
			kind = "file"
		}
		t.take(main, "stores")
		if byDefault = "local"; kind == "rbd" {
			byDefault = "ceph"
		}
		t.store(byDefault, kind, main)
		t.setDefault(byDefault)
		return
	}
	backends, _ := list(t, enabled)
	for _, pair := range backends.([]string) {
		id, kind, _ := strings.Cut(pair, ":")
		t.store(id, kind, id)
	}
	if _, ok := t.lookup(byDefault); ok {
		t.setDefault(byDefault)
	} else {
		t.note("[%s] default_backend: the store %q could not be translated: say default = true for another one", main, byDefault)
	}
}

func (t *translator) lookup(id string) (map[string]any, bool) {
	all, _ := t.tree["stores"].(map[string]any)
	store, ok := all[id].(map[string]any)
	return store, ok
}

func (t *translator) setDefault(id string) {
	if store, ok := t.lookup(id); ok {
		store["default"] = true
	}
}

// store translates one, whose options are in the section.
func (t *translator) store(id, kind, section string) {
	own := make(map[string]any)
	switch kind {
	case "file", "filesystem":
		own["type"] = TypeFile
		t.directories(own, section)
	case "rbd":
		own["type"] = TypeRBD
		t.ceph(own, section)
	case "http":
		own["type"] = TypeHTTP
		if ca := t.take(section, "https_ca_certificates_file"); ca != "" {
			t.set("outgoing.ca_file", ca)
		}
	default:
		t.note("store %s: the type %q has no counterpart: its images are not taken over", id, kind)
		return
	}
	if about := t.take(section, "store_description"); about != "" {
		own["description"] = about
	}
	if weight, err := strconv.Atoi(t.take(section, "weight")); err == nil {
		own["weight"] = weight
	}
	stores, _ := t.tree["stores"].(map[string]any)
	if stores == nil {
		stores = make(map[string]any)
		t.tree["stores"] = stores
	}
	stores[id] = own
}

// directories sets where files lie: one directory, or several with priorities.
func (t *translator) directories(store map[string]any, section string) {
	dir := t.take(section, "filesystem_store_datadir")
	t.take(section, "filesystem_store_datadirs")
	var paths []map[string]any
	for _, each := range t.conf.all(section, "filesystem_store_datadirs") {
		path, priority, _ := strings.Cut(each, ":")
		n, _ := strconv.Atoi(priority) // none is 0
		paths = append(paths, map[string]any{"path": path, "priority": n})
	}
	switch {
	case len(paths) > 0:
		store["paths"] = paths
	case dir != "":
		store["path"] = dir
	default:
		store["path"] = "/var/lib/glance/images"
	}
}

// ceph sets what a pool is.
func (t *translator) ceph(store map[string]any, section string) {
	store["pool"] = "images"
	for name, key := range map[string]string{"rbd_store_pool": "pool", "rbd_store_user": "user", "rbd_store_ceph_conf": "conf"} {
		if value := t.take(section, name); value != "" {
			store[key] = value
		}
	}
	if _, ok := store["user"]; !ok {
		t.note("[%s] rbd_store_user: Glance finds the user in Ceph's configuration; \"images\" is taken", section)
		store["user"] = "images"
	}
	if mib, err := strconv.Atoi(t.take(section, "rbd_store_chunk_size")); err == nil {
		store["object_size"] = strconv.Itoa(mib) + "MiB"
	}
	if timeout := t.take(section, "rados_connect_timeout"); timeout != "" && timeout != "0" && timeout != "-1" {
		store["timeout"] = timeout + "s"
	}
}
