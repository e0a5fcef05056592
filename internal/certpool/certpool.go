// Package certpool reads files of authorities whose certificates are trusted.
package certpool

import (
	"crypto/x509"
	"fmt"
	"os"
)

// Read returns the authorities in a PEM file. A file without any is an error: nobody would be trusted.
func Read(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return pool, nil
}
