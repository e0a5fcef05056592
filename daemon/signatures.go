package daemon

import (
	"log/slog"
	"net/http"

	"github.com/vitrine-image/vitrine/auth"
	"github.com/vitrine-image/vitrine/internal/signature"
)

// SignaturesConfig is the section [signatures].
type SignaturesConfig struct {
	Directory string `toml:"directory"` // of certificates
	Barbican  string `toml:"barbican"`  // its endpoint, instead of a directory
	TrustFile string `toml:"trust_file"`
}

// checkSignatures reports what can be told without reading files.
func (cfg *Config) checkSignatures(fail func(string, ...any)) {
	s := cfg.Signatures
	absolute(fail, "signatures.directory", s.Directory)
	absolute(fail, "signatures.trust_file", s.TrustFile)
	switch {
	case s.Directory != "" && s.Barbican != "":
		fail("[signatures]: give either directory or barbican")
	case s.Directory == "" && s.Barbican == "" && s.TrustFile != "":
		fail("signatures.trust_file: where certificates are must be said, by directory or by barbican")
	case s.Barbican == "":
		return
	case cfg.Auth.Type != auth.KindKeystone && cfg.Auth.Type != auth.KindTrusted:
		fail("signatures.barbican: it is asked with the tokens of users, which needs auth.type = %q or %q", auth.KindKeystone, auth.KindTrusted)
	}
	if _, err := signature.NewBarbican(signature.BarbicanConfig{Endpoint: s.Barbican}); err != nil {
		fail("signatures.barbican: %w", err)
	}
}

// openSignatures returns what verifies signed images. It reads the files that the configuration names.
func (cfg *Config) openSignatures(log *slog.Logger) (*signature.Verifier, error) {
	certificates, err := cfg.openCertificates(log)
	if err != nil {
		return nil, err
	}
	return signature.New(signature.Config{Certificates: certificates, TrustFile: cfg.Signatures.TrustFile, Logger: log})
}

// openCertificates returns where certificates are, nil if nowhere.
func (cfg *Config) openCertificates(log *slog.Logger) (signature.Certificates, error) {
	switch s := cfg.Signatures; {
	case s.Directory != "":
		return signature.OpenDirectory(s.Directory, log)
	case s.Barbican != "":
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.DisableKeepAlives = true // it is asked rarely, and nothing is to be closed so
		var err error
		if transport.TLSClientConfig, err = auth.TrustFile(cfg.Outgoing.CAFile, false); err != nil {
			return nil, err
		}
		return signature.NewBarbican(signature.BarbicanConfig{Endpoint: s.Barbican, Transport: transport, Logger: log})
	}
	return nil, nil
}
