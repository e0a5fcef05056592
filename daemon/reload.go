package daemon

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

// live is what a reload of the configuration can change while the daemon runs.
type live struct {
	config atomic.Pointer[Config] // that counts now
	serve  func(Config) error     // makes the API answer as it says
}

// changeable are the keys, and sections, of which a new value counts from the reload on. Files that other keys name (policy,
// certificates, passwords) are read again by themselves when they change.
var changeable = []string{"log.level", "api", "limits"}

// fixed are those below them for which that is not so.
var fixed = []string{"api.listen", "api.listen_tls", "api.tls_cert", "api.tls_key", "api.tls_client_ca", "api.tls_require_client_cert", "api.max_connections"}

func canChange(key string) bool {
	below := func(section string) bool { return key == section || strings.HasPrefix(key, section+".") }
	return slices.ContainsFunc(changeable, below) && !slices.Contains(fixed, key)
}

// reload opens the logs again, reads the configuration again, applies what can be applied, and says what cannot.
func (d *daemon) reload() {
	d.tell(reloading())
	defer d.tell(sd.SdNotifyReady)
	d.reopenEvents()
	if d.reread == nil {
		return
	}
	cfg, err := d.reread()
	if err == nil {
		err = cfg.finish()
	}
	if err != nil {
		d.log.Error("the configuration is wrong, going on with what it was", "error", err)
		return
	}
	have := d.live.config.Load()
	var applied, restart []string
	for _, key := range changedKeys(*have, cfg) {
		if canChange(key) {
			applied = append(applied, key)
		} else {
			restart = append(restart, key)
		}
	}
	if len(applied) > 0 {
		next := *have
		next.Log.Level, next.API, next.Limits = cfg.Log.Level, cfg.API.keeping(have.API), cfg.Limits
		if err := d.live.serve(next); err != nil {
			d.log.Error("the configuration cannot be applied, going on with what it was", "error", err)
			return
		}
		d.level.Set(next.Log.level())
		d.live.config.Store(&next)
	}
	d.log.Info("configuration read again", "applied", applied)
	if len(restart) > 0 {
		d.log.Warn("parts of the configuration that have changed count from the next start on", "keys", restart)
	}
}

// keeping returns c with what a running daemon cannot change as it was.
func (c APIConfig) keeping(was APIConfig) APIConfig {
	c.Listen, c.ListenTLS, c.MaxConnections = was.Listen, was.ListenTLS, was.MaxConnections
	c.TLSCert, c.TLSKey, c.TLSClientCA, c.TLSRequireClientCert = was.TLSCert, was.TLSKey, was.TLSClientCA, was.TLSRequireClientCert
	return c
}

// changedKeys returns the keys with which two configurations differ, in order.
func changedKeys(a, b Config) []string {
	was, is := make(map[string]any), make(map[string]any)
	flatten(was, "", reflect.ValueOf(a))
	flatten(is, "", reflect.ValueOf(b))
	var keys []string
	for key, value := range is {
		if before, there := was[key]; !there || !reflect.DeepEqual(before, value) {
			keys = append(keys, key)
		}
	}
	for key := range was {
		if _, there := is[key]; !there {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// flatten collects the values below v by their keys, as the file has them.
func flatten(into map[string]any, key string, v reflect.Value) {
	join := func(name string) string { return strings.TrimPrefix(key+"."+name, ".") }
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			field := v.Type().Field(i)
			if !field.IsExported() { // no key
				continue
			}
			name := key
			if !field.Anonymous {
				name = join(field.Tag.Get("toml"))
			}
			flatten(into, name, v.Field(i))
		}
	case reflect.Map:
		for _, k := range v.MapKeys() {
			flatten(into, join(fmt.Sprint(k)), v.MapIndex(k))
		}
	default:
		into[key] = v.Interface()
	}
}
