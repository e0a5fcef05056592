package main

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// fields are the flags that describe an image, of create and set alike.
type fields struct {
	name, diskFormat, containerFormat, owner, visibility string
	minDisk, minRAM                                      int64
	protected, unprotected, hidden, unhidden             bool
	properties, tags                                     []string

	cmd *cobra.Command
}

func (f *fields) register(cmd *cobra.Command) {
	f.cmd = cmd
	flags := cmd.Flags()
	flags.StringVar(&f.name, "name", "", "`NAME` of the image")
	flags.StringVar(&f.diskFormat, "disk-format", "", "`FORMAT` of the disk: "+strings.Join(image.DiskFormats, ", "))
	flags.StringVar(&f.containerFormat, "container-format", "", "`FORMAT` that the disk is wrapped in: "+strings.Join(image.ContainerFormats, ", "))
	flags.StringVar(&f.owner, "owner", "", "id of the `PROJECT` that the image belongs to; only administrators may choose")
	flags.Int64Var(&f.minDisk, "min-disk", 0, "`GIB` of disk that a guest needs")
	flags.Int64Var(&f.minRAM, "min-ram", 0, "`MIB` of memory that a guest needs")
	flags.StringVar(&f.visibility, "visibility", "", "`VISIBILITY` of the image: "+visibilities())
	for _, v := range image.Visibilities() {
		flags.Bool(string(v), false, "the same as --visibility "+string(v))
	}
	flags.BoolVar(&f.protected, "protected", false, "refuse to delete the image")
	flags.BoolVar(&f.unprotected, "unprotected", false, "allow to delete the image")
	flags.BoolVar(&f.hidden, "hidden", false, "leave the image out of lists")
	flags.BoolVar(&f.unhidden, "unhidden", false, "show the image in lists")
	flags.StringArrayVar(&f.properties, "property", nil, "property as `KEY=VALUE`; may be repeated")
	flags.StringArrayVar(&f.tags, "tag", nil, "`TAG`; may be repeated")
	cmd.MarkFlagsMutuallyExclusive("visibility", "public", "private", "shared", "community")
	cmd.MarkFlagsMutuallyExclusive("protected", "unprotected")
	cmd.MarkFlagsMutuallyExclusive("hidden", "unhidden")
	completeWords(cmd, "disk-format", image.DiskFormats...)
	completeWords(cmd, "container-format", image.ContainerFormats...)
	completeWords(cmd, "visibility", strings.Split(visibilities(), ", ")...)
}

// takeName takes the name that is an argument, if there is one.
func (f *fields) takeName(args []string) error {
	if len(args) == 0 {
		return nil
	}
	if f.cmd.Flags().Changed("name") {
		return commandline.Usagef("the name is given twice: %q and --name %q", args[0], f.name)
	}
	return f.cmd.Flags().Set("name", args[0])
}

func visibilities() string {
	var names []string
	for _, v := range image.Visibilities() {
		names = append(names, string(v))
	}
	return strings.Join(names, ", ")
}

// edits returns one edit for each flag that was given, tags excepted.
func (f *fields) edits(op image.EditOp) ([]image.Edit, error) {
	var edits []image.Edit
	set := func(name string, value any) { edits = append(edits, image.Edit{Op: op, Name: name, Value: value}) }
	given := f.cmd.Flags().Changed
	for _, s := range []struct{ flag, field, value string }{{"name", "name", f.name}, {"disk-format", "disk_format", f.diskFormat},
		{"container-format", "container_format", f.containerFormat}, {"owner", "owner", f.owner}, {"visibility", "visibility", f.visibility}} {
		if given(s.flag) {
			set(s.field, s.value)
		}
	}
	for _, v := range image.Visibilities() {
		if on, _ := f.cmd.Flags().GetBool(string(v)); on {
			set("visibility", string(v))
		}
	}
	for _, n := range []struct {
		flag, field string
		value       int64
	}{{"min-disk", "min_disk", f.minDisk}, {"min-ram", "min_ram", f.minRAM}} {
		if n.value < 0 {
			return nil, commandline.Usagef("--%s %d: it cannot be below 0", n.flag, n.value)
		}
		if given(n.flag) {
			set(n.field, json.Number(strconv.FormatInt(n.value, 10)))
		}
	}
	for _, b := range []struct {
		flag, not, field string
		on, off          bool
	}{{"protected", "unprotected", "protected", f.protected, f.unprotected}, {"hidden", "unhidden", "os_hidden", f.hidden, f.unhidden}} {
		if given(b.flag) || given(b.not) {
			set(b.field, b.on || given(b.not) && !b.off)
		}
	}
	for _, p := range f.properties {
		key, value, ok := strings.Cut(p, "=")
		if !ok || key == "" {
			return nil, commandline.Usagef("--property %q: give key=value", p)
		}
		edits = append(edits, image.Edit{Op: image.EditAdd, Name: key, Value: value})
	}
	return edits, nil
}
