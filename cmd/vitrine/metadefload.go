package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/api/wire"
	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
	"github.com/vitrine-image/vitrine/metadef"
	"github.com/vitrine-image/vitrine/metadef/definitions"
)

// builtin means the definitions that come with the program.
const builtin = "builtin"

// A load is one run of metadef load.
type load struct {
	*app
	merge, preferNew, overwrite bool
}

// A definitionFile is a namespace that was read.
type definitionFile struct {
	name string
	doc  metadef.Document
}

// A loaded namespace is what became of a file.
type loaded struct {
	Namespace string `json:"namespace"`
	Result    string `json:"result"` // created, kept (it was there, and stayed as it was) or merged
	Added     int    `json:"added"`
	Replaced  int    `json:"replaced"`
	Removed   int    `json:"removed"`
}

func metadefLoadCommand(a *app) *cobra.Command {
	l := &load{app: a}
	cmd := &cobra.Command{
		Use:   "load FILE|DIRECTORY|" + builtin + "...",
		Short: "Load definitions from files",
		Long: "Load definitions from files, of directories those that end in .json. Each file holds one namespace, as metadef export and\n" +
			"other servers of this API write it. The word " + builtin + " means the definitions that come with this program. All files are\n" +
			"read and checked before the first one is loaded.\n\n" +
			"A namespace that exists stays as it is, unless a flag says otherwise.",
		Example:           "  vitrine metadef load " + builtin + "\n  vitrine metadef load --overwrite ./definitions",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: completeDefinitions,
		RunE:              func(cmd *cobra.Command, args []string) error { return l.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&l.merge, "merge", false, "add to namespaces that exist what they lack")
	flags.BoolVar(&l.preferNew, "prefer-new", false, "with --merge: replace what is there by what the file says, and keep the rest")
	flags.BoolVar(&l.overwrite, "overwrite", false, "make namespaces that exist what the file says, and remove the rest, of protected ones too")
	cmd.MarkFlagsMutuallyExclusive("prefer-new", "overwrite")
	return cmd
}

func completeDefinitions(_ *cobra.Command, _ []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if begun != "" && strings.HasPrefix(builtin, begun) {
		return []cobra.Completion{builtin}, cobra.ShellCompDirectiveDefault
	}
	return []cobra.Completion{"json"}, cobra.ShellCompDirectiveFilterFileExt
}

func (l *load) run(cmd *cobra.Command, args []string) error {
	if l.preferNew && !l.merge {
		return commandline.Usagef("--prefer-new goes with --merge")
	}
	var files []definitionFile
	for _, arg := range args {
		more, err := readDefinitions(arg)
		if err != nil {
			return err
		}
		files = append(files, more...)
	}
	conn, err := l.client()
	if err != nil {
		return err
	}
	results := []loaded{}
	var failed error
	for _, f := range files {
		var result loaded
		if result, failed = l.load(cmd.Context(), conn, f.doc); failed != nil {
			failed = fmt.Errorf("%s: %w", f.name, onNamespace(f.doc.Namespace.Name, failed))
			break
		}
		results = append(results, result)
	}
	if l.json {
		return errors.Join(writeJSON(cmd.OutOrStdout(), map[string]any{"loaded": results}), failed)
	}
	if len(results) > 0 && !l.quiet {
		return errors.Join(printLoaded(cmd, results), failed)
	}
	return failed
}

func printLoaded(cmd *cobra.Command, results []loaded) error {
	rows := [][]string{{"NAMESPACE", "RESULT"}}
	for _, r := range results {
		text := r.Result
		if r.Added+r.Replaced+r.Removed > 0 {
			text += fmt.Sprintf(": %d added, %d replaced, %d removed", r.Added, r.Replaced, r.Removed)
		}
		rows = append(rows, []string{r.Namespace, text})
	}
	return writePrintable(cmd.OutOrStdout(), rows)
}

// readDefinitions reads and checks a file, those of a directory, or those that come with the program.
func readDefinitions(path string) (files []definitionFile, err error) {
	root, names := fs.FS(definitions.Files), []string(nil)
	if path == builtin {
		names, err = fs.Glob(root, "*.json")
	} else {
		root, names, err = definitionFiles(path)
	}
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return nil, err
		}
		doc, err := parseDefinition(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, definitionFile{name, doc})
	}
	return files, nil
}

func definitionFiles(path string) (fs.FS, []string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.IsDir() {
		return os.DirFS(filepath.Dir(path)), []string{filepath.Base(path)}, nil
	}
	root := os.DirFS(path)
	names, err := fs.Glob(root, "*.json")
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("there is no file *.json in %s", path)
	}
	return root, names, err
}

func parseDefinition(text []byte) (metadef.Document, error) {
	value, err := wire.ReadMetadef(text)
	if err != nil {
		return metadef.Document{}, err
	}
	doc, err := wire.MetadefParser{}.Namespace(value)
	if err != nil {
		return doc, err
	}
	return doc, doc.Check()
}

