package glance

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/metadata"
)

// A Config says what is to be adopted, and into what.
type Config struct {
	Source *Source
	DB     metadata.DB
	Places []Place
	Key    string           // metadata_encryption_key of Glance, "" for none
	Now    func() time.Time // nil for time.Now
}

// Adopt takes over images with their members, tags, properties and locations, metadata definitions and tasks, all with their ids. It
// can be repeated: what has changed in Glance since is changed here, what was changed here is left as it is and named. What cannot
// be taken over is named too, and is no error. An error may come after a part was taken over, which another run completes.
func Adopt(ctx context.Context, cfg Config) (*Report, error) {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	a := &adopter{Config: cfg}
	a.report.Problems, a.report.Remarks = []Problem{}, []Problem{}
	if err := a.metadefs(ctx); err != nil {
		return nil, err
	}
	if err := a.images(ctx); err != nil {
		return nil, err
	}
	return &a.report, a.tasks(ctx)
}

type adopter struct {
	Config
	report Report
}

// images goes through all images of Glance, a page in each transaction.
func (a *adopter) images(ctx context.Context) error {
	for after := ""; ; {
		page, err := a.Source.images(ctx, after)
		if err != nil || len(page) == 0 {
			return err
		}
		after = page[len(page)-1].id
		var done Report
		err = a.DB.Update(ctx, func(tx metadata.WriteTx) error {
			done = Report{}
			for _, r := range page {
				if err := a.image(tx, &done, r); err != nil {
					return fmt.Errorf("image %s of Glance: %w", r.id, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		a.report.add(&done)
	}
}

func (r *Report) add(more *Report) {
	for _, pair := range [][2]*Counts{{&r.Images, &more.Images}, {&r.Members, &more.Members}, {&r.Tasks, &more.Tasks}, {&r.Metadefs, &more.Metadefs}} {
		to, from := pair[0], pair[1]
		to.Added += from.Added
		to.Changed += from.Changed
		to.Removed += from.Removed
		to.Unchanged += from.Unchanged
		to.Left += from.Left
	}
	r.Bytes += more.Bytes
	r.Deleted += more.Deleted
	r.Scrub += more.Scrub
	r.Problems = append(r.Problems, more.Problems...)
	r.Remarks = append(r.Remarks, more.Remarks...)
}

func about(r *record, text string) Problem {
	p := Problem{Kind: "image", ID: r.id, Text: text}
	if r.image.Name != nil {
		p.Name = *r.image.Name
	}
	return p
}

// image takes over one image.
func (a *adopter) image(tx metadata.WriteTx, report *Report, r *record) error {
	id, ok := image.ParseID(r.id)
	if !ok || string(id) != r.id {
		report.leave(r, "its id is no UUID in lower case")
		return nil
	}
	have, err := tx.Image(id)
	if err != nil && !errors.Is(err, image.ErrNotFound) {
		return err
	}
	if !r.deletedAt.IsZero() {
		return a.deleted(tx, report, r, have)
	}
	if have == nil {
		return a.create(tx, report, r, id)
	}
	return a.change(tx, report, r, have)
}

// leave counts an image that is not taken over.
func (report *Report) leave(r *record, text string) {
	report.Images.Left++
	report.Problems = append(report.Problems, about(r, text))
}

// deleted removes what Glance has deleted since it was adopted.
func (a *adopter) deleted(tx metadata.WriteTx, report *Report, r *record, have *image.Image) error {
	switch {
	case have == nil:
		report.Deleted++
		if r.image.Status == image.PendingDelete {
			report.Scrub++
		}
		return nil
	case have.UpdatedAt.After(r.deletedAt):
		report.leave(r, "it was deleted in Glance, and had been changed here")
		return nil
	}
	have.Status, have.UpdatedAt = image.Deleted, r.deletedAt
	report.Images.Removed++
	return tx.SaveImage(have)
}

// create makes an image that is not here.
func (a *adopter) create(tx metadata.WriteTx, report *Report, r *record, id image.ID) error {
	img, remarks, err := a.translate(r, id)
	if err != nil {
		report.leave(r, err.Error())
		return nil
	}
	err = tx.CreateImage(img)
	if errors.Is(err, image.ErrConflict) || errors.Is(err, image.ErrInvalid) {
		report.leave(r, cannot(err, "it was deleted here"))
		return nil
	}
	if err != nil {
		return err
	}
	report.Images.Added++
	report.count(r, img, remarks)
	return a.members(tx, report, r, img)
}

// cannot returns why something is not taken over.
func cannot(err error, conflict string) string {
	if errors.Is(err, image.ErrConflict) {
		return conflict
	}
	return err.Error()
}

// count adds what is here of an image.
func (report *Report) count(r *record, img *image.Image, remarks []string) {
	if img.Size != nil {
		report.Bytes += *img.Size * int64(len(img.Locations))
	}
	for _, text := range remarks {
		report.Remarks = append(report.Remarks, about(r, text))
	}
}

// change brings an image up to date that is here, unless it was changed here since.
func (a *adopter) change(tx metadata.WriteTx, report *Report, r *record, have *image.Image) error {
	img, remarks, err := a.translate(r, have.ID)
	if err != nil {
		report.leave(r, err.Error())
		return nil
	}
	img.Number = have.Number
	if img.VirtualSize == nil {
		img.VirtualSize = have.VirtualSize // found here
	}
	switch {
	case equal(img, have):
		report.Images.Unchanged++
	case have.UpdatedAt.After(img.UpdatedAt):
		report.leave(r, "it was changed here and is left as it is")
		return nil
	default:
		if err := tx.SaveImage(img); errors.Is(err, image.ErrInvalid) {
			report.leave(r, err.Error())
			return nil
		} else if err != nil {
			return err
		}
		report.Images.Changed++
	}
	report.count(r, img, remarks)
	return a.members(tx, report, r, img)
}

// equal tells whether nothing differs but when they were changed last.
func equal(a, b *image.Image) bool {
	plain := func(img *image.Image) []any {
		return []any{img.Owner, img.Status, img.Visibility, img.Protected, img.Hidden, img.DiskFormat, img.ContainerFormat, img.MinDisk, img.MinRAM,
			img.Checksum, img.HashAlgo, img.HashValue}
	}
	return slices.Equal(plain(a), plain(b)) && same(a.Name, b.Name) && same(a.Size, b.Size) && same(a.VirtualSize, b.VirtualSize) &&
		slices.Equal(a.Tags, b.Tags) && maps.Equal(a.Properties, b.Properties) &&
		slices.EqualFunc(a.Locations, b.Locations, func(l, m image.Location) bool {
			return l.Store == m.Store && l.URL == m.URL && maps.Equal(l.Metadata, m.Metadata)
		})
}

func same[T comparable](a, b *T) bool { return a == b || a != nil && b != nil && *a == *b }

// translate returns the image as it is to be here, and what of it is otherwise than in Glance. The error says why it cannot be.
func (a *adopter) translate(r *record, id image.ID) (img *image.Image, remarks []string, err error) {
	img = r.image.Clone()
	img.ID = id
	if !slices.Contains([]image.Visibility{image.Public, image.Community, image.Shared, image.Private}, img.Visibility) {
		return nil, nil, fmt.Errorf("its visibility %q is unknown", img.Visibility)
	}
	if err := img.CheckText(); err != nil {
		return nil, nil, err
	}
	switch img.Status {
	case image.Active, image.Deactivated:
	case image.Queued:
		return img, nil, nil
	case image.Saving, image.Uploading, image.Importing:
		remarks = append(remarks, fmt.Sprintf("it was %s and is queued: its data has to be sent again", img.Status))
		img.Status = image.Queued
		img.Size, img.VirtualSize, img.Checksum, img.HashAlgo, img.HashValue = nil, nil, "", "", ""
		return img, remarks, nil
	default:
		return nil, nil, fmt.Errorf("it is %s", img.Status)
	}
	for _, l := range r.locations {
		loc, err := a.locate(l)
		if err != nil {
			remarks = append(remarks, err.Error())
			continue
		}
		img.Locations = append(img.Locations, loc)
	}
	if len(img.Locations) == 0 {
		return nil, nil, errors.New(cmp.Or(strings.Join(remarks, "; "), "it has no location"))
	}
	return img, remarks, nil
}

// locate says in our words where data lies.
func (a *adopter) locate(l location) (image.Location, error) {
	if !isURL(l.url) {
		if a.Key == "" {
			return image.Location{}, errors.New("its location is encrypted: Glance's metadata_encryption_key is needed")
		}
		var err error
		if l.url, err = decrypt(a.Key, l.url); err != nil {
			return image.Location{}, err
		}
	}
	return place(a.Places, l)
}

// members brings the members of an image up to date; those that were added here stay.
func (a *adopter) members(tx metadata.WriteTx, report *Report, r *record, img *image.Image) error {
	if len(r.members) == 0 {
		return nil
	}
	have, err := tx.Members(img.Number)
	if err != nil {
		return err
	}
	slices.SortStableFunc(r.members, func(x, y member) int { return x.UpdatedAt.Compare(y.UpdatedAt) }) // one that was made anew counts last
	latest := make(map[string]member)
	for _, m := range r.members {
		latest[m.Project] = m
	}
	for _, project := range slices.Sorted(maps.Keys(latest)) {
		at := slices.IndexFunc(have, func(m image.Member) bool { return m.Project == project })
		var old *image.Member
		if at >= 0 {
			old = &have[at]
		}
		if err := a.member(tx, &report.Members, img.Number, latest[project], old); errors.Is(err, image.ErrInvalid) {
			report.Members.Left++
			report.Problems = append(report.Problems, Problem{Kind: "member", ID: r.id, Name: project, Text: err.Error()})
		} else if err != nil {
			return err
		}
	}
	return nil
}

// member takes over one membership; old is what is here of it, or nil.
func (a *adopter) member(tx metadata.WriteTx, counts *Counts, number int64, m member, old *image.Member) error {
	gone := !m.deletedAt.IsZero()
	changed := cmp.Or(m.deletedAt, m.UpdatedAt)
	switch {
	case old == nil && gone:
		return nil
	case old == nil:
		if err := tx.SaveMember(number, m.Project, m.Status, m.CreatedAt); err != nil {
			return err
		}
		counts.Added++
		if m.UpdatedAt.Equal(m.CreatedAt) {
			return nil
		}
		return tx.SaveMember(number, m.Project, m.Status, m.UpdatedAt)
	case !gone && old.Status == m.Status:
		counts.Unchanged++
		return nil
	case old.UpdatedAt.After(changed):
		counts.Left++ // changed here since
		return nil
	case gone:
		counts.Removed++
		return tx.RemoveMember(number, m.Project)
	}
	counts.Changed++
	return tx.SaveMember(number, m.Project, m.Status, m.UpdatedAt)
}
