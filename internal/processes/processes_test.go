package processes

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

func TestUnitOf(t *testing.T) {
	for _, tt := range []struct{ cgroup, unit, guest string }{
		{"0::/machine.slice/machine-qemu\\x2d3\\x2dweb\\x2dfront.scope/libvirt/emulator\n", `machine-qemu\x2d3\x2dweb\x2dfront.scope`, "web-front"},
		{"0::/machine/qemu-12-web.libvirt-qemu/emulator\n", "", "web"},
		{"0::/system.slice/nova-compute.service\n", "nova-compute.service", ""},
		{"12:cpu,cpuacct:/user.slice\n1:name=systemd:/user.slice/user-0.slice/session-1.scope\n", "session-1.scope", ""},
		{"0::/machine.slice/machine-debian.scope\n", "machine-debian.scope", ""},
		{"0::/machine.slice/machine-qemu\\x2d3.scope\n", `machine-qemu\x2d3.scope`, ""},
		{"0::/\n", "", ""},
		{"", "", ""},
		{"0::/a\\x2.scope", `a\x2.scope`, ""},
	} {
		if unit, guest := unitOf(tt.cgroup); unit != tt.unit || guest != tt.guest {
			t.Errorf("%q: unit %q, guest %q, want %q, %q", tt.cgroup, unit, guest, tt.unit, tt.guest)
		}
	}
}

func TestDescribe(t *testing.T) {
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	if p, ok := Describe(os.Getpid(), time.Now()); !ok || p.PID != os.Getpid() || p.Command+"\n" != string(comm) {
		t.Errorf("Describe = %+v, %t", p, ok)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			t.Fatal(err)
		}
		if p, ok := Describe(tid, time.Time{}); ok && p.PID != os.Getpid() {
			t.Errorf("thread %s is one of process %d, want %d", task.Name(), p.PID, os.Getpid())
		}
	}
	if p, ok := Describe(os.Getpid(), time.Now().Add(-1000*time.Hour)); ok {
		t.Errorf("a process that came later is taken for one that opened a file: %+v", p)
	}
	if p, ok := Describe(1<<30, time.Time{}); ok {
		t.Errorf("there is no such process: %+v", p)
	}
}

func TestHolding(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "by-id", "one")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(dir, "disk.raw"))
	if err != nil {
		t.Fatal(err)
	}
	if pids := Holding(t.Context(), dir+"/"); !slices.Equal(pids, []int{os.Getpid()}) {
		t.Errorf("while it is open: %v, want %d", pids, os.Getpid())
	}
	f.Close()
	if pids := Holding(t.Context(), dir+"/"); pids != nil {
		t.Errorf("when it is closed: %v", pids)
	}
	ended, stop := context.WithCancel(t.Context())
	stop()
	if pids := Holding(ended, "/"); pids != nil {
		t.Errorf("without time: %v", pids)
	}
}
