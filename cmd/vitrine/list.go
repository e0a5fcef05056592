package main

import (
	"iter"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// pageSize is how many images one request asks for: the most that the API gives.
const pageSize = 1000

// A list is one run of image list.
type list struct {
	*app
	name, status, visibility, owner, diskFormat, memberStatus, sort string
	properties, tags                                                []string
	hidden, protected                                               bool
	limit                                                           int
}

func listCommand(a *app) *cobra.Command {
	l := &list{app: a}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List images, newest first",
		Long:  "List the images that match all of the flags, newest first unless --sort says otherwise. With --json the list is one\ndocument, {\"images\": [...]}, with one image of the API in each line.",
		Example: "  vitrine image list --tag lts --property os_distro=debian --sort size:desc\n" +
			"  vitrine image list --json | jq -r '.images[] | select(.status == \"active\") | .id'",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&l.name, "name", "", "only images of this `NAME`")
	flags.StringVar(&l.status, "status", "", "only images of this `STATUS`, such as active or queued")
	flags.StringVar(&l.visibility, "visibility", "", "only images of this `VISIBILITY`: "+visibilities()+", or all, which adds the community images of others")
	flags.StringVar(&l.owner, "owner", "", "only images of the `PROJECT` with this id")
	flags.StringVar(&l.diskFormat, "disk-format", "", "only images of this disk `FORMAT`")
	flags.StringVar(&l.memberStatus, "member-status", "", "`STATUS` of images that are shared with you: accepted (the default), pending, rejected or all")
	flags.StringArrayVar(&l.tags, "tag", nil, "only images with this `TAG`; may be repeated")
	flags.StringArrayVar(&l.properties, "property", nil, "only images with this property, as `KEY=VALUE`; may be repeated")
	flags.BoolVar(&l.hidden, "hidden", false, "only hidden images, which are left out otherwise")
	flags.BoolVar(&l.protected, "protected", false, "only protected images, or with --protected=false only the others")
	flags.StringVar(&l.sort, "sort", "", "`KEYS` to sort by, as key[:asc|:desc],...: "+sortKeys())
	flags.IntVar(&l.limit, "limit", 0, "at most `N` images (default: all)")
	completeWords(cmd, "status", "active", "queued", "saving", "importing", "uploading", "deactivated")
	completeWords(cmd, "visibility", append(strings.Split(visibilities(), ", "), "all")...)
	completeWords(cmd, "disk-format", image.DiskFormats...)
	completeWords(cmd, "member-status", "accepted", "pending", "rejected", "all")
	completeWords(cmd, "sort", strings.Split(sortKeys(), ", ")...)
	return cmd
}

func sortKeys() string {
	var keys []string
	for _, f := range image.SortFields() {
		keys = append(keys, string(f))
	}
	return strings.Join(keys, ", ")
}

func (l *list) run(cmd *cobra.Command) error {
	q, err := l.query(cmd)
	if err != nil {
		return err
	}
	conn, err := l.client()
	if err != nil {
		return err
	}
	images := conn.List(cmd.Context(), q)
	if cmd.Flags().Changed("limit") {
		images = first(images, l.limit)
	}
	return l.writeImages(cmd.OutOrStdout(), images)
}

// query turns the flags into what the client asks for.
func (l *list) query(cmd *cobra.Command) (image.Query, error) {
	q := image.Query{Visibility: image.Visibility(l.visibility), MemberStatus: l.memberStatus, Hidden: l.hidden, Tags: l.tags, Limit: pageSize}
	if cmd.Flags().Changed("limit") {
		if l.limit < 0 {
			return q, commandline.Usagef("--limit %d: it cannot be below 0", l.limit)
		}
		q.Limit = min(l.limit, pageSize)
	}
	for _, f := range []struct {
		flag  string
		field image.Field
		value string
	}{{"name", image.FieldName, l.name}, {"status", image.FieldStatus, l.status}, {"owner", image.FieldOwner, l.owner},
		{"disk-format", image.FieldDiskFormat, l.diskFormat}} {
		if cmd.Flags().Changed(f.flag) {
			q.Filters = append(q.Filters, image.Filter{Field: f.field, Op: image.OpEqual, Strings: []string{f.value}})
		}
	}
	if cmd.Flags().Changed("protected") {
		q.Filters = append(q.Filters, image.Filter{Field: image.FieldProtected, Op: image.OpEqual, Bool: l.protected})
	}
	for _, p := range l.properties {
		key, value, ok := strings.Cut(p, "=")
		if !ok || key == "" {
			return q, commandline.Usagef("--property %q: give key=value", p)
		}
		q.Filters = append(q.Filters, image.Filter{Property: key, Op: image.OpEqual, Strings: []string{value}})
	}
	if l.sort == "" {
		return q, nil
	}
	for key := range strings.SplitSeq(l.sort, ",") {
		name, direction, _ := strings.Cut(key, ":")
		if !slices.Contains(image.SortFields(), image.Field(name)) || direction != "" && direction != "asc" && direction != "desc" {
			return q, commandline.Usagef("--sort %q: the keys are %s, each with :asc or :desc if you like", l.sort, sortKeys())
		}
		q.Sort = append(q.Sort, image.SortKey{Field: image.Field(name), Desc: direction == "desc"})
	}
	return q, nil
}

// first returns the first n elements of a sequence, and does not begin it when n is 0.
func first[T any](seq iter.Seq2[T, error], n int) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if n == 0 {
			return
		}
		left := n
		for v, err := range seq {
			if left--; !yield(v, err) || left == 0 {
				return
			}
		}
	}
}
