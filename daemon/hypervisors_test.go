package daemon

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestLibvirtDocuments validates the XML in the pages about guests by libvirt's schemas. A disk is tried in a guest.
func TestLibvirtDocuments(t *testing.T) {
	testservers.Require(t, "libvirt")
	const guest = `<domain type="kvm"><name>x</name><memory>1</memory><os><type>hvm</type></os><devices>DISK</devices></domain>`
	seen := make(map[string]int)
	for _, page := range []string{"../docs/hypervisors.md", "../docs/howto/boot-a-guest.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```xml\n<([a-z]+).*?```").FindAllStringSubmatch(string(text), -1) {
			document := strings.TrimSuffix(strings.TrimPrefix(block[0], "```xml\n"), "```")
			schema := block[1]
			seen[schema]++
			switch schema {
			case "pool":
				schema = "storagepool"
			case "disk":
				schema, document = "domain", strings.Replace(guest, "DISK", document, 1)
			}
			check := exec.CommandContext(t.Context(), "xmllint", "--nonet", "--noout", "--relaxng", testservers.LibvirtSchemas+"/"+schema+".rng", "-")
			check.Stdin = strings.NewReader(document)
			if out, err := check.CombinedOutput(); err != nil {
				t.Errorf("%s: %v: %s\n%s", page, err, out, document)
			}
		}
	}
	if seen["pool"] < 1 || seen["domain"] < 1 || seen["disk"] < 2 {
		t.Errorf("the pages have %v, where are the others?", seen)
	}
}
