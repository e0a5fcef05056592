package daemon

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/blockcache"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/internal/hashes"
)

// finish fills in what depends on the data directory, and reports everything that is wrong at once.
func (cfg *Config) finish() error {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }

	data, err := filepath.Abs(cfg.Data)
	if err != nil || cfg.Data == "" {
		fail("data: %q is no directory", cfg.Data)
	}
	cfg.Data = data
	if cfg.Metadata.URL == "" {
		cfg.Metadata.URL = "sqlite://" + filepath.Join(cfg.Data, "vitrine.db")
	}
	if _, err := cfg.Metadata.sqlitePath(); err != nil {
		fail("metadata.url: %w", err)
	}
	// Further down 0 stands for the default of these, which is not what it says here.
	for key, quota := range map[string]int{"property_quota": cfg.Images.PropertyQuota, "tag_quota": cfg.Images.TagQuota, "member_quota": cfg.Images.MemberQuota,
		"location_quota": cfg.Images.LocationQuota} {
		if quota < -1 {
			fail("images.%s: %d is no number of them; -1 is any number", key, quota)
		}
	}
	if cfg.Images.HTTPRetries < 0 {
		fail("images.http_retries: %d is no number of them", cfg.Images.HTTPRetries)
	}
	positive(fail, "metadata.keep_changes", cfg.Metadata.KeepChanges)
	positive(fail, "api.stall_timeout", cfg.API.StallTimeout)
	positive(fail, "api.max_connections", cfg.API.MaxConnections)
	positive(fail, "images.buffer_memory", cfg.Images.BufferMemory)
	positive(fail, "images.table_cache", cfg.Images.TableCache)
	if len(cfg.Stores) == 0 {
		cfg.Stores = map[string]StoreConfig{"local": {Type: "file", Path: filepath.Join(cfg.Data, "images"), Default: true}}
	}
	if cfg.Import.Staging == "" {
		cfg.Import.Staging = filepath.Join(cfg.Data, "staging")
	}
	if err := cfg.checkImport(); err != nil {
		fail("%w", err)
	}
	if err := cfg.checkStores(); err != nil {
		fail("%w", err)
	}
	if err := cfg.checkListeners(); err != nil {
		fail("%w", err)
	}
	if err := hashes.Check(cfg.Images.HashingAlgorithm); err != nil {
		fail("images.hashing_algorithm: %w", err)
	}
	cfg.Images.FormatsConfig.check(fail)
	oneOf(fail, "images.delete_in_use", cfg.Images.DeleteInUse, "refuse", "trash")
	oneOf(fail, "log.level", cfg.Log.Level, "debug", "info", "warn", "error")
	oneOf(fail, "log.format", cfg.Log.Format, "auto", "text", "json")
	if err := cfg.checkAuth(); err != nil {
		fail("%w", err)
	}
	cfg.API.checkTLS(fail)
	cfg.Policy.check(fail)
	cfg.checkSignatures(fail)
	cfg.checkClients(fail)
	cfg.checkQuotas(fail)
	cfg.checkEvents(fail)
	cfg.checkMetrics(fail)
	if err := cfg.checkMount(); err != nil {
		fail("%w", err)
	}
	if e := cfg.API.PublicEndpoint; e != "" {
		if u, err := url.Parse(e); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			fail("api.public_endpoint: %q is no http or https address", e)
		}
	}
	return errors.Join(wrong...)
}

func checkStaging(fail func(string, ...any), cfg *Config) {
	if !filepath.IsAbs(cfg.Import.Staging) {
		fail("import.staging: %q is no absolute path", cfg.Import.Staging)
	}
	if m := cfg.Mount.Path; m != "" && (holds(m, cfg.Import.Staging) || holds(cfg.Import.Staging, m)) {
		fail("import.staging: %s and mount.path %s must not lie in each other", cfg.Import.Staging, m)
	}
}

func oneOf(fail func(string, ...any), key, value string, allowed ...string) {
	if !slices.Contains(allowed, value) {
		fail("%s: %q is none of %s", key, value, strings.Join(allowed, ", "))
	}
}

func positive[N ~int | ~int64](fail func(string, ...any), key string, value N) {
	if value <= 0 {
		fail("%s: must be more than 0", key)
	}
}

