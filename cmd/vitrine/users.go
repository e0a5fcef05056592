package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

func usersCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "users IMAGE",
		Short: "Show what uses an image",
		Long: "Show what uses an image now: processes that have it open through the mount, with their unit and their domain in libvirt,\n" +
			"downloads under way, clones in Ceph, and the guests that it is pinned for. It is for administrators.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			img, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			users, err := a.conn.Users(cmd.Context(), img.ID)
			if err != nil {
				return onImage(args[0], err)
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), wire.UsersOf(users))
			}
			return writeTable(cmd.OutOrStdout(), userRows(users))
		},
	}
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
