package events

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/testservers"
)

// TestHowto lets the recipe of the page verify webhooks.
func TestHowto(t *testing.T) {
	testservers.Require(t, "python3")
	page, err := os.ReadFile("../docs/howto/events.md")
	if err != nil {
		t.Fatal(err)
	}
	_, recipe, _ := strings.Cut(string(page), "```python\n")
	recipe, _, found := strings.Cut(recipe, "```")
	if !found {
		t.Fatal("the page has no recipe")
	}
	now := time.Now().Unix()
	for _, tt := range []struct {
		what   string
		sent   int64
		secret image.Secret
		want   string
	}{
		{"good", now, secret, "True"},
		{"another secret", now, secret + "x", "False"},
		{"too old", now - 400, secret, "False"},
	} {
		body := `{"name":"ä \n"}`
		timestamp := strconv.FormatInt(tt.sent, 10)
		headers, err := json.Marshal(map[string]string{HeaderTimestamp: timestamp, HeaderSignature: sign(tt.secret, timestamp, []byte(body))})
		if err != nil {
			t.Fatal(err)
		}
		script := fmt.Sprintf("%s\nimport json, sys\nprint(verify(json.loads(sys.argv[1]), sys.argv[2].encode(), b%q))", recipe, string(secret))
		out, err := exec.CommandContext(t.Context(), "/usr/bin/python3", "-c", script, string(headers), body).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != tt.want {
			t.Errorf("%s: %s, %v, want %s", tt.what, got, err, tt.want)
		}
	}
	for _, d := range []string{HeaderID, HeaderTimestamp, HeaderSignature} {
		if !strings.Contains(string(page), "| `"+d+"` |") {
			t.Errorf("the page does not explain %s", d)
		}
	}
}
