// Package processes tells of the processes of this machine who they are. It reads no memory of theirs, such as the command
// line, for that could wait for a page that they wait for.
package processes

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// Describe tells of the process that the thread belongs to, if it is visible and has been there since then; zero is ever.
func Describe(pid int, since time.Time) (p image.Process, ok bool) {
	return describe("/proc", pid, since)
}

func describe(proc string, pid int, since time.Time) (p image.Process, ok bool) {
	dir := filepath.Join(proc, strconv.Itoa(pid))
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return p, false
	}
	if p.PID, err = strconv.Atoi(field(status, "Tgid:")); err != nil {
		return p, false
	}
	if !since.IsZero() && !isOlder(proc, dir, time.Since(since)) {
		return p, false // the number was given to another one
	}
	dir = filepath.Join(proc, strconv.Itoa(p.PID))
	if comm, err := os.ReadFile(dir + "/comm"); err == nil {
		p.Command = strings.TrimSuffix(string(comm), "\n")
	}
	if cgroup, err := os.ReadFile(dir + "/cgroup"); err == nil {
		p.Unit, p.Guest = unitOf(string(cgroup))
	}
	return p, true
}

// ticks is how many of the kernel's units of time make a second wherever Go runs; margin is for how coarse they are.
const (
	ticks  = 100
	margin = time.Second
)

// isOlder reports whether a thread has been there for so long.
func isOlder(proc, dir string, age time.Duration) bool {
	var uptime float64 // seconds
	var started uint64 // ticks after the start of the machine, the 20th number after the command
	text, err := os.ReadFile(proc + "/uptime")
	if err == nil {
		_, err = fmt.Sscan(string(text), &uptime)
	}
	if err != nil {
		return false
	}
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return false
	}
	if started, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return false
	}
	lived := time.Duration((uptime - float64(started)/ticks) * float64(time.Second))
	return lived+margin >= age
}

func field(status []byte, name string) string {
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// unitOf returns the unit of systemd in which a process runs, and the domain of libvirt: machined has it in the name of a scope,
// machine-qemu\x2d3\x2dweb.scope, and libvirt without machined in qemu-3-web.libvirt-qemu.
func unitOf(cgroup string) (unit, guest string) {
	for line := range strings.Lines(cgroup) {
		_, path, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":/")
		for element := range strings.SplitSeq(path, "/") {
			if strings.HasSuffix(element, ".service") || strings.HasSuffix(element, ".scope") {
				unit = element
			}
			name, isScope := strings.CutSuffix(element, ".scope")
			name, isMachine := strings.CutPrefix(name, "machine-")
			name = unescape(name)
			if !isScope || !isMachine {
				if name, isMachine = strings.CutSuffix(unescape(element), ".libvirt-qemu"); !isMachine {
					continue
				}
			}
			if domain := strings.SplitN(name, "-", 3); len(domain) == 3 && domain[0] == "qemu" {
				guest = domain[2]
			}
		}
	}
	return unit, guest
}

// unescape takes back how systemd writes characters in the names of units.
func unescape(name string) string {
	var b strings.Builder
	for i := 0; i < len(name); i++ {
		if strings.HasPrefix(name[i:], `\x`) && i+4 <= len(name) {
			if c, err := strconv.ParseUint(name[i+2:i+4], 16, 8); err == nil {
				b.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		b.WriteByte(name[i])
	}
	return b.String()
}

// Holding returns the numbers of the processes that have a file open whose path has dir in it, as far as they let us look. It
// only reads the names of open files, which asks no file system anything.
func Holding(ctx context.Context, dir string) (pids []int) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		panic(fmt.Sprint("processes: ", err)) // the pattern is wrong
	}
	for _, process := range all {
		if ctx.Err() != nil {
			return pids
		}
		open, err := os.ReadDir(process + "/fd")
		if err != nil {
			continue // gone, or not ours to look at
		}
		for _, fd := range open {
			if path, err := os.Readlink(filepath.Join(process, "fd", fd.Name())); err == nil && strings.Contains(path, dir) {
				pid, _ := strconv.Atoi(filepath.Base(process))
				pids = append(pids, pid)
				break
			}
		}
	}
	return pids
}