func (cfg *Config) checkMount() error {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	m := &cfg.Mount
	alone := func(word string) bool { return len(m.Show) > 1 && slices.Contains(m.Show, word) }
	if len(m.Show) == 0 || alone("all") || alone("public") {
		fail("mount.show: say \"all\", \"public\" or a list of projects")
	}
	if m.ReadAhead < 4<<10 {
		fail("mount.read_ahead: at least 4KiB is needed, one page")
	}
	if m.CacheSize != 0 && m.CacheSize < blockcache.MinSize {
		fail("mount.cache_size: at least 1MiB is needed, or 0B for no cache")
	}
	if m.Helper != "" && !filepath.IsAbs(m.Helper) {
		fail("mount.helper: %q is no absolute path", m.Helper)
	}
	if _, err := m.ownerID(); err != nil {
		fail("%w", err)
	}
	if _, err := m.groupID(); err != nil {
		fail("%w", err)
	}
	if m.Path == "" {
		return errors.Join(wrong...)
	}
	var err error
	if m.Path, err = filepath.Abs(m.Path); err != nil {
		fail("mount.path: %w", err)
	}
	if holds(m.Path, cfg.Data) {
		fail("mount.path: %s would hide the data directory %s", m.Path, cfg.Data)
	}
	for id, s := range cfg.Stores {
		for _, d := range s.directories() {
			if holds(m.Path, d.Path) || holds(d.Path, m.Path) {
				fail("mount.path: %s and the directory %s of store %s must not lie in each other", m.Path, d.Path, id)
			}
		}
	}
	return errors.Join(wrong...)
}

// holds tells whether path is dir or lies below it.
func holds(dir, path string) bool {
	rel, err := filepath.Rel(dir, path)
	return err == nil && filepath.IsLocal(rel)
}

var storeID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

func (cfg *Config) checkStores() error {
	var wrong []error
	defaults := 0
	type place struct{ store, path string }
	places := []place{{imagestore.Staging, cfg.Import.Staging}}
	for id, s := range cfg.Stores {
		if !storeID.MatchString(id) || imagestore.Reserved(id) {
			wrong = append(wrong, fmt.Errorf("[stores.%s]: a store's id is letters, digits, - and _, and does not begin with os_glance_", id))
		}
		if s.Type == "" {
			s.Type = storeFile
			cfg.Stores[id] = s
		}
		if s.Type != storeRBD && s.inCeph() {
			wrong = append(wrong, fmt.Errorf("stores.%s: pool, user, conf, keyring, object_size, trash and clone_pools are for stores of the type %s", id, storeRBD))
		}
		switch s.Type {
		case storeFile:
			wrong = append(wrong, s.checkFile(id))
		case storeHTTP:
			wrong = append(wrong, cfg.checkHTTP(id, s))
		case storeRBD:
			wrong = append(wrong, s.checkRBD(id), cfg.checkClonePools(id, s))
		default:
			wrong = append(wrong, fmt.Errorf("stores.%s.type: %q is none of %s, %s, %s", id, s.Type, storeFile, storeHTTP, storeRBD))
		}
		for _, p := range s.directories() {
			if !filepath.IsAbs(p.Path) {
				wrong = append(wrong, fmt.Errorf("stores.%s: %q is no absolute path", id, p.Path))
			}
			for _, other := range places {
				if holds(other.path, p.Path) || holds(p.Path, other.path) {
					wrong = append(wrong, fmt.Errorf("stores.%s: %s and %s of store %s must not lie in each other", id, p.Path, other.path, other.store))
				}
			}
			places = append(places, place{id, p.Path})
		}
		if s.Default {
			defaults++
		}
	}
	writable := slices.DeleteFunc(slices.Collect(maps.Keys(cfg.Stores)), func(id string) bool { return cfg.Stores[id].Type == storeHTTP })
	if len(writable) == 1 && defaults == 0 {
		s := cfg.Stores[writable[0]]
		s.Default = true
		cfg.Stores[writable[0]] = s
	} else if defaults != 1 {
		wrong = append(wrong, fmt.Errorf("[stores]: exactly one store must say default = true, %d do", defaults))
	}
	return errors.Join(wrong...)
}

func (s StoreConfig) checkFile(id string) error {
	var wrong []error
	if (s.Path == "") == (len(s.Paths) == 0) {
		wrong = append(wrong, fmt.Errorf("stores.%s: give either path or paths", id))
	}
	if len(s.AllowedHosts) > 0 || s.Trusted || s.Requests != 0 || s.Timeout != 0 {
		wrong = append(wrong, fmt.Errorf("stores.%s: allowed_hosts, trusted, requests and timeout are for stores of the type %s", id, storeHTTP))
	}
	return errors.Join(wrong...)
}

// inCeph tells whether a key is set that only a store in a pool of Ceph has.
func (s StoreConfig) inCeph() bool {
	return s.Pool != "" || s.User != "" || s.Conf != "" || s.Keyring != "" || s.ObjectSize != 0 || s.Trash || len(s.ClonePools) > 0
}

func (s StoreConfig) checkRBD(id string) error {
	var wrong []error
	if s.Pool == "" || s.User == "" {
		wrong = append(wrong, fmt.Errorf("stores.%s: a store of the type %s needs a pool and a user", id, storeRBD))
	}
	if len(s.directories()) > 0 || s.MinFree != 0 || len(s.AllowedHosts) > 0 || s.Trusted || s.Requests != 0 {
		wrong = append(wrong, fmt.Errorf("stores.%s: a store of the type %s has no path, paths, min_free, allowed_hosts, trusted or requests", id, storeRBD))
	}
	for _, path := range []string{s.Conf, s.Keyring} {
		if path != "" && !filepath.IsAbs(path) {
			wrong = append(wrong, fmt.Errorf("stores.%s: %q is no absolute path", id, path))
		}
	}
	return errors.Join(wrong...)
}

