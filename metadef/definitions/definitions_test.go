package definitions_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadef"
	"github.com/vitrine-image/vitrine/metadef/definitions"
)

// load returns the namespaces by their files.
func load(t *testing.T) map[string]metadef.Document {
	t.Helper()
	names, err := fs.Glob(definitions.Files, "*.json")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]metadef.Document)
	for _, name := range names {
		text, err := definitions.Files.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		value, err := wire.ReadMetadef(text)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if all[name], err = (wire.MetadefParser{}).Namespace(value); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return all
}

// schemas calls check with every property, also of objects.
func schemas(d metadef.Document, check func(name string, s metadef.Schema)) {
	for _, p := range d.Properties {
		check(p.Name, p.Schema)
	}
	for _, o := range d.Objects {
		for name, s := range o.Properties {
			check(name, s)
		}
	}
}

// TestDefinitions checks what people rely on: each file is a good namespace that all see, says what it is about, and
// explains everything.
func TestDefinitions(t *testing.T) {
	seen := make(map[string]string)
	for file, d := range load(t) {
		if err := d.Check(); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		n := d.Namespace
		if other := seen[metadef.FoldName(n.Name)]; other != "" {
			t.Errorf("%s and %s are both called %s", file, other, n.Name)
		}
		seen[metadef.FoldName(n.Name)] = file
		if n.Visibility != image.Public || !n.Protected || n.Owner != "" || n.DisplayName == nil || n.Description == nil || len(d.Associations) == 0 {
			t.Errorf("%s lacks something: %+v", file, d)
		}
		if len(d.Properties)+len(d.Objects) == 0 {
			t.Errorf("%s defines nothing", file)
		}
		schemas(d, func(name string, s metadef.Schema) { checkSchema(t, file, name, s) })
	}
}

func checkSchema(t *testing.T, file, name string, s metadef.Schema) {
	if text, _ := s["description"].(string); len(text) < 10 || !strings.HasSuffix(text, ".") {
		t.Errorf("%s: %s is not explained: %q", file, name, text)
	}
	if pattern, ok := s["pattern"].(string); ok {
		if _, err := regexp.Compile(pattern); err != nil {
			t.Errorf("%s: %s: %v", file, name, err)
		}
	}
	enum, _ := s["enum"].([]any)
	if given, ok := s["default"]; ok && enum != nil && !slices.Contains(enum, given) {
		t.Errorf("%s: the default of %s is none of its values", file, name)
	}
	for i, v := range enum {
		if slices.Contains(enum[:i], v) {
			t.Errorf("%s: %s has the value %v twice", file, name, v)
		}
	}
}

// TestFilesAreAsExported reads each file and writes it again: nothing is lost or added.
func TestFilesAreAsExported(t *testing.T) {
	for file, d := range load(t) {
		text, err := definitions.Files.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var have, want any
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(wire.Append(nil, wire.DefinitionFile(d)), &have); err != nil {
			t.Fatal(err)
		}
		a, _ := json.Marshal(have)
		b, _ := json.Marshal(want)
		if string(a) != string(b) {
			t.Errorf("%s is exported as\n%s, want\n%s", file, a, b)
		}
	}
}

// TestUsualNames looks for the properties that clouds use most, by the names that they have on images and flavors.
func TestUsualNames(t *testing.T) {
	names := make(map[string]bool)
	for _, d := range load(t) {
		for _, a := range d.Associations {
			schemas(d, func(name string, _ metadef.Schema) { names[a.ResourceType+" "+a.Prefix+name] = true })
		}
	}
	for _, want := range []string{"hw_disk_bus", "hw_vif_model", "hw_video_model", "hw_video_ram", "hw_rng_model", "hw_machine_type", "hw_qemu_guest_agent",
		"os_require_quiesce", "hw_firmware_type", "os_secure_boot", "hw_scsi_model", "hw_watchdog_action", "hw_cpu_policy", "hw_cpu_thread_policy",
		"hw_cpu_sockets", "hw_cpu_mode", "hw_mem_page_size", "hw_numa_nodes", "hw_numa_cpus.0", "hw_tpm_model", "hw_tpm_version", "hw_serial_port_count",
		"os_distro", "os_version", "os_admin_user", "os_type", "kernel_id", "ramdisk_id", "architecture", "hypervisor_type", "vm_mode", "img_config_drive",
		"img_signature", "trait:COMPUTE_SECURITY_TPM_2_0"} {
		if !names["OS::Glance::Image "+want] {
			t.Errorf("nothing says what %s of an image is", want)
		}
	}
	for _, want := range []string{"hw:cpu_policy", "hw:mem_page_size", "hw:watchdog_action", "hw:numa_nodes", "hw:tpm_model", "quota:disk_read_bytes_sec",
		"quota:cpu_shares", "quota:vif_inbound_average", "hw_rng:allowed", "capabilities:cpu_info:features", "os:secure_boot"} {
		if !names["OS::Nova::Flavor "+want] {
			t.Errorf("nothing says what %s of a flavor is", want)
		}
	}
}

// TestHowto reads the example that people write their own after.
func TestHowto(t *testing.T) {
	text, err := os.ReadFile("../../docs/howto/metadefs.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```json\n")
	example, _, found := strings.Cut(example, "```")
	if !found {
		t.Fatal("there is no example")
	}
	value, err := wire.ReadMetadef([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	d, err := (wire.MetadefParser{}).Namespace(value)
	if err == nil {
		err = d.Check()
	}
	if err != nil || len(d.Associations)*len(d.Properties)*len(d.Tags) == 0 {
		t.Errorf("the example is %+v, %v", d, err)
	}
}
