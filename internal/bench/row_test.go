package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// sequence is a contestant that gives these values in turn and notes when it ran.
func sequence(name string, order *[]string, values ...float64) contestant {
	return contestant{name, func(context.Context) (measured, error) {
		*order = append(*order, name)
		v := values[0]
		values = values[1:]
		return measured{value: v, cpu: time.Duration(v) * time.Second}, nil
	}}
}

func TestMeasureRotatesAndComparesByRound(t *testing.T) {
	var order []string
	r := row{name: "speed", unit: "MiB/s", contestants: []contestant{sequence("ours", &order, 10, 40, 90), sequence("theirs", &order, 10, 20, 30)}}
	o, err := measure(t.Context(), r, 3)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"ours", "theirs", "theirs", "ours", "ours", "theirs"}; !slices.Equal(order, want) {
		t.Errorf("order = %q, want %q", order, want)
	}
	if got := o.ratios(target{of: "ours", to: "theirs"}); !slices.Equal(got, []float64{1, 2, 3}) {
		t.Errorf("ratios = %v, want 1, 2, 3", got)
	}
	for _, tt := range []struct {
		target
		met bool
	}{
		{target{of: "ours", to: "theirs", ratio: 2}, true},
		{target{of: "ours", to: "theirs", ratio: 2.1}, false},
		{target{of: "ours", to: "theirs", ratio: 1.9, atMost: true}, false},
		{target{of: "ours", figure: 20, ratio: 2}, true},
		{target{of: "ours", to: "theirs", ratio: 2, atMost: true, cpu: true}, true},
	} {
		if got := o.met(tt.target); got != tt.met {
			t.Errorf("met(%+v) = %t, want %t", tt.target, got, tt.met)
		}
	}
}

func TestMeasureTakesTheMedianOfPasses(t *testing.T) {
	var order []string
	r := row{name: "speed", unit: "MiB/s", passes: 3, before: func(context.Context) error { order = append(order, "before"); return nil },
		contestants: []contestant{sequence("ours", &order, 10, 90, 30, 1, 1, 1), sequence("theirs", &order, 5, 5, 60, 1, 1, 1)}}
	o, err := measure(t.Context(), r, 2)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"before", "ours", "theirs", "theirs", "ours", "ours", "theirs",
		"before", "theirs", "ours", "ours", "theirs", "theirs", "ours"}; !slices.Equal(order, want) {
		t.Errorf("order = %q, want %q", order, want)
	}
	if got := o.ratios(target{of: "ours", to: "theirs"}); !slices.Equal(got, []float64{6, 1}) {
		t.Errorf("ratios = %v, want 6, 1", got)
	}
	broken := errors.New("broken")
	r.before = func(context.Context) error { return broken }
	if _, err := measure(t.Context(), r, 1); !errors.Is(err, broken) {
		t.Errorf("measure = %v, want what failed before", err)
	}
}

func TestMeasureStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	_, err := measure(t.Context(), row{contestants: []contestant{{"one", func(context.Context) (measured, error) { return measured{}, broken }}}}, 3)
	if !errors.Is(err, broken) {
		t.Errorf("measure = %v, want the contestant's error", err)
	}
}

func TestMedian(t *testing.T) {
	for _, tt := range []struct {
		values []float64
		want   float64
	}{{[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}, {[]float64{7}, 7}} {
		if got := median(tt.values); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.values, got, tt.want)
		}
	}
}

func TestReportLines(t *testing.T) {
	o := outcome{row{name: "upload", unit: "MiB/s", values: map[string][]measured{
		"vitrined": {{value: 400}, {value: 500}, {value: 600}}, "md5sum": {{value: 500}, {value: 500}, {value: 500}}}}}
	for _, tt := range []struct {
		target target
		want   string
	}{
		{target{of: "vitrined", to: "md5sum", ratio: 0.75},
			"| upload | 500 MiB/s | md5sum: 500 MiB/s | 1.00 (0.800 to 1.20) | at least 0.750 | yes |\n"},
		{target{of: "vitrined", to: "md5sum"},
			"| upload | 500 MiB/s | md5sum: 500 MiB/s | 1.00 (0.800 to 1.20) |  |  |\n"},
		{target{of: "vitrined", figure: 1, ratio: 40, atMost: true},
			"| upload | 500 MiB/s | | | at most 40.0 MiB/s | **no** |\n"},
		{target{of: "vitrined", figure: 1, ratio: 400},
			"| upload | 500 MiB/s | | | at least 400 MiB/s | yes |\n"},
		{target{of: "vitrined", figure: 100, ratio: 4, because: "before"},
			"| upload | 500 MiB/s | before: 100 MiB/s | 5.00 (4.00 to 6.00) | at least 4.00 | yes |\n"},
	} {
		if got := line(o, tt.target); got != tt.want {
			t.Errorf("line = %q, want %q", got, tt.want)
		}
	}
}

func TestReportNamesTheLargeDatabase(t *testing.T) {
	var out strings.Builder
	r := report{sections: []section{{title: "Lists among " + many, note: slowLists,
		outcomes: []outcome{{row{name: "plain", unit: "ms", values: map[string][]measured{many: {{value: 1}}, few: {{value: 1}}}, targets: []target{{of: many, to: few}}}}}}}}
	if err := r.write(&out, &bench{images: 1_000_000}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\n## Lists among 1,000,000 images\n", slowLists, "| plain | 1,000,000 images: 1.00 ms | 1,000 images: 1.00 ms |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, out.String())
		}
	}
}

func TestParseLists(t *testing.T) {
	const out = `goos: linux
BenchmarkList/admin:_plain-2         	     100	         1.250 ratio	       300.0 µs-at-1000	       375.0 µs-at-N
BenchmarkList/admin:_plain-2         	     100	         1.000 ratio	       400.0 µs-at-1000	       400.0 µs-at-N
BenchmarkList/sparse:_plain-2        	     100	         2.637 ratio	       528.2 µs-at-1000	      1393 µs-at-N
PASS
`
	rows, err := parseLists(out)
	if err != nil || len(rows) != 2 {
		t.Fatalf("parseLists gave %d rows, %v", len(rows), err)
	}
	if got := (outcome{rows[0]}).series(many, false); !slices.Equal(got, []float64{0.375, 0.4}) {
		t.Errorf("%s: %v ms, want 0.375 and 0.4", rows[0].name, got)
	}
	if _, err := parseLists("BenchmarkList/admin:_plain-2 100 1.0 ratio\n"); err == nil {
		t.Error("a line without medians was taken")
	}
	if _, err := parseLists("PASS\n"); err == nil {
		t.Error("no lines were taken for results")
	}
}

func TestWantedOfList(t *testing.T) {
	for name, want := range map[string]float64{
		"admin: plain": 1.3, "member: by size upwards": 1.3, "admin: deep, by size": 5, "member: 10,000 match": 5,
		"admin: 10 match, by size": 50, "member: tag, by disk_format": 50, "sparse: plain": 5, "sparse: shared, tag, by name": 50,
		"member: 10,000 match, tag": 5, "admin: by status and name": 0, "admin: owner": 0,
	} {
		if got := wantedOfList(name); got.ratio != want {
			t.Errorf("wantedOfList(%q) = %v, want %v", name, got.ratio, want)
		}
	}
}
