// Package commanddoc writes man pages and reference pages from the definitions of commands.
package commanddoc

import (
	"bytes"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/vitrine-image/vitrine/internal/version"
)

// ManCommand returns the hidden command "man", which writes the man pages that packages bring along. SOURCE_DATE_EPOCH
// sets their date.
func ManCommand(section string) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "man --dir DIR",
		Short:  "Write a man page for each command into a directory",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			return doc.GenManTree(root, &doc.GenManHeader{Section: section, Source: "vitrine " + version.String(), Manual: "Vitrine"}, dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "`DIR` to write to")
	cmd.MarkFlagRequired("dir")
	return cmd
}

// Markdown writes a page about a command and those below it, with links within the page.
func Markdown(w io.Writer, cmd *cobra.Command) error {
	cmd.Root().DisableAutoGenTag = true
	link := func(name string) string {
		return "#" + strings.ReplaceAll(strings.TrimSuffix(name, ".md"), "_", "-")
	}
	var page bytes.Buffer
	if err := doc.GenMarkdownCustom(cmd, &page, link); err != nil {
		return err
	}
	text := strings.ReplaceAll(page.String(), "### Options inherited from parent commands", "### Global options")
	text = strings.ReplaceAll(text, "### SEE ALSO", "### See also")
	if _, err := io.WriteString(w, text); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" {
			continue
		}
		if err := Markdown(w, sub); err != nil {
			return err
		}
	}
	return nil
}
