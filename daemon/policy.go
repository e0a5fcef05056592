package daemon

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/vitrine-image/vitrine/policy"
)

// PolicyConfig is the section [policy].
type PolicyConfig struct {
	File              string     `toml:"file"`
	Protections       string     `toml:"property_protections"`
	ProtectionsFormat string     `toml:"property_protections_format"`
	HTTP              HTTPChecks `toml:"http"`
}

// HTTPChecks is the section [policy.http].
type HTTPChecks struct {
	Timeout  Duration `toml:"timeout"`
	JSON     bool     `toml:"json"`
	CAFile   string   `toml:"ca_file"`
	CertFile string   `toml:"cert_file"`
	KeyFile  string   `toml:"key_file"`
}

func defaultPolicy() PolicyConfig {
	return PolicyConfig{ProtectionsFormat: string(policy.Roles), HTTP: HTTPChecks{Timeout: Duration(policy.DefaultTimeout)}}
}

func (p *PolicyConfig) check(fail func(string, ...any)) {
	for _, f := range []struct{ key, path string }{
		{"file", p.File}, {"property_protections", p.Protections}, {"http.ca_file", p.HTTP.CAFile},
		{"http.cert_file", p.HTTP.CertFile}, {"http.key_file", p.HTTP.KeyFile},
	} {
		absolute(fail, "policy."+f.key, f.path)
	}
	oneOf(fail, "policy.property_protections_format", p.ProtectionsFormat, string(policy.Roles), string(policy.Policies))
	positive(fail, "policy.http.timeout", p.HTTP.Timeout)
	if (p.HTTP.CertFile == "") != (p.HTTP.KeyFile == "") {
		fail("policy.http: cert_file and key_file belong together")
	}
}

// open reads the policy and the property protections. Close the Enforcer.
func (p *PolicyConfig) open(log *slog.Logger) (*policy.Enforcer, *policy.Protections, error) {
	enforcer, err := policy.Open(policy.Config{File: p.File, Logger: log, HTTP: policy.HTTPConfig{Timeout: time.Duration(p.HTTP.Timeout),
		JSON: p.HTTP.JSON, CAFile: p.HTTP.CAFile, CertFile: p.HTTP.CertFile, KeyFile: p.HTTP.KeyFile}})
	if err != nil {
		return nil, nil, err
	}
	protections, err := policy.OpenProtections(policy.ProtectionsConfig{File: p.Protections, Format: policy.Format(p.ProtectionsFormat),
		Enforcer: enforcer, Logger: log})
	if err != nil {
		enforcer.Close()
		return nil, nil, fmt.Errorf("property protections: %w", err)
	}
	return enforcer, protections, nil
}
