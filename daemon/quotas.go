package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imageservice"
)

// QuotasConfig is the section [quotas]: what the images of each project may take together.
type QuotasConfig struct {
	Size      SizeLimit               `toml:"size"`
	Staged    SizeLimit               `toml:"staged"`
	Images    int64                   `toml:"images"`    // below 0: any number
	Uploading int64                   `toml:"uploading"` // the same
	Projects  map[string]ProjectQuota `toml:"projects"`  // by project id
	Keystone  KeystoneLimits          `toml:"keystone"`
}

// KeystoneLimits is the section [quotas.keystone]: limits that Keystone knows, in place of all others.
type KeystoneLimits struct {
	Enabled   bool     `toml:"enabled"`
	Service   string   `toml:"service"`
	Region    string   `toml:"region"`
	CacheTime Duration `toml:"cache_time"`
}

// ProjectQuota is one of the sections [quotas.projects.ID]. What it leaves out is as for every project.
type ProjectQuota struct {
	Size      *SizeLimit `toml:"size"`
	Staged    *SizeLimit `toml:"staged"`
	Images    *int64     `toml:"images"`
	Uploading *int64     `toml:"uploading"`
}

func defaultQuotas() QuotasConfig {
	return QuotasConfig{Size: -1, Staged: -1, Images: -1, Uploading: -1, Keystone: KeystoneLimits{Service: "image", CacheTime: Minute}}
}

// checkQuotas reports what cannot be meant.
func (cfg *Config) checkQuotas(fail func(string, ...any)) {
	k := cfg.Quotas.Keystone
	if !k.Enabled {
		return
	}
	if cfg.Auth.Type != auth.KindKeystone {
		fail("quotas.keystone.enabled: limits of Keystone need auth.type = %q", auth.KindKeystone)
	}
	if cfg.Quotas.quotas() != nil {
		fail("quotas.keystone.enabled: Keystone has the limits; leave the others in [quotas] out")
	}
	if k.Service == "" {
		fail("quotas.keystone.service: name the service whose limits count, by its id, name or type")
	}
	positive(fail, "quotas.keystone.cache_time", k.CacheTime)
}

// openQuotas returns the limits of projects, nil when there are none.
func (cfg *Config) openQuotas(log *slog.Logger) (imageservice.QuotaSource, error) {
	k := cfg.Quotas.Keystone
	if !k.Enabled {
		return cfg.Quotas.quotas(), nil
	}
	server, err := cfg.Auth.Keystone.server(log)
	if err != nil {
		return nil, err
	}
	limits, err := auth.NewLimits(server, auth.LimitsConfig{Service: k.Service, Region: k.Region, CacheTime: time.Duration(k.CacheTime),
		Resources: imageservice.Resources()})
	if err != nil {
		return nil, fmt.Errorf("quotas.keystone: %w", err)
	}
	return keystoneQuotas{limits}, nil
}

// keystoneQuotas are the limits of Keystone, in its units.
type keystoneQuotas struct{ *auth.Limits }

// Quota implements imageservice.QuotaSource. What has no limit in Keystone may not be used at all, as with every service of
// a cloud.
func (k keystoneQuotas) Quota(ctx context.Context, project string) (imageservice.Quota, error) {
	limits, err := k.Of(ctx, project)
	if err != nil {
		return imageservice.Quota{}, err
	}
	mebibytes := func(resource string) int64 {
		n := limits[resource]
		if n > math.MaxInt64>>20 {
			return -1
		}
		return n << 20
	}
	return quotaOf(SizeLimit(mebibytes(image.QuotaSize)), SizeLimit(mebibytes(image.QuotaStaged)), limits[image.QuotaImages],
		limits[image.QuotaUploading]), nil
}

// A SizeLimit is a Size, or "unlimited", which is -1.
type SizeLimit int64

const unlimited = "unlimited"

// UnmarshalText reads a limit.
func (l *SizeLimit) UnmarshalText(text []byte) error {
	if string(text) == unlimited {
		*l = -1
		return nil
	}
	var size Size
	err := size.UnmarshalText(text)
	*l = SizeLimit(size)
	return err
}

// MarshalText writes the limit as it is read.
func (l SizeLimit) MarshalText() ([]byte, error) {
	if l < 0 {
		return []byte(unlimited), nil
	}
	return Size(l).MarshalText()
}

// quotas returns the limits as the service takes them, nil when there are none.
func (c QuotasConfig) quotas() imageservice.QuotaSource {
	q := imageservice.Quotas{Default: quotaOf(c.Size, c.Staged, c.Images, c.Uploading), Projects: make(map[string]imageservice.Quota)}
	for id, own := range c.Projects {
		q.Projects[id] = quotaOf(or(own.Size, c.Size), or(own.Staged, c.Staged), or(own.Images, c.Images), or(own.Uploading, c.Uploading))
	}
	if q.Default == imageservice.NoQuota && len(q.Projects) == 0 {
		return nil
	}
	return q
}

func quotaOf(size, staged SizeLimit, images, uploading int64) imageservice.Quota {
	return imageservice.Quota{Size: max(int64(size), -1), Staged: max(int64(staged), -1), Images: max(images, -1), Uploading: max(uploading, -1)}
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
