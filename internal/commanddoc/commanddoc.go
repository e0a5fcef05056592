// Package commanddoc writes man pages and reference pages from the definitions of commands.
package commanddoc

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/vitrine-image/vitrine/internal/version"
)

// ManCommand returns the hidden command "man", which writes the man pages that packages bring along: of all commands, and of
// configuration files. SOURCE_DATE_EPOCH sets their date.
func ManCommand(section string, files ...ConfigPage) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:    "man --dir DIR",
		Short:  "Write a man page for each command and configuration file into a directory",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: section, Source: "vitrine " + version.String(), Manual: "Vitrine"}
			if err := doc.GenManTree(root, header, dir); err != nil {
				return err
			}
			for _, file := range files {
				page := file.roff(header.Source, pageDate().Format("Jan 2006"))
				if err := os.WriteFile(filepath.Join(dir, file.Name+".5"), page, 0o644); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "`DIR` to write to")
	cmd.MarkFlagRequired("dir")
	return cmd
}

// pageDate is that of a reproducible build, or now.
func pageDate() time.Time {
	if epoch, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64); err == nil {
		return time.Unix(epoch, 0).UTC()
	}
	return time.Now()
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
