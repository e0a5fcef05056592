package daemon

import (
	"slices"
	"testing"
)

func TestChangedKeys(t *testing.T) {
	a, b := Default(), Default()
	a.Stores = map[string]StoreConfig{"old": {Type: "file"}, "same": {Path: "/a"}}
	b.Stores = map[string]StoreConfig{"same": {Path: "/b"}}
	b.Log.Level = "debug"
	b.API.Listen = []string{"127.0.0.1:1"}
	b.Images.DiskFormats = []string{"raw"}
	b.Mount.Show = Shown{"public"}
	got := changedKeys(a, b)
	want := []string{"api.listen", "images.disk_formats", "log.level", "mount.show"}
	for _, key := range []string{"stores.same.path", "stores.old.type"} {
		if !slices.Contains(got, key) {
			t.Errorf("%s is not among %v", key, got)
		}
	}
	if got = slices.DeleteFunc(got, func(k string) bool { return len(k) > 7 && k[:7] == "stores." }); !slices.Equal(got, want) {
		t.Errorf("changed are %v, want %v", got, want)
	}
	if keys := changedKeys(a, a); len(keys) > 0 {
		t.Errorf("nothing has changed but %v", keys)
	}
}

func TestWhatCanChange(t *testing.T) {
	for key, want := range map[string]bool{"log.level": true, "log.format": false, "api.drain_timeout": true, "api.listen": false,
		"limits.requests_per_second": true, "apiary.x": false, "images.size_cap": false} {
		if canChange(key) != want {
			t.Errorf("%s can change: %t", key, !want)
		}
	}
	for _, key := range fixed {
		if !slices.Contains(changedKeys(Config{API: APIConfig{Listen: []string{"a"}, ListenTLS: []string{"a"}, TLSCert: "a", TLSKey: "a", TLSClientCA: "a",
			TLSRequireClientCert: true, MaxConnections: 1}}, Config{API: APIConfig{}.keeping(APIConfig{})}), key) {
			t.Errorf("there is no key %s that a reload keeps", key)
		}
	}
}
