package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
	"github.com/vitrine-image/vitrine/metadef"
)

// An export is one run of metadef export.
type export struct {
	*app
	dir   string
	force bool
}

// An exported namespace lies in a file now.
type exported struct {
	Namespace string `json:"namespace"`
	File      string `json:"file"`
}

func metadefExportCommand(a *app) *cobra.Command {
	e := &export{app: a}
	cmd := &cobra.Command{
		Use:   "export [NAMESPACE...]",
		Short: "Write namespaces to files that can be loaded",
		Long: "Write namespaces (all that can be seen, if none is named) to files in a directory, each to the file of its name. Without a\n" +
			"directory one namespace is written to standard output. Who owns a namespace is left out.",
		Example:           "  vitrine metadef export --dir ./definitions\n  vitrine metadef export OS::Compute::Watchdog > watchdog.json",
		ValidArgsFunction: a.completeNamespaces(-1),
		RunE:              func(cmd *cobra.Command, args []string) error { return e.run(cmd, args) },
	}
	cmd.Flags().StringVar(&e.dir, "dir", "", "`DIRECTORY` for the files; it is made if there is none")
	cmd.Flags().BoolVar(&e.force, "force", false, "overwrite files that are there")
	cmd.MarkFlagDirname("dir")
	return cmd
}

func (e *export) run(cmd *cobra.Command, names []string) error {
	if e.dir == "" && (len(names) != 1 || e.force) {
		return commandline.Usagef("without --dir one namespace is written to standard output: name it")
	}
	conn, err := e.client()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		all, err := namespaces(cmd.Context(), conn, metadef.Query{})
		if err != nil {
			return err
		}
		for _, d := range all {
			names = append(names, d.Namespace.Name)
		}
	}
	if e.dir != "" {
		if err := os.MkdirAll(e.dir, 0o777); err != nil {
			return err
		}
	}
	files := []exported{}
	for _, name := range names {
		d, err := conn.Namespace(cmd.Context(), name, "")
		if err != nil {
			return onNamespace(name, err)
		}
		var text bytes.Buffer
		if err := writeJSON(&text, wire.DefinitionFile(d)); err != nil {
			return err
		}
		if e.dir == "" {
			_, err := text.WriteTo(cmd.OutOrStdout())
			return err
		}
		path := filepath.Join(e.dir, image.EntryName(d.Namespace.Name)+".json")
		if err := e.write(path, text.Bytes()); err != nil {
			return onNamespace(name, err)
		}
		files = append(files, exported{d.Namespace.Name, path})
	}
	return e.writeExported(cmd, files)
}

// write writes a file that is whole or not there.
func (e *export) write(path string, text []byte) error {
	f, err := os.CreateTemp(e.dir, ".export-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	if err = errors.Join(err, f.Chmod(0o644), f.Close()); err != nil {
		return err
	}
	if e.force {
		return os.Rename(f.Name(), path)
	}
	err = os.Link(f.Name(), path)
	if errors.Is(err, fs.ErrExist) {
		return &hinted{fmt.Errorf("the file %s exists", path), "--force overwrites it"}
	}
	return err
}

func (e *export) writeExported(cmd *cobra.Command, files []exported) error {
	if e.json {
		return writeJSON(cmd.OutOrStdout(), map[string]any{"exported": files})
	}
	if e.quiet || len(files) == 0 {
		return nil
	}
	rows := [][]string{{"NAMESPACE", "FILE"}}
	for _, f := range files {
		rows = append(rows, []string{f.Namespace, f.File})
	}
	return writePrintable(cmd.OutOrStdout(), rows)
}