// load makes the namespace, or does to the one that exists what the flags say.
func (l *load) load(ctx context.Context, conn *client.Client, doc metadef.Document) (loaded, error) {
	result := loaded{Namespace: doc.Namespace.Name, Result: "created"}
	have, err := conn.Namespace(ctx, doc.Namespace.Name, "")
	switch {
	case errors.Is(err, image.ErrNotFound):
		_, err = conn.CreateNamespace(ctx, doc)
		return result, err
	case err != nil:
		return result, err
	case !l.merge && !l.overwrite:
		result.Result = "kept"
		return result, nil
	}
	result.Result = "merged"
	m := merger{conn: conn, ctx: ctx, now: have.Namespace, replace: l.preferNew || l.overwrite, remove: l.overwrite, result: &result}
	return result, m.merge(have, doc)
}

// A merger brings a namespace closer to a document.
type merger struct {
	conn            *client.Client
	ctx             context.Context
	now             metadef.Namespace // as it is there
	replace, remove bool
	result          *loaded
}

func (m *merger) merge(have, want metadef.Document) error {
	if err := m.parts(have.Stamped(time.Time{}), want.Stamped(time.Time{})); err != nil { // times make no difference
		return err
	}
	fields := want.Namespace
	if fields.Owner == "" {
		fields.Owner = m.now.Owner
	}
	if !m.replace || sameFields(m.now, fields) {
		return nil
	}
	return m.save(fields)
}

func (m *merger) save(n metadef.Namespace) error {
	saved, err := m.conn.SaveNamespace(m.ctx, m.now.Name, n)
	if err == nil {
		m.now = saved
	}
	return err
}

// unprotect lets go what a protected namespace would keep. In the end it is what the document says.
func (m *merger) unprotect() error {
	if !m.now.Protected {
		return nil
	}
	n := m.now
	n.Protected = false
	return m.save(n)
}

func sameFields(a, b metadef.Namespace) bool {
	return a.Name == b.Name && reflect.DeepEqual(a.DisplayName, b.DisplayName) && reflect.DeepEqual(a.Description, b.Description) &&
		a.Visibility == b.Visibility && a.Protected == b.Protected && a.Owner == b.Owner
}

func (m *merger) parts(have, want metadef.Document) error {
	c, ctx := m.conn, m.ctx
	removeAssociation := func(name string) error { return c.RemoveAssociation(ctx, m.now.Name, name) }
	addAssociation := func(a metadef.Association) error { _, err := c.AddAssociation(ctx, m.now.Name, a); return err }
	for _, merge := range []func() error{
		func() error {
			return mergeParts(m, have.Associations, want.Associations, func(a metadef.Association) string { return a.ResourceType },
				addAssociation,
				func(name string, a metadef.Association) error { // they cannot be changed
					if err := m.unprotect(); err != nil {
						return err
					}
					if err := removeAssociation(name); err != nil {
						return err
					}
					return addAssociation(a)
				},
				removeAssociation)
		},
		func() error {
			return mergeParts(m, have.Properties, want.Properties, func(p metadef.Property) string { return p.Name },
				func(p metadef.Property) error { _, err := c.CreateProperty(ctx, m.now.Name, p); return err },
				func(name string, p metadef.Property) error {
					_, err := c.SaveProperty(ctx, m.now.Name, name, p)
					return err
				},
				func(name string) error { return c.DeleteProperty(ctx, m.now.Name, name) })
		},
		func() error {
			return mergeParts(m, have.Objects, want.Objects, func(o metadef.Object) string { return o.Name },
				func(o metadef.Object) error { _, err := c.CreateObject(ctx, m.now.Name, o); return err },
				func(name string, o metadef.Object) error {
					_, err := c.SaveObject(ctx, m.now.Name, name, o)
					return err
				},
				func(name string) error { return c.DeleteObject(ctx, m.now.Name, name) })
		},
		func() error {
			return mergeParts(m, have.Tags, want.Tags, func(t metadef.Tag) string { return t.Name },
				func(t metadef.Tag) error { _, err := c.CreateTag(ctx, m.now.Name, t.Name); return err },
				func(name string, t metadef.Tag) error { _, err := c.SaveTag(ctx, m.now.Name, name, t.Name); return err },
				func(name string) error { return c.DeleteTag(ctx, m.now.Name, name) })
		},
	} {
		if err := merge(); err != nil {
			return err
		}
	}
	return nil
}

// mergeParts adds what is wanted and not there, and as far as the merger may, replaces what is there and differs, and
// removes what is not wanted.
func mergeParts[T any](m *merger, have, want []T, name func(T) string, add func(T) error, replace func(string, T) error, remove func(string) error) error {
	count := func(n *int, err error) error {
		if err == nil {
			*n++
		}
		return err
	}
	at := func(list []T, part T) int {
		return slices.IndexFunc(list, func(other T) bool { return metadef.FoldName(name(other)) == metadef.FoldName(name(part)) })
	}
	for _, part := range have {
		if !m.remove || at(want, part) >= 0 {
			continue
		}
		if err := m.unprotect(); err != nil {
			return err
		}
		if err := count(&m.result.Removed, remove(name(part))); err != nil {
			return err
		}
	}
	for _, part := range want {
		var err error
		switch i := at(have, part); {
		case i < 0:
			err = count(&m.result.Added, add(part))
		case m.replace && !reflect.DeepEqual(have[i], part):
			err = count(&m.result.Replaced, replace(name(have[i]), part))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
