package main

import (
	"reflect"
	"testing"

	"github.com/vitrine-image/vitrine/image"
)

func TestUserRows(t *testing.T) {
	got := userRows(image.Users{Opens: 2, Processes: []image.Process{{PID: 7, Command: "qemu", Unit: "q.scope", Guest: "web"}, {PID: 8}},
		Downloads: 3, Clones: []string{"vms/web"}, Pins: []image.Pin{{Guest: "web-1"}}})
	want := [][]string{{"WHAT", "WHO"}, {"open", "pid 7, qemu, guest web, q.scope"}, {"open", "pid 8"}, {"downloads", "3"},
		{"cloned", "vms/web"}, {"pinned", "web-1"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("userRows = %q, want %q", got, want)
	}
	if got := userRows(image.Users{Opens: 1}); len(got) != 2 || got[1][0] != "open" {
		t.Errorf("userRows of unknown processes = %q", got)
	}
}
