package glance

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/vitrine-image/vitrine/internal/bytesize"
)

// A Translation is a configuration of Glance in our words.
type Translation struct {
	TOML  string   // a configuration file
	Notes []string // what has no counterpart, or another meaning: a line each
}

// Translate returns what a configuration of Glance is here. It says nothing of options that are not set, but for those whose
// defaults differ.
func Translate(c *Conf) (*Translation, error) {
	t := &translator{conf: c, tree: make(map[string]any)}
	t.listen()
	t.stores()
	t.keystone()
	known := make(map[option]bool)
	for o, to := range direct {
		if known[o] = true; c.options[o] != "" {
			t.apply(o, to)
		}
	}
	for _, o := range c.names() {
		if known[o] || t.seen[o] {
			continue
		}
		why, ok := elsewhere[o]
		if !ok {
			why = "has no counterpart"
		}
		t.note("%s: %s", o, why)
	}
	text, err := toml.Marshal(t.tree)
	return &Translation{TOML: string(text), Notes: t.notes}, err
}

type translator struct {
	conf  *Conf
	tree  map[string]any
	seen  map[option]bool // those that were looked at by name
	notes []string
}

func (t *translator) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// take returns an option and remembers that it was looked at.
func (t *translator) take(section, name string) string {
	if t.seen == nil {
		t.seen = make(map[option]bool)
	}
	t.seen[option{section, name}] = true
	return t.conf.get(section, name)
}

// set sets a key such as "api.listen".
func (t *translator) set(key string, value any) {
	table := t.tree
	parts := strings.Split(key, ".")
	for _, part := range parts[:len(parts)-1] {
		next, ok := table[part].(map[string]any)
		if !ok {
			next = make(map[string]any)
			table[part] = next
		}
		table = next
	}
	table[parts[len(parts)-1]] = value
}

// A counterpart is our key for an option, and how its value is written there.
type counterpart struct {
	key   string
	value func(t *translator, text string) (any, error)
}

func (t *translator) apply(o option, to counterpart) {
	value, err := to.value(t, t.conf.get(o.section, o.name))
	if err != nil {
		t.note("%s: %v; it is left out", o, err)
		return
	}
	t.set(to.key, value)
}

// direct are the options that have a counterpart of their own.
var direct = map[option]counterpart{
	{"DEFAULT", "public_endpoint"}:                      {"api.public_endpoint", text},
	{"DEFAULT", "show_multiple_locations"}:              {"api.show_multiple_locations", boolean},
	{"DEFAULT", "show_image_direct_url"}:                {"api.show_image_direct_url", boolean},
	{"healthcheck", "disable_by_file_path"}:             {"api.healthcheck_disable_file", text},
	{"cors", "allowed_origin"}:                          {"api.cors_allowed_origins", list},
	{"cors", "allow_credentials"}:                       {"api.cors_allow_credentials", boolean},
	{"cors", "max_age"}:                                 {"api.cors_max_age", seconds},
	{"DEFAULT", "image_size_cap"}:                       {"images.size_cap", size},
	{"DEFAULT", "image_property_quota"}:                 {"images.property_quota", quota},
	{"DEFAULT", "image_tag_quota"}:                      {"images.tag_quota", quota},
	{"DEFAULT", "image_member_quota"}:                   {"images.member_quota", quota},
	{"DEFAULT", "image_location_quota"}:                 {"images.location_quota", quota},
	{"DEFAULT", "http_retries"}:                         {"images.http_retries", integer},
	{"DEFAULT", "do_secure_hash"}:                       {"images.do_secure_hash", boolean},
	{"DEFAULT", "hashing_algorithm"}:                    {"images.hashing_algorithm", text},
	{"image_format", "disk_formats"}:                    {"images.disk_formats", list},
	{"image_format", "container_formats"}:               {"images.container_formats", list},
	{"image_format", "require_image_format_match"}:      {"images.require_format_match", boolean},
	{"image_format", "vmdk_allowed_types"}:              {"images.vmdk_allowed_types", list},
	{"image_format", "gpt_safety_checks_nonfatal"}:      {"images.gpt_safety_checks_nonfatal", list},
	{"DEFAULT", "user_storage_quota"}:                   {"quotas.size", storageQuota},
	{"DEFAULT", "use_keystone_limits"}:                  {"quotas.keystone.enabled", boolean},
	{"DEFAULT", "enabled_import_methods"}:               {"import.methods", list},
	{"task", "task_time_to_live"}:                       {"import.keep_tasks", hours},
	{"taskflow_executor", "max_workers"}:                {"import.workers", integer},
	{"image_import_opts", "image_import_plugins"}:       {"import.plugins", list},
	{"image_conversion", "output_format"}:               {"import.output_format", text},
	{"inject_metadata_properties", "inject"}:            {"import.inject", pairs},
	{"inject_metadata_properties", "ignore_user_roles"}: {"import.ignore_user_roles", list},
	{"import_filtering_opts", "allowed_schemes"}:        {"outgoing.allowed_schemes", list},
	{"import_filtering_opts", "disallowed_schemes"}:     {"outgoing.disallowed_schemes", list},
	{"import_filtering_opts", "allowed_hosts"}:          {"outgoing.allowed_hosts", list},
	{"import_filtering_opts", "disallowed_hosts"}:       {"outgoing.disallowed_hosts", list},
	{"import_filtering_opts", "allowed_ports"}:          {"outgoing.allowed_ports", integers},
	{"import_filtering_opts", "disallowed_ports"}:       {"outgoing.disallowed_ports", integers},
	{"barbican", "barbican_endpoint"}:                   {"signatures.barbican", text},
	{"DEFAULT", "allow_anonymous_access"}:               {"auth.anonymous", boolean},
	{"oslo_policy", "policy_file"}:                      {"policy.file", file},
	{"oslo_policy", "remote_ssl_ca_crt_file"}:           {"policy.http.ca_file", file},
	{"oslo_policy", "remote_ssl_client_crt_file"}:       {"policy.http.cert_file", file},
	{"oslo_policy", "remote_ssl_client_key_file"}:       {"policy.http.key_file", file},
	{"oslo_policy", "remote_timeout"}:                   {"policy.http.timeout", seconds},
	{"DEFAULT", "property_protection_file"}:             {"policy.property_protections", file},
	{"DEFAULT", "property_protection_rule_format"}:      {"policy.property_protections_format", text},
	{"DEFAULT", "default_publisher_id"}:                 {"events.publisher_id", text},
	{"DEFAULT", "disabled_notifications"}:               {"events.disabled", list},
}

