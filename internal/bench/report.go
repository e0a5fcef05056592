package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A report is everything that was measured.
type report struct {
	suite    suite
	sections []section
}

// newReport begins the report of a suite.
func newReport(name string) (*report, error) {
	for _, s := range suites {
		if s.name == name {
			return &report{suite: s}, nil
		}
	}
	return nil, fmt.Errorf("there is no suite %q", name)
}

type section struct {
	title, note string
	outcomes    []outcome
}

// write prints the report in Markdown.
func (r *report) write(w io.Writer, b *bench) error {
	var out strings.Builder
	fmt.Fprintf(&out, "# %s\n\nMade by `make %s`. Every ratio compares two programs on the same machine in the same round; shown are the medians of\n"+
		"%d rounds, in brackets the lowest and the highest. The order of the programs changes from round to round.\n\n", r.suite.title, r.suite.name, b.rounds)
	fmt.Fprintf(&out, "%s\n", r.machine(b))
	for _, s := range r.sections {
		fmt.Fprintf(&out, "\n## %s\n\n", s.title)
		if s.note != "" {
			fmt.Fprintf(&out, "%s\n\n", s.note)
		}
		fmt.Fprint(&out, "| what | measured | compared with | ratio | wanted | met |\n|---|---|---|---|---|---|\n")
		for _, o := range s.outcomes {
			for _, t := range o.targets {
				out.WriteString(line(o, t))
			}
		}
	}
	_, err := io.WriteString(w, strings.ReplaceAll(out.String(), many, thousands(b.images)+" images"))
	return err
}

// line shows a target of a row: | what | measured | compared with | ratio | wanted | met |.
func line(o outcome, t target) string {
	unit := o.unit
	if t.cpu {
		unit = "s of CPU"
	}
	measured := fmt.Sprintf("%s %s", figure(median(o.series(t.of, t.cpu))), unit)
	if t.of != "vitrined" {
		measured = t.of + ": " + measured
	}
	ratios := o.ratios(t)
	ratio := fmt.Sprintf("%s (%s to %s)", figure(median(ratios)), figure(slices.Min(ratios)), figure(slices.Max(ratios)))
	wanted := ""
	if t.ratio != 0 {
		wanted = map[bool]string{false: "at least ", true: "at most "}[t.atMost] + figure(t.ratio)
	}
	if t.to == "" && t.figure == 1 { // a bound, not a comparison
		return fmt.Sprintf("| %s | %s | | | %s %s | %s |\n", o.name, measured, wanted, unit, verdict(o, t))
	}
	reference := fmt.Sprintf("%s: %s %s", t.because, figure(t.figure), unit)
	if t.to != "" {
		reference = fmt.Sprintf("%s: %s %s", t.to, figure(median(o.series(t.to, t.cpu))), unit)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n", o.name, measured, reference, ratio, wanted, verdict(o, t))
}

func verdict(o outcome, t target) string {
	switch {
	case t.ratio == 0:
		return ""
	case o.met(t):
		return "yes"
	}
	return "**no**"
}

// figure shows three digits that count.
func figure(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}

// thousands writes 1000000 as 1,000,000.
func thousands(n int) string {
	if n < 1000 {
		return strconv.Itoa(n)
	}
	return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
}

// machine describes where all this was measured.
func (r *report) machine(b *bench) string {
	var system unix.Utsname
	unix.Uname(&system) // cannot fail
	cpu, memory := "unknown", "unknown"
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(info); m != nil {
			cpu = string(m[1])
		}
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		var kib int64
		if _, err := fmt.Sscanf(string(info), "MemTotal: %d kB", &kib); err == nil {
			memory = fmt.Sprintf("%.0f GiB", float64(kib)/(1<<20))
		}
	}
	programs := fmt.Sprintf("vitrined %s (%s)", strings.TrimPrefix(said(b.program, "--version"), "vitrined version "), runtime.Version())
	for _, p := range r.suite.programs {
		programs += ", " + said(p...)
	}
	if b.peer != "" {
		programs += ", " + b.peer + " " + said("/usr/bin/python3", "/usr/bin/glance-manage", "--version")
	}
	lines := []string{
		fmt.Sprintf("Machine: %d × %s, %s of memory, Linux %s, %s on %s.", runtime.NumCPU(), cpu, memory, unix.ByteSliceToString(system.Release[:]),
			said("findmnt", "-no", "FSTYPE", "-T", b.dir), said("findmnt", "-no", "SOURCE", "-T", b.dir)),
		"Programs: " + programs + ".",
		"Measured on " + time.Now().UTC().Format(time.DateOnly) + ".",
	}
	return strings.Join(lines, "\n") + "\n"
}

// said returns the first line that a program prints.
func said(command ...string) string {
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return command[0] + " (unknown)"
	}
	line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return line
}
