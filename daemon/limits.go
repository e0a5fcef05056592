package daemon

import (
	"time"

	"github.com/vitrine-image/vitrine/api"
	"github.com/vitrine-image/vitrine/auth"
)

// LimitsConfig is the section [limits], of what each project may use; 0 is no limit.
type LimitsConfig struct {
	Requests int  `toml:"requests_per_second"`
	Burst    int  `toml:"request_burst"`
	Download Size `toml:"download_rate"` // each second
	Upload   Size `toml:"upload_rate"`
}

func (l LimitsConfig) rates() api.Rates {
	return api.Rates{Requests: l.Requests, Burst: l.Burst, Download: int64(l.Download), Upload: int64(l.Upload)}
}

func (c APIConfig) cors() api.CORS {
	return api.CORS{Origins: c.CORSOrigins, Credentials: c.CORSCredentials, MaxAge: time.Duration(c.CORSMaxAge)}
}

// checkClients reports what is wrong with what is said about clients.
func (cfg *Config) checkClients(fail func(string, ...any)) {
	if err := cfg.API.cors().Check(); err != nil {
		fail("api.cors_allowed_origins: %w", err)
	}
	if len(cfg.API.CORSOrigins) > 0 && cfg.Auth.Type == auth.KindNone {
		fail("api.cors_allowed_origins: while authentication is off, pages of other sites are refused; set auth.type")
	}
	if _, err := api.ParseProxies(cfg.API.TrustedProxies); err != nil {
		fail("api.trusted_proxies: %w", err)
	}
	if err := cfg.Limits.rates().Check(); err != nil {
		fail("limits: %w", err)
	}
}
