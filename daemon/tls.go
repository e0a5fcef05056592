package daemon

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/vitrine-image/vitrine/internal/watchfile"
)

// checkTLS reports what is missing for the listeners with TLS.
func (c *APIConfig) checkTLS(fail func(string, ...any)) {
	for _, f := range []struct{ key, path string }{{"tls_cert", c.TLSCert}, {"tls_key", c.TLSKey}, {"tls_client_ca", c.TLSClientCA}} {
		absolute(fail, "api."+f.key, f.path)
		if f.path != "" && len(c.ListenTLS) == 0 {
			fail("api.%s: no address is served with TLS; name it in api.listen_tls", f.key)
		}
	}
	if len(c.ListenTLS) > 0 && (c.TLSCert == "" || c.TLSKey == "") {
		fail("api.listen_tls: TLS needs tls_cert and tls_key")
	}
	if c.TLSRequireClientCert && c.TLSClientCA == "" {
		fail("api.tls_require_client_cert: whose certificates are accepted must be said in tls_client_ca")
	}
}

// openTLS reads certificate, key and authorities, and returns what listeners need, nil without TLS. The files are read
// again when they change: connections from then on have the new certificate, and those that are open go on. Files that do
// not fit together change nothing.
func (c *APIConfig) openTLS(log *slog.Logger) (*tls.Config, error) {
	if len(c.ListenTLS) == 0 {
		return nil, nil
	}
	paths := []string{c.TLSCert, c.TLSKey}
	if c.TLSClientCA != "" {
		paths = append(paths, c.TLSClientCA)
	}
	files, err := watchfile.Open(log, c.parseTLS, paths...)
	if err != nil {
		return nil, fmt.Errorf("certificate of the API: %w", err)
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		NextProtos:         []string{"http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return files.Get(), nil },
	}, nil
}

// parseTLS makes a configuration of the contents of certificate, key and, if there are any, authorities.
func (c *APIConfig) parseTLS(contents [][]byte) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, Certificates: []tls.Certificate{pair}}
	if len(contents) == 2 {
		return config, nil
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(contents[2]) {
		return nil, &os.PathError{Op: "parse", Path: c.TLSClientCA, Err: errors.New("no certificate in PEM form")}
	}
	config.ClientAuth = tls.VerifyClientCertIfGiven
	if c.TLSRequireClientCert {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	config.SessionTicketsDisabled = true // a session begun before an authority was removed is not resumed
	return config, nil
}
