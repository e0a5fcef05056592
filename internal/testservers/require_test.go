package testservers

import (
	"runtime"
	"strings"
	"testing"
)

// A fake stands for the test that calls Require and notes how it ended.
type fake struct {
	testing.TB
	skipped, failed string
}

func (f *fake) Helper() {}
func (f *fake) Skipf(format string, args ...any) {
	f.skipped = format
	runtime.Goexit()
}
func (f *fake) Fatalf(format string, args ...any) {
	f.failed = format
	runtime.Goexit()
}

func call(name string) *fake {
	f := &fake{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		Require(f, name)
	}()
	<-done
	return f
}

func TestRequire(t *testing.T) {
	needs["there"] = programs("sh")
	needs["missing"] = programs("no-such-program-anywhere")
	t.Cleanup(func() { delete(needs, "there"); delete(needs, "missing") })
	for _, tt := range []struct {
		env, name     string
		skips, failed bool
	}{
		{"", "there", false, false},
		{"all", "there", false, false},
		{"", "missing", true, false},
		{"there,other", "missing", true, false},
		{"other,missing", "missing", false, true},
		{"all", "missing", false, true},
		{"all,-missing", "missing", true, false},
		{"all,-there", "there", true, false},
		{"", "unheard of", false, true},
	} {
		t.Setenv("VITRINE_TEST_REQUIRE", tt.env)
		if f := call(tt.name); (f.skipped != "") != tt.skips || (f.failed != "") != tt.failed {
			t.Errorf("Require(%q) with VITRINE_TEST_REQUIRE=%q: skipped %q, failed %q", tt.name, tt.env, f.skipped, f.failed)
		}
	}
}

func TestAllDoesNotRequireWhatNoPackageGives(t *testing.T) {
	for _, name := range notInAll {
		if required(name, "all") || !required(name, "all,"+name) {
			t.Errorf("%s must be required by its name only", name)
		}
	}
}

func TestProgramSaysHowToGetIt(t *testing.T) {
	_, err := Program("no-such-program-anywhere")
	if err == nil || !strings.Contains(err.Error(), "make deps-test") {
		t.Errorf("Program = %v, want a hint", err)
	}
}
