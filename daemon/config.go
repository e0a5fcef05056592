package daemon

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/imageservice"
)

// Config is the configuration file. Every key is explained in vitrined.toml beside this file; Default has the values of
// those that are left out.
type Config struct {
	Data       string                 `toml:"data"`
	API        APIConfig              `toml:"api"`
	Metadata   MetadataConfig         `toml:"metadata"`
	Stores     map[string]StoreConfig `toml:"stores"`
	Images     ImagesConfig           `toml:"images"`
	Quotas     QuotasConfig           `toml:"quotas"`
	Import     ImportConfig           `toml:"import"`
	Outgoing   OutgoingConfig         `toml:"outgoing"`
	Signatures SignaturesConfig       `toml:"signatures"`
	Mount      MountConfig            `toml:"mount"`
	Auth       AuthConfig             `toml:"auth"`
	Policy     PolicyConfig           `toml:"policy"`
	Limits     LimitsConfig           `toml:"limits"`
	Events     EventsConfig           `toml:"events"`
	Audit      AuditConfig            `toml:"audit"`
	Metrics    MetricsConfig          `toml:"metrics"`
	Log        LogConfig              `toml:"log"`
}

// APIConfig is the section [api].
type APIConfig struct {
	Listen               []string `toml:"listen"`     // host:port or unix:/path
	ListenTLS            []string `toml:"listen_tls"` // host:port
	TLSCert              string   `toml:"tls_cert"`
	TLSKey               string   `toml:"tls_key"`
	TLSClientCA          string   `toml:"tls_client_ca"`
	TLSRequireClientCert bool     `toml:"tls_require_client_cert"`
	PublicEndpoint       string   `toml:"public_endpoint"` // base of absolute links, "" for that of the request
	AllowedHosts         []string `toml:"allowed_hosts"`   // further names under which browsers may reach an API without authentication
	CacheMaxAge          Duration `toml:"cache_max_age"`
	Sendfile             bool     `toml:"sendfile"`
	MaxConnections       int      `toml:"max_connections"`
	StallTimeout         Duration `toml:"stall_timeout"`
	DrainTimeout         Duration `toml:"drain_timeout"`
	DisableFile          string   `toml:"healthcheck_disable_file"`
	CORSOrigins          []string `toml:"cors_allowed_origins"`
	CORSCredentials      bool     `toml:"cors_allow_credentials"`
	CORSMaxAge           Duration `toml:"cors_max_age"`
	TrustedProxies       []string `toml:"trusted_proxies"`
	ShowLocations        bool     `toml:"show_multiple_locations"`
	ShowDirectURL        bool     `toml:"show_image_direct_url"`
}

// MetadataConfig is the section [metadata].
type MetadataConfig struct {
	URL         string `toml:"url"` // sqlite:///path, "" for vitrine.db in the data directory
	KeepChanges int64  `toml:"keep_changes"`
}

// StoreConfig is one of the sections [stores.ID].
type StoreConfig struct {
	Type        string      `toml:"type"`
	Description string      `toml:"description"`
	Default     bool        `toml:"default"`
	Weight      int         `toml:"weight"`
	Path        string      `toml:"path"`
	Paths       []StorePath `toml:"paths"`
	MinFree     Size        `toml:"min_free"`

	// Of stores that read from web servers.
	AllowedHosts []string `toml:"allowed_hosts"`
	Trusted      bool     `toml:"trusted"`  // they serve what they served when it was examined
	Requests     int      `toml:"requests"` // at once, 0 for 16
	Timeout      Duration `toml:"timeout"`  // of one request, 0 for a minute; of Ceph's answers, 0 for 30 seconds

	// Of stores in a pool of Ceph.
	Pool       string `toml:"pool"`
	User       string `toml:"user"`
	Conf       string `toml:"conf"`        // "" for where Ceph looks
	Keyring    string `toml:"keyring"`     // "" for what the configuration of Ceph says
	ObjectSize Size   `toml:"object_size"` // 0 for 8 MiB
	Trash      bool   `toml:"trash"`       // for images with clones
	// ClonePools are those in which clones of images may be made.
	ClonePools []string `toml:"clone_pools"`

	occupied bool // the directories of a file store hold the data of a Glance when they are used first
}

// StorePath is one of several directories of a file store.
type StorePath struct {
	Path     string `toml:"path"`
	Priority int    `toml:"priority"`
}

