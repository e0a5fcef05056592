package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"time"
)

// A row is one comparison: contestants that do the same thing, measured in turn, and what is expected of them.
type row struct {
	name        string
	unit        string // of the values, such as "MiB/s"
	contestants []contestant
	targets     []target
	values      map[string][]measured // if it was measured already: by contestant and round

	passes int                             // of each contestant in a round, of which the median counts; 0 is one
	before func(ctx context.Context) error // begins each round; nil for nothing
}

// A contestant does the thing once and says how it went.
type contestant struct {
	name string
	run  func(ctx context.Context) (measured, error)
}

// A measured is what one run gave.
type measured struct {
	value float64       // in the row's unit
	cpu   time.Duration // processor time of the server, 0 if nobody looked
}

// A target is what is expected: a ratio between two contestants, or a bound for one of them.
type target struct {
	of, to  string  // contestants; an empty to compares with the figure below instead
	figure  float64 // measured elsewhere, in the row's unit
	ratio   float64 // at least, or at most, this much of to or of the figure; 0 only shows how they compare
	atMost  bool
	cpu     bool   // compares processor time
	because string // why this figure, for the report
}

// An outcome is a row with all that was measured.
type outcome struct{ row }

// measure runs the contestants in turn, beginning with another one each round and turning back after each pass, so that
// what drifts (caches, write-back, neighbours) meets all of them.
func measure(ctx context.Context, r row, rounds int) (outcome, error) {
	o := outcome{r}
	if o.values != nil {
		return o, nil
	}
	o.values = map[string][]measured{}
	for round := range rounds {
		if r.before != nil {
			if err := r.before(ctx); err != nil {
				return o, fmt.Errorf("%s: %w", r.name, err)
			}
		}
		order := slices.Concat(r.contestants[round%len(r.contestants):], r.contestants[:round%len(r.contestants)])
		passes := map[string][]measured{}
		for range max(r.passes, 1) {
			for _, c := range order {
				m, err := c.run(ctx)
				if err != nil {
					return o, fmt.Errorf("%s: %s: %w", r.name, c.name, err)
				}
				passes[c.name] = append(passes[c.name], m)
			}
			slices.Reverse(order)
		}
		for _, c := range r.contestants {
			m := middle(passes[c.name])
			o.values[c.name] = append(o.values[c.name], m)
			fmt.Fprintf(os.Stderr, "%-50s round %d  %-24s %10.4g %s\n", r.name, round+1, c.name, m.value, r.unit)
		}
	}
	return o, nil
}

// middle returns the medians of what several passes gave.
func middle(passes []measured) measured {
	o := outcome{row{values: map[string][]measured{"": passes}}}
	return measured{value: median(o.series("", false)), cpu: time.Duration(median(o.series("", true)) * float64(time.Second))}
}

// series returns a contestant's values, or its processor times in seconds.
func (o outcome) series(name string, cpu bool) (s []float64) {
	for _, m := range o.values[name] {
		if cpu {
			s = append(s, m.cpu.Seconds())
		} else {
			s = append(s, m.value)
		}
	}
	return s
}

// ratios compares round by round.
func (o outcome) ratios(t target) []float64 {
	of := o.series(t.of, t.cpu)
	to := o.series(t.to, t.cpu)
	for i := range of {
		if t.to == "" {
			of[i] /= t.figure
		} else {
			of[i] /= to[i]
		}
	}
	return of
}

// met reports whether the median of the ratios reaches the target.
func (o outcome) met(t target) bool {
	if m := median(o.ratios(t)); t.atMost {
		return m <= t.ratio
	} else {
		return m >= t.ratio
	}
}

// median returns the middle value, or the mean of the two in the middle; s must not be empty.
func median(s []float64) float64 {
	s = slices.SortedFunc(slices.Values(s), cmp.Compare[float64])
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
