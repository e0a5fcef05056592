package daemon

import (
	"github.com/vitrine-image/vitrine/imageservice"
)

// QuotasConfig is the section [quotas]: what the images of each project may take together.
type QuotasConfig struct {
	Size      SizeLimit               `toml:"size"`
	Staged    SizeLimit               `toml:"staged"`
	Images    int64                   `toml:"images"`    // below 0: any number
	Uploading int64                   `toml:"uploading"` // the same
	Projects  map[string]ProjectQuota `toml:"projects"`  // by project id
}

// ProjectQuota is one of the sections [quotas.projects.ID]. What it leaves out is as for every project.
type ProjectQuota struct {
	Size      *SizeLimit `toml:"size"`
	Staged    *SizeLimit `toml:"staged"`
	Images    *int64     `toml:"images"`
	Uploading *int64     `toml:"uploading"`
}

func defaultQuotas() QuotasConfig {
	return QuotasConfig{Size: -1, Staged: -1, Images: -1, Uploading: -1}
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
	return imageservice.Quota{Size: int64(size), Staged: int64(staged), Images: max(images, -1), Uploading: max(uploading, -1)}
}

func or[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
