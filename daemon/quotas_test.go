package daemon

import (
	"testing"

	"github.com/vitrine-image/vitrine/imageservice"
)

func TestQuotas(t *testing.T) {
	cfg, err := Load(write(t, t.TempDir(), "vitrined.toml", `[quotas]
size = "10GiB"
images = 5
[quotas.projects.rich]
size = "unlimited"
staged = "1MiB"
[quotas.projects.poor]
size = "0B"
uploading = 0
images = -7
`))
	if err != nil {
		t.Fatal(err)
	}
	for project, want := range map[string]imageservice.Quota{
		"any":  {Size: 10 << 30, Staged: -1, Images: 5, Uploading: -1},
		"rich": {Size: -1, Staged: 1 << 20, Images: 5, Uploading: -1},
		"poor": {Size: 0, Staged: -1, Images: -1, Uploading: 0},
	} {
		if got, err := cfg.Quotas.quotas().Quota(t.Context(), project); got != want || err != nil {
			t.Errorf("quota of %s = %+v, %v, want %+v", project, got, err, want)
		}
	}
	if source := Default().Quotas.quotas(); source != nil {
		t.Errorf("without a configuration there are the quotas %+v", source)
	}
	if _, err := Load(write(t, t.TempDir(), "vitrined.toml", "[quotas]\nsize = \"lots\"\n")); err == nil {
		t.Error("a size that is none is taken")
	}
}
