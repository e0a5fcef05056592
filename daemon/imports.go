package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
	"github.com/vitrine-image/vitrine/importer"
	"github.com/vitrine-image/vitrine/internal/outbound"
	"github.com/vitrine-image/vitrine/internal/qemuimg"
)

// ImportConfig is the section [import].
type ImportConfig struct {
	Methods  []string `toml:"methods"`
	Staging  string   `toml:"staging"` // directory, "" for staging in the data directory
	Workers  int      `toml:"workers"`
	KeepTask Duration `toml:"keep_tasks"`

	Plugins         []string          `toml:"plugins"` // of importer.Plugins, in their order
	MaxRatio        int64             `toml:"max_ratio"`
	OutputFormat    string            `toml:"output_format"`
	StoreFormats    map[string]string `toml:"store_formats"` // in place of it, by the ids of stores
	ConvertMemory   Size              `toml:"convert_memory"`
	ConvertTimeout  Duration          `toml:"convert_timeout"`
	ConvertSpace    Size              `toml:"convert_space"`
	ConvertAtOnce   int               `toml:"convert_at_once"`
	QemuImgUser     string            `toml:"qemu_img_user"` // "" for nobody
	DiskSums        Size              `toml:"disk_sums"`     // the longest disk that is summed, 0 for none
	Inject          map[string]string `toml:"inject"`
	IgnoreUserRoles []string          `toml:"ignore_user_roles"`
}

// OutgoingConfig is the section [outgoing].
type OutgoingConfig struct {
	AllowedSchemes    []string `toml:"allowed_schemes"`
	DisallowedSchemes []string `toml:"disallowed_schemes"`
	AllowedHosts      []string `toml:"allowed_hosts"`
	DisallowedHosts   []string `toml:"disallowed_hosts"`
	AllowedPorts      []int    `toml:"allowed_ports"`
	DisallowedPorts   []int    `toml:"disallowed_ports"`
	AllowNetworks     []string `toml:"allow_networks"`
	DenyNetworks      []string `toml:"deny_networks"`
	CAFile            string   `toml:"ca_file"`
	Proxy             string   `toml:"proxy"`
	StallTimeout      Duration `toml:"stall_timeout"`
	TotalTimeout      Duration `toml:"total_timeout"`
}

func defaultImport() ImportConfig {
	return ImportConfig{Methods: importMethods(), Workers: 4, KeepTask: 48 * Hour, MaxRatio: 2000, OutputFormat: "raw",
		ConvertMemory: 1 << 30, ConvertTimeout: Hour, ConvertSpace: 64 << 30, ConvertAtOnce: 2, DiskSums: 32 << 30, IgnoreUserRoles: []string{"admin"}}
}

func defaultOutgoing() OutgoingConfig {
	return OutgoingConfig{AllowedSchemes: []string{"http", "https"}, AllowedPorts: []int{80, 443}, StallTimeout: Minute, TotalTimeout: 24 * Hour}
}

// importMethods are those that need nothing else.
func importMethods() []string {
	return []string{image.ImportStaged, image.ImportURL, image.ImportCopy}
}

// policy checks the lists and returns what they say.
func (c *OutgoingConfig) policy() (*outbound.Policy, error) {
	return outbound.NewPolicy(outbound.PolicyConfig{AllowedSchemes: c.AllowedSchemes, DisallowedSchemes: c.DisallowedSchemes,
		AllowedHosts: c.AllowedHosts, DisallowedHosts: c.DisallowedHosts, AllowedPorts: c.AllowedPorts, DisallowedPorts: c.DisallowedPorts,
		AllowNetworks: c.AllowNetworks, DenyNetworks: c.DenyNetworks})
}

func (c *OutgoingConfig) open(log *slog.Logger) (*outbound.Client, error) {
	policy, err := c.policy()
	if err != nil {
		return nil, err
	}
	return outbound.New(outbound.Config{Policy: policy, CAFile: c.CAFile, Proxy: c.Proxy, StallTimeout: time.Duration(c.StallTimeout),
		TotalTimeout: time.Duration(c.TotalTimeout), Logger: log})
}

// checkImport reports what is wrong with both sections.
func (cfg *Config) checkImport() error {
	var wrong []error
	fail := func(format string, args ...any) { wrong = append(wrong, fmt.Errorf(format, args...)) }
	for _, method := range cfg.Import.Methods {
		oneOf(fail, "import.methods", method, image.ImportMethods()...)
	}
	if slices.Contains(cfg.Import.Methods, image.ImportDownload) && cfg.Auth.Type != auth.KindKeystone {
		fail("import.methods: %s needs auth.type = %q, whose catalog knows the other regions", image.ImportDownload, auth.KindKeystone)
	}
	positive(fail, "import.workers", cfg.Import.Workers)
	positive(fail, "import.keep_tasks", cfg.Import.KeepTask)
	positive(fail, "import.max_ratio", cfg.Import.MaxRatio)
	positive(fail, "import.convert_memory", cfg.Import.ConvertMemory)
	positive(fail, "import.convert_timeout", cfg.Import.ConvertTimeout)
	positive(fail, "import.convert_space", cfg.Import.ConvertSpace)
	positive(fail, "import.convert_at_once", cfg.Import.ConvertAtOnce)
	for _, name := range cfg.Import.Plugins {
		oneOf(fail, "import.plugins", name, importer.Plugins()...)
	}
	targets := append(imageservice.Targets(), anyFormat)
	oneOf(fail, "import.output_format", cfg.Import.OutputFormat, targets...)
	for _, store := range slices.Sorted(maps.Keys(cfg.Import.StoreFormats)) {
		oneOf(fail, "import.store_formats."+store, cfg.Import.StoreFormats[store], targets...)
		if _, known := cfg.Stores[store]; !known {
			fail("import.store_formats: there is no store %q", store)
		}
	}
	for name := range cfg.Import.Inject {
		if image.IsBookkeeping(name) {
			fail("import.inject: %q is the server's own", name)
		}
	}
	checkStaging(fail, cfg)
	positive(fail, "outgoing.stall_timeout", cfg.Outgoing.StallTimeout)
	positive(fail, "outgoing.total_timeout", cfg.Outgoing.TotalTimeout)
	if _, err := cfg.Outgoing.policy(); err != nil {
		fail("[outgoing]: %w", err)
	}
	return errors.Join(wrong...)
}

