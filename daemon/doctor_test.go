package daemon

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vitrine-image/vitrine/metadata/sqlite"
)

// doctor runs the command and returns what it says, by subject.
func doctor(t *testing.T, config string) (map[string]diagnosis, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := Command()
	cmd.SetOut(&out)
	cmd.SetErr(t.Output())
	cmd.SetArgs([]string{"doctor", "--json", "--config", config})
	failed := cmd.ExecuteContext(t.Context())
	var list []diagnosis
	if err := json.Unmarshal(out.Bytes(), &list); err != nil {
		t.Fatalf("%v in %s", err, &out)
	}
	found := make(map[string]diagnosis)
	for _, d := range list {
		found[d.Subject] = d
	}
	return found, failed
}

func TestDoctor(t *testing.T) {
	dir := t.TempDir()
	config := write(t, dir, "vitrined.toml", "data = \""+dir+"\"\n")
	found, err := doctor(t, config)
	if err != nil || found["configuration"].State != isOK || found["mount"].State != isOK {
		t.Errorf("before the first start: %v, %v", found, err)
	}
	if found["database"].State != isOdd || found["store local"].State != isOdd {
		t.Errorf("without database and store: %v", found)
	}
	path := filepath.Join(dir, "vitrine.db")
	db, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if found, err := doctor(t, config); err != nil || found["database"].State != isOK {
		t.Errorf("with a database: %v, %v", found, err)
	}
	write(t, dir, "vitrine.db", strings.Repeat("this is no database", 1000))
	if found, err := doctor(t, config); err == nil || found["database"].State != isWrong {
		t.Errorf("with a broken database: %v, %v", found, err)
	}
	if found, err := doctor(t, write(t, dir, "wrong.toml", "data = \"\"\n[log]\nlevel = \"loud\"\n")); err == nil || found["configuration"].State != isWrong ||
		!strings.Contains(found["configuration"].Text, "loud") || found["kernel"].Text == "" || found["clock"].Text == "" {
		t.Errorf("with a wrong configuration: %v, %v", found, err)
	}
}