// elsewhere says of options why they are not in the configuration.
var elsewhere = map[option]string{
	{"database", "connection"}:                              "the database stays Glance's; take it over with `vitrined admin adopt-glance`",
	{"DEFAULT", "metadata_encryption_key"}:                  "locations are decrypted when they are taken over: give this file to `vitrined admin adopt-glance --glance-config`",
	{"DEFAULT", "node_staging_uri"}:                         "data waits for its import in the data directory; see import.staging",
	{"os_glance_staging_store", "filesystem_store_datadir"}: "data waits for its import in the data directory; see import.staging",
	{"os_glance_tasks_store", "filesystem_store_datadir"}:   "not needed: tasks need no files of their own",
	{"task", "work_dir"}:                                    "conversions use import/ in the data directory",
	{"DEFAULT", "workers"}:                                  "not needed: one process uses all processors",
	{"DEFAULT", "delayed_delete"}:                           "has no counterpart: data goes when nobody reads it any more; see images.delete_in_use",
	{"DEFAULT", "log_file"}:                                 "the log goes to standard error, for systemd to keep",
	{"DEFAULT", "log_dir"}:                                  "the log goes to standard error, for systemd to keep",
	{"DEFAULT", "use_syslog"}:                               "the log goes to standard error, for systemd to keep",
	{"DEFAULT", "transport_url"}:                            "there is no message bus: see [events] for files and webhooks",
	{"DEFAULT", "image_cache_dir"}:                          "see mount.cache_size for the cache of the mount",
	{"DEFAULT", "image_cache_max_size"}:                     "see mount.cache_size for the cache of the mount",
	{"oslo_messaging_notifications", "driver"}:              "there is no message bus: see [events] for files and webhooks",
	{"oslo_messaging_notifications", "transport_url"}:       "there is no message bus: see [events] for files and webhooks",
	{"oslo_middleware", "enable_proxy_headers_parsing"}:     "name the proxies that are to be believed in api.trusted_proxies",
	{"oslo_limit", "endpoint_id"}:                           "limits are found by the type of the service; see quotas.keystone.service",
	{"oslo_concurrency", "lock_path"}:                       "not needed",
	{"paste_deploy", "config_file"}:                         "not needed: there is no pipeline to configure",
	{"keystone_authtoken", "memcached_servers"}:             "not needed: validated tokens are remembered in the process",
	{"keystone_authtoken", "region_name"}:                   "not needed: Keystone is asked at its URL",
}

func text(_ *translator, s string) (any, error) { return s, nil }

func boolean(_ *translator, s string) (any, error) {
	switch strings.ToLower(s) {
	case "true", "1", "yes", "on", "t", "y":
		return true, nil
	case "false", "0", "no", "off", "f", "n":
		return false, nil
	}
	return nil, fmt.Errorf("%q is neither true nor false", s)
}

func integer(_ *translator, s string) (any, error) { return strconv.ParseInt(s, 10, 64) }

// quota is a number of things, below 0 any.
func quota(_ *translator, s string) (any, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	return max(n, -1), err
}

// list reads a list with commas, which Glance puts in brackets at times.
func list(_ *translator, s string) (any, error) {
	all := []string{}
	for item := range strings.SplitSeq(strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(s), "["), "]"), ",") {
		if item = strings.Trim(strings.TrimSpace(item), `'"`); item != "" {
			all = append(all, item)
		}
	}
	return all, nil
}

