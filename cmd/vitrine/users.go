package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

func usersCommand(a *app) *cobra.Command {
	return aboutImage(a, &cobra.Command{
		Use:   "users IMAGE",
		Short: "Show what uses an image",
		Long: "Show what uses an image now: processes that have it open through the mount, with their unit and their domain in libvirt,\n" +
			"downloads under way, clones in Ceph, and the guests that it is pinned for. It is for administrators.",
	}, func(ctx context.Context, id image.ID) (image.Users, error) { return a.conn.Users(ctx, id) },
		func(u image.Users) any { return wire.UsersOf(u) }, userRows)
}

func userRows(u image.Users) [][]string {
	rows := [][]string{{"WHAT", "WHO"}}
	for _, p := range u.Processes {
		rows = append(rows, []string{"open", printable(processText(p))})
	}
	if u.Opens > 0 && len(u.Processes) == 0 {
		rows = append(rows, []string{"open", "processes that the server does not know"})
	}
	if u.Downloads > 0 {
		rows = append(rows, []string{"downloads", strconv.Itoa(u.Downloads)})
	}
	for _, c := range u.Clones {
		rows = append(rows, []string{"cloned", printable(c)})
	}
	for _, p := range u.Pins {
		rows = append(rows, []string{"pinned", printable(p.Guest)})
	}
	return rows
}

func processText(p image.Process) string {
	text := fmt.Sprintf("pid %d", p.PID)
	if p.Command != "" {
		text += ", " + p.Command
	}
	if p.Guest != "" {
		text += ", guest " + p.Guest
	}
	if p.Unit != "" {
		text += ", " + p.Unit
	}
	return text
}
