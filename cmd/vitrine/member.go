package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
)

func memberCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "member",
		Short: "Share images with other projects, accept what is shared",
		Long: "A shared image can be seen and used by its members: projects, named by their ids. Whoever is a member accepts the image\n" +
			"to have it in his lists, too.",
	}
	cmd.AddCommand(memberListCommand(a), memberAddCommand(a), memberRemoveCommand(a),
		memberStatusCommand(a, "accept", "Have a shared image in your lists", image.MemberAccepted),
		memberStatusCommand(a, "reject", "Keep a shared image out of your lists", image.MemberRejected),
		memberStatusCommand(a, "pending", "Take back that an image was accepted or rejected", image.MemberPending))
	return cmd
}

func memberListCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "list IMAGE",
		Short:             "List the projects that an image is shared with",
		Long:              "List the projects that an image is shared with. A member sees itself only.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			img, err := a.find(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			members, err := a.conn.Members(cmd.Context(), img.ID)
			if err != nil {
				return onImage(args[0], err)
			}
			if a.json {
				return writeJSON(cmd.OutOrStdout(), wire.MembersOf(members))
			}
			return printMembers(cmd.OutOrStdout(), members)
		},
	}
}

func memberAddCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "add IMAGE PROJECT...",
		Short:             "Share an image with projects",
		Example:           "  vitrine image member add debian-12 7f3a4a0d6c934e5fb4b0b1a6c5d8e9f0",
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeMembers(cmd, args[0], args[1:], func(img *image.Image, project string) (image.Member, error) {
				return a.conn.AddMember(cmd.Context(), img.ID, project)
			})
		},
	}
}

func memberRemoveCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:               "remove IMAGE PROJECT...",
		Short:             "Share an image with projects no longer",
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeMembers(cmd, args[0], args[1:], func(img *image.Image, project string) (image.Member, error) {
				return image.Member{}, a.conn.RemoveMember(cmd.Context(), img.ID, project)
			})
		},
	}
}

func memberStatusCommand(a *app, verb, short, status string) *cobra.Command {
	var project string
	cmd := &cobra.Command{
		Use:   verb + " IMAGE",
		Short: short,
		Long: short + ". The image may have to be named by its id: what is not accepted is not found by its name.\n" +
			"The project is the one that the image is shared with; it need not be given where the server shows only one.",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.setMemberStatus(cmd, args[0], project, status)
		},
	}
	cmd.Flags().StringVar(&project, "project", "", "`ID` of your project")
	return cmd
}

// changeMembers carries out the verb for each of the projects, up to the first that fails.
func (a *app) changeMembers(cmd *cobra.Command, ref string, projects []string, verb func(*image.Image, string) (image.Member, error)) error {
	img, err := a.find(cmd.Context(), ref)
	if err != nil {
		return err
	}
	changed := []image.Member{}
	for _, project := range projects {
		m, err := verb(img, project)
		if err != nil {
			return onMember(ref, project, err)
		}
		if m.Project != "" {
			changed = append(changed, m)
		}
	}
	if a.json {
		return writeJSON(cmd.OutOrStdout(), wire.MembersOf(changed))
	}
	return nil
}

func (a *app) setMemberStatus(cmd *cobra.Command, ref, project, status string) error {
	ctx := cmd.Context()
	img, err := a.find(ctx, ref)
	if err != nil {
		return err
	}
	if project == "" {
		members, err := a.conn.Members(ctx, img.ID)
		if err != nil {
			return onImage(ref, err)
		}
		if len(members) != 1 {
			return onImage(ref, &hinted{image.Errorf(image.ErrInvalid, "it is shared with %d projects", len(members)), "say with --project which is meant"})
		}
		project = members[0].Project
	}
	m, err := a.conn.SetMemberStatus(ctx, img.ID, project, status)
	if err != nil {
		return onMember(ref, project, err)
	}
	if a.json {
		return writeJSON(cmd.OutOrStdout(), wire.MemberOf(m))
	}
	return nil
}

// onMember says which member of which image an error is about.
func onMember(ref, project string, err error) error {
	err = onImage(ref, fmt.Errorf("project %q: %w", project, err))
	if errors.Is(err, image.ErrNotFound) {
		return &hinted{err, "vitrine image member list shows whom an image is shared with"}
	}
	return err
}

func printMembers(w io.Writer, members []image.Member) error {
	rows := [][]string{{"PROJECT", "STATUS", "SINCE"}}
	for _, m := range members {
		rows = append(rows, []string{printable(m.Project), printable(m.Status), m.CreatedAt.Format(time.DateTime)})
	}
	return writeTable(w, rows)
}