func integers(t *translator, s string) (any, error) {
	items, _ := list(t, s)
	all := []int{}
	for _, item := range items.([]string) {
		n, err := strconv.Atoi(item)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}

func pairs(t *translator, s string) (any, error) {
	items, _ := list(t, s)
	all := make(map[string]string)
	for _, item := range items.([]string) {
		name, value, ok := strings.Cut(item, ":")
		if !ok {
			return nil, fmt.Errorf("%q is no name:value", item)
		}
		all[strings.Trim(name, `'" `)] = strings.Trim(value, `'" `)
	}
	return all, nil
}

func seconds(_ *translator, s string) (any, error) { return duration(s, "s") }
func hours(_ *translator, s string) (any, error)   { return duration(s, "h") }

func duration(s, unit string) (any, error) {
	n, err := strconv.ParseFloat(s, 64)
	return strconv.FormatFloat(n, 'f', -1, 64) + unit, err
}

func size(_ *translator, s string) (any, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	return bytesize.Format(n), err
}

// storageQuota reads a size whose units are powers of 1024, 0 for no limit.
func storageQuota(_ *translator, s string) (any, error) {
	for i, unit := range []string{"B", "KB", "MB", "GB", "TB"} {
		number := strings.TrimSuffix(s, unit)
		n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 64)
		if err != nil {
			continue
		}
		if n == 0 {
			return "unlimited", nil
		}
		return bytesize.Format(n << (10 * i)), nil
	}
	return nil, fmt.Errorf("%q is no size", s)
}

// file is a path, which Glance looks for beside its configuration.
func file(t *translator, s string) (any, error) {
	if filepath.IsAbs(s) {
		return s, nil
	}
	return filepath.Abs(filepath.Join(t.conf.dir, s))
}

// listen says where the API listens, and who callers are.
func (t *translator) listen() {
	flavor := t.take("paste_deploy", "flavor")
	keystone := strings.HasPrefix(flavor, "keystone")
	host, port := t.take("DEFAULT", "bind_host"), t.take("DEFAULT", "bind_port")
	if host == "" {
		host = "0.0.0.0"
	}
	if port == "" {
		port = "9292"
	}
	switch {
	case keystone:
		t.set("auth.type", "keystone")
	case flavor != "" && flavor != "caching" && flavor != "cachemanagement":
		t.note("[paste_deploy] flavor: %q has no counterpart; authentication is off", flavor)
		fallthrough
	default:
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			t.note("[paste_deploy] flavor: authentication is off, so that the API listens on 127.0.0.1 only; see auth.type and auth.open_to_network")
			host = "127.0.0.1"
		}
	}
	address := net.JoinHostPort(host, port)
	cert, key := t.take("DEFAULT", "cert_file"), t.take("DEFAULT", "key_file")
	if cert == "" {
		t.set("api.listen", []string{address})
	} else {
		t.set("api.listen", []string{})
		t.set("api.listen_tls", []string{address})
		t.set("api.tls_cert", cert)
		t.set("api.tls_key", key)
	}
	if debug, _ := boolean(t, t.take("DEFAULT", "debug")); debug == true {
		t.set("log.level", "debug")
	}
}

// keystone says how tokens are validated.
func (t *translator) keystone() {
	const section = "keystone_authtoken"
	used := strings.HasPrefix(t.conf.get("paste_deploy", "flavor"), "keystone")
	for name, to := range map[string]counterpart{
		"auth_url": {"url", authURL}, "username": {"username", text}, "password": {"password", text}, "project_name": {"project", text},
		"user_domain_name": {"user_domain", text}, "project_domain_name": {"project_domain", text},
		"user_domain_id": {"user_domain", domainID}, "project_domain_id": {"project_domain", domainID},
		"application_credential_id": {"application_credential_id", text}, "application_credential_secret": {"application_credential_secret", text},
		"www_authenticate_uri": {"public_url", authURL}, "cafile": {"ca_file", file}, "insecure": {"insecure", boolean},
		"http_connect_timeout": {"timeout", seconds}, "token_cache_time": {"cache_time", tokenCache}, "service_token_roles": {"service_roles", list},
	} {
		if t.take(section, name) != "" && used {
			to.key = "auth.keystone." + to.key
			t.apply(option{section, name}, to)
		}
	}
	if kind := t.take(section, "auth_type"); used && kind != "" && kind != "password" && kind != "v3password" && kind != "v3applicationcredential" {
		t.note("[%s] auth_type: %q has no counterpart; give a user or an application credential in [auth.keystone]", section, kind)
	}
}

// authURL is Keystone's, with the version that Glance finds by itself.
func authURL(_ *translator, s string) (any, error) {
	s = strings.TrimSuffix(s, "/")
	if !strings.HasSuffix(s, "/v3") {
		s += "/v3"
	}
	return s, nil
}

func domainID(_ *translator, s string) (any, error) {
	if s == "default" {
		return "Default", nil
	}
	return nil, fmt.Errorf("the domain with the id %s has to be named", s)
}

// tokenCache is a time in seconds, below 0 for none.
func tokenCache(t *translator, s string) (any, error) {
	if strings.HasPrefix(s, "-") {
		s = "0"
	}
	return seconds(t, s)
}