// anyFormat is said of disks that stay as they are.
const anyFormat = "any"

// formats returns to what disks are converted, nil if they are not.
func (c *ImportConfig) formats() image.StoreFormats {
	if !slices.Contains(c.Plugins, importer.Conversion) {
		return nil
	}
	formats := image.StoreFormats{"": c.OutputFormat}
	maps.Copy(formats, c.StoreFormats)
	for store, format := range formats {
		if format == anyFormat {
			formats[store] = ""
		}
	}
	return formats
}

// openImports returns what the service needs to know of imports. Its client is closed with the daemon.
func (d *daemon) openImports() (imageservice.ImportConfig, error) {
	client, err := d.cfg.Outgoing.open(d.log)
	if err != nil {
		return imageservice.ImportConfig{}, err
	}
	d.outgoing = client
	d.onClose(func() error { client.Close(); return nil })
	return imageservice.ImportConfig{Methods: d.cfg.Import.Methods, CheckURL: client.Check, FindRegion: d.findRegion,
		Formats: d.cfg.Import.formats(), KeepTasks: time.Duration(d.cfg.Import.KeepTask)}, nil
}

// findRegion asks the catalog of the caller's token for the Image API of another region.
func (d *daemon) findRegion(ctx context.Context, caller image.Caller, region, iface string) (string, error) {
	keystone, ok := d.auth.(*auth.Keystone)
	if !ok {
		return "", image.Errorf(image.ErrInvalid, "There is no catalog that knows other regions.")
	}
	return keystone.ImageEndpoint(ctx, caller.Token, region, iface)
}

// A region downloads from the Image API of another region, whose address is the catalog's: the filter of what users ask for does
// not apply.
type region struct{ caFile string }

// Download implements importer.Remote.
func (r region) Download(ctx context.Context, endpoint string, token image.Secret, id image.ID) (*image.Image, io.ReadCloser, int64, error) {
	trusted, err := auth.TrustFile(r.caFile, false)
	if err != nil {
		return nil, nil, 0, err
	}
	c, err := client.New(client.Config{Endpoint: endpoint, Token: string(token), TLS: trusted})
	if err != nil {
		return nil, nil, 0, err
	}
	down, err := c.Download(ctx, id, client.DownloadOptions{})
	if err != nil {
		c.Close()
		return nil, nil, 0, readable(err)
	}
	return down.Image, &download{down, c}, down.Size(), nil
}

// readable gives an answer of the other region, or its silence, a text for who asked for the import.
func readable(err error) error {
	if errors.Is(err, client.ErrUnreachable) {
		return fmt.Errorf("%w (%w)", image.Errorf(image.ErrConflict, "The other region cannot be reached."), err)
	}
	if answer, ok := errors.AsType[*client.Error](err); ok && answer.Unwrap() != nil {
		return fmt.Errorf("%w (%w)", image.Errorf(image.ErrConflict, "The other region answered %d: %s", answer.Status, answer.Text), err)
	}
	return err
}

// A download closes its client with it.
type download struct {
	*client.Download
	client *client.Client
}

func (d *download) Close() error {
	err := d.Download.Close()
	d.client.Close()
	return err
}

// openConverter returns what writes disks in other formats, for imports and downloads. What an import needs must be there.
func (d *daemon) openConverter() (*qemuimg.Converter, error) {
	c := d.cfg.Import
	dir := filepath.Join(d.cfg.Data, "import")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	converter, err := qemuimg.New(qemuimg.Config{Dir: dir, Scratch: int64(c.ConvertSpace), AtOnce: int64(c.ConvertAtOnce), Memory: int64(c.ConvertMemory),
		Timeout: time.Duration(c.ConvertTimeout), User: c.QemuImgUser, Logger: d.log})
	if err != nil {
		return nil, err
	}
	for _, format := range c.formats() {
		if slices.Contains(qemuimg.Formats(), format) {
			if err := converter.Check(format); err != nil {
				return nil, fmt.Errorf("import.output_format: %w", err)
			}
		}
	}
	return converter, nil
}

// importer carries out what the service accepts.
func (d *daemon) importer() (*importer.Importer, error) {
	c := d.cfg.Import
	plugins := importer.PluginConfig{Enabled: c.Plugins, MaxRatio: c.MaxRatio, Formats: c.formats(), Inject: c.Inject,
		IgnoreRoles: c.IgnoreUserRoles, Rules: d.cfg.Images.rules()}
	return importer.New(importer.Config{Images: d.service, Outgoing: d.outgoing, Remote: region{d.cfg.Outgoing.CAFile}, Workers: c.Workers, Plugins: plugins, DiskSums: int64(c.DiskSums),
		MaxSize: int64(d.cfg.Images.SizeCap), Retries: d.cfg.Images.HTTPRetries, Logger: d.log})
}