// checkClonePools refuses pools that a store takes for its own: it would take clones there for images, or for what was left of some.
func (cfg *Config) checkClonePools(id string, s StoreConfig) error {
	for other, o := range cfg.Stores {
		if o.Type == storeRBD && o.Conf == s.Conf && slices.Contains(s.ClonePools, o.Pool) {
			return fmt.Errorf("stores.%s.clone_pools: %q is the pool of store %s: make clones in another one", id, o.Pool, other)
		}
	}
	if slices.Contains(s.ClonePools, "") {
		return fmt.Errorf("stores.%s.clone_pools: a pool has a name", id)
	}
	return nil
}

func (cfg *Config) checkHTTP(id string, s StoreConfig) error {
	var wrong []error
	if len(s.directories()) > 0 || s.MinFree != 0 {
		wrong = append(wrong, fmt.Errorf("stores.%s: a store of the type %s has no directory", id, storeHTTP))
	}
	if s.Default {
		wrong = append(wrong, fmt.Errorf("stores.%s: a store of the type %s takes no data, it cannot be the default", id, storeHTTP))
	}
	if s.Requests < 0 {
		wrong = append(wrong, fmt.Errorf("stores.%s.requests: %d is no number of them", id, s.Requests))
	}
	filter := cfg.outgoing(s)
	if _, err := filter.policy(); err != nil {
		wrong = append(wrong, fmt.Errorf("stores.%s: %w", id, err))
	}
	return errors.Join(wrong...)
}

// checkListeners refuses addresses that cannot be listened on, or that the kind of authentication makes dangerous.
func (cfg *Config) checkListeners() error {
	var wrong []error
	if len(cfg.API.Listen)+len(cfg.API.ListenTLS) == 0 {
		wrong = append(wrong, errors.New("api.listen: name at least one address"))
	}
	for _, addr := range cfg.API.Listen {
		if err := cfg.checkListener(addr, false); err != nil {
			wrong = append(wrong, fmt.Errorf("api.listen: %w", err))
		}
	}
	for _, addr := range cfg.API.ListenTLS {
		if err := cfg.checkListener(addr, cfg.API.TLSClientCA != ""); err != nil {
			wrong = append(wrong, fmt.Errorf("api.listen_tls: %w", err))
		}
		if strings.HasPrefix(addr, "unix:") {
			wrong = append(wrong, fmt.Errorf("api.listen_tls: %s: a unix socket needs no TLS; name it in api.listen", addr))
		}
	}
	return errors.Join(wrong...)
}

// checkListener refuses to serve a network that anybody may be on without authentication, unless told to, and one where
// everybody could name himself.
func (cfg *Config) checkListener(addr string, clientCertificates bool) error {
	host, err := checkAddress(addr)
	if err != nil {
		return err
	}
	switch cfg.Auth.Type {
	case auth.KindNone:
		if !isLoopback(host) && !cfg.Auth.OpenToNetwork {
			return fmt.Errorf("%s can be reached from the network, and without authentication everybody there "+
				"would be an admin; set auth.type, listen on 127.0.0.1, or say auth.open_to_network = true if that is what you want", addr)
		}
	case auth.KindTrusted:
		return auth.CheckTrustedListener(addr, clientCertificates)
	}
	return nil
}

// checkAddress returns the host of an address that can be listened on, "localhost" for a unix socket.
func checkAddress(addr string) (host string, err error) {
	if path, ok := strings.CutPrefix(addr, "unix:"); ok {
		if !filepath.IsAbs(path) || len(path) > 107 {
			return "", fmt.Errorf("%q: a socket is an absolute path of at most 107 bytes", addr)
		}
		return "localhost", nil
	}
	host, port, err := net.SplitHostPort(addr)
	if _, noPort := net.LookupPort("tcp", port); err != nil || noPort != nil {
		return "", fmt.Errorf("%q is neither host:port nor unix:/path", addr)
	}
	return host, nil
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// sqlitePath returns the file that the URL names.
func (m MetadataConfig) sqlitePath() (string, error) {
	path, ok := strings.CutPrefix(m.URL, "sqlite://")
	if !ok || !filepath.IsAbs(path) {
		return "", fmt.Errorf("%q is not of the form sqlite:///absolute/path", m.URL)
	}
	return path, nil
}

func (s StoreConfig) directories() []StorePath {
	if s.Path != "" {
		return []StorePath{{Path: s.Path}}
	}
	return s.Paths
}