// ImagesConfig is the section [images].
type ImagesConfig struct {
	SizeCap          Size   `toml:"size_cap"`
	PropertyQuota    int    `toml:"property_quota"`
	TagQuota         int    `toml:"tag_quota"`
	MemberQuota      int    `toml:"member_quota"`
	HTTPRetries      int    `toml:"http_retries"` // of reading from a store on the web
	LocationQuota    int    `toml:"location_quota"`
	SecureHash       bool   `toml:"do_secure_hash"` // of data at locations
	HashingAlgorithm string `toml:"hashing_algorithm"`
	FormatsConfig
	DeleteInUse  string `toml:"delete_in_use"` // refuse or trash
	BufferMemory Size   `toml:"buffer_memory"`
	TableCache   Size   `toml:"table_cache"` // of images that are read as disks
}

// MountConfig is the section [mount].
type MountConfig struct {
	Path            string   `toml:"path"`   // "" mounts nothing
	Helper          string   `toml:"helper"` // socket of vitrine-mounter; "" mounts without
	Show            Shown    `toml:"show"`   // all, public, or a list of project ids
	TrustedProjects []string `toml:"trusted_projects"`
	Owner           string   `toml:"owner"`
	Group           string   `toml:"group"`
	AllowOther      bool     `toml:"allow_other"`
	Passthrough     bool     `toml:"passthrough"`
	ReadAhead       Size     `toml:"read_ahead"`
	CacheSize       Size     `toml:"cache_size"`     // 0 for none
	RawCacheSize    Size     `toml:"raw_cache_size"` // 0 for none
	Required        bool     `toml:"required"`
}

// LogConfig is the section [log].
type LogConfig struct {
	Level  string `toml:"level"`  // debug, info, warn or error
	Format string `toml:"format"` // auto, text or json
}

// Default returns the configuration that runs without a file.
func Default() Config {
	return Config{
		Data: "/var/lib/vitrine",
		API: APIConfig{Listen: []string{"127.0.0.1:9292"}, CacheMaxAge: Hour, Sendfile: true, MaxConnections: api.DefaultConnections,
			StallTimeout: Minute, DrainTimeout: Minute / 2, CORSMaxAge: Hour},
		Metadata: MetadataConfig{KeepChanges: 100_000},
		Images: ImagesConfig{SizeCap: 1 << 40, PropertyQuota: 128, TagQuota: 128, MemberQuota: 128, HTTPRetries: 3, LocationQuota: 10, SecureHash: true, HashingAlgorithm: "sha512",
			FormatsConfig: defaultFormats(), DeleteInUse: "refuse", BufferMemory: 48 << 20, TableCache: imageservice.DefaultTableCache},
		Quotas:   defaultQuotas(),
		Import:   defaultImport(),
		Outgoing: defaultOutgoing(),
		Mount:    MountConfig{Show: Shown{"all"}, AllowOther: true, Passthrough: true, ReadAhead: 8 << 20, CacheSize: 1 << 30, RawCacheSize: 8 << 30},
		Auth:     defaultAuth(),
		Policy:   defaultPolicy(),
		Events:   defaultEvents(),
		Audit:    defaultAudit(),
		Log:      LogConfig{Level: "info", Format: "auto"},
	}
}

// Load reads the configuration file and then every conf.d/*.toml beside it, in the order of their names; later values
// win. An unknown key is an error that names file and line.
func Load(path string) (Config, error) {
	cfg := Default()
	more, err := filepath.Glob(filepath.Join(filepath.Dir(path), "conf.d", "*.toml"))
	if err != nil {
		return cfg, err
	}
	slices.Sort(more)
	for _, file := range append([]string{path}, more...) {
		if err := cfg.read(file); err != nil {
			return cfg, err
		}
	}
	return cfg, nil
}

func (cfg *Config) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read the configuration: %w", err)
	}
	defer f.Close()
	before := cfg.Stores
	cfg.Stores = nil
	err = cfg.decode(f)
	for id, store := range before {
		if _, again := cfg.Stores[id]; again && err == nil {
			err = fmt.Errorf("[stores.%s] stands in two files; keep a store in one", id)
		}
		if cfg.Stores == nil {
			cfg.Stores = make(map[string]StoreConfig)
		}
		cfg.Stores[id] = store
	}
	return describe(path, err)
}

func (cfg *Config) decode(r io.Reader) error {
	return toml.NewDecoder(r).DisallowUnknownFields().Decode(cfg)
}

// describe adds file, line and key to what the decoder found.
func describe(path string, err error) error {
	var unknown *toml.StrictMissingError
	var wrong *toml.DecodeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &unknown):
		var all []error
		for _, e := range unknown.Errors {
			line, column := e.Position()
			all = append(all, fmt.Errorf("%s:%d:%d: unknown key %s", path, line, column, strings.Join(e.Key(), ".")))
		}
		return errors.Join(all...)
	case errors.As(err, &wrong):
		line, column := wrong.Position()
		return fmt.Errorf("%s:%d:%d: %s", path, line, column, strings.TrimPrefix(wrong.Error(), "toml: "))
	}
	return fmt.Errorf("%s: %w", path, err)
}
