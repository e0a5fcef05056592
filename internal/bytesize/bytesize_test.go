package bytesize

import "testing"

func TestSizesKeepTheirText(t *testing.T) {
	for text, want := range map[string]int64{"0B": 0, "1B": 1, "512MiB": 512 << 20, "1TiB": 1 << 40, "1000B": 1000, "3KiB": 3 << 10} {
		got, err := Parse(text)
		if err != nil || got != want || Format(got) != text {
			t.Errorf("Parse(%s) = %d, %v, which is written as %s", text, got, err, Format(got))
		}
	}
	for text, want := range map[string]int64{"4096": 4096, "10GB": 10e9, "2 kB": 2000} {
		if got, err := Parse(text); err != nil || got != want {
			t.Errorf("Parse(%s) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "MiB", "-1B", "1.5GiB", "99999999PiB", "1 furlong"} {
		if _, err := Parse(text); err == nil {
			t.Errorf("%q was taken for a size", text)
		}
	}
}
