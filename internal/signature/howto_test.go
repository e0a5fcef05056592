package signature_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestHowto signs a file with the commands of the page, and verifies it.
func TestHowto(t *testing.T) {
	testservers.Require(t, "openssl")
	page, err := os.ReadFile("../../docs/howto/signed-images.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	data := []byte("an image")
	write(t, filepath.Join(dir, "image.qcow2"), data)
	var script strings.Builder
	script.WriteString("set -eu\n")
	for i, block := range strings.Split(string(page), "```") {
		if commands, isShell := strings.CutPrefix(block, "sh\n"); isShell && i%2 == 1 {
			script.WriteString(strings.ReplaceAll(commands, "/etc/vitrine/certificates/", dir+"/"))
		}
	}
	script.WriteString("echo $signature $uuid\n")
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script.String())
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, script.String())
	}
	answer := strings.Fields(string(out))
	if len(answer) != 2 {
		t.Fatalf("the commands print %q", out)
	}
	s, err := signature.Parse(map[string]string{signature.Value: answer[0], signature.CertificateID: answer[1],
		signature.HashMethod: "SHA-256", signature.KeyType: "RSA-PSS"})
	if err != nil {
		t.Fatal(err)
	}
	certificates, err := signature.OpenDirectory(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.New(signature.Config{Certificates: certificates, TrustFile: filepath.Join(dir, "certificate.pem")})
	if err != nil {
		t.Fatal(err)
	}
	cert, err := v.Certificate(t.Context(), "", s)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(sum(s, data), cert); err != nil {
		t.Error(err)
	}
}
