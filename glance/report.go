package glance

import (
	"fmt"
	"io"

	"github.com/vitrine-image/vitrine/internal/bytesize"
)

// A Report is what came of an adoption.
type Report struct {
	DryRun   bool      `json:"dry_run"`
	Images   Counts    `json:"images"`
	Members  Counts    `json:"members"`
	Tasks    Counts    `json:"tasks"`
	Metadefs Counts    `json:"metadefs"` // namespaces
	Bytes    int64     `json:"bytes"`    // of the images that are here now, each location counted
	Deleted  int       `json:"deleted"`  // images that Glance has deleted, and nobody knows here
	Scrub    int       `json:"scrub"`    // of them, those whose data Glance was still to remove
	Verified *Verified `json:"verified,omitempty"`
	Problems []Problem `json:"problems"` // what was not taken over, or has bad data
	Remarks  []Problem `json:"remarks"`  // what was taken over otherwise than it stood in Glance
}

// Counts says how many things were made here, changed, removed, the same already, and left as they are.
type Counts struct {
	Added     int `json:"added"`
	Changed   int `json:"changed"`
	Removed   int `json:"removed"`
	Unchanged int `json:"unchanged"`
	Left      int `json:"left"` // for a reason that Problems or Remarks names
}

// Verified says what was read again.
type Verified struct {
	Images int   `json:"images"`
	Bytes  int64 `json:"bytes"`
	NoHash int   `json:"no_hash"` // images of which Glance knew no hash: they were read, and have the right size
	Bad    int   `json:"bad"`
}

// A Problem is about one thing.
type Problem struct {
	Kind string `json:"kind"` // image, member, task or metadef
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
	Text string `json:"text"`
}

func (p Problem) String() string {
	if p.Name == "" {
		return fmt.Sprintf("%s %s: %s", p.Kind, p.ID, p.Text)
	}
	return fmt.Sprintf("%s %s (%q): %s", p.Kind, p.ID, p.Name, p.Text)
}

// Write prints the report for a person.
func (r *Report) Write(w io.Writer) {
	for _, list := range []struct {
		title    string
		problems []Problem
	}{{"Otherwise than in Glance", r.Remarks}, {"Not taken over, or bad", r.Problems}} {
		if len(list.problems) > 0 {
			fmt.Fprintf(w, "%s:\n", list.title)
		}
		for _, p := range list.problems {
			fmt.Fprintf(w, "  %s\n", p)
		}
	}
	for _, row := range []struct {
		what string
		Counts
	}{{"Images", r.Images}, {"Members", r.Members}, {"Tasks", r.Tasks}, {"Namespaces", r.Metadefs}} {
		fmt.Fprintf(w, "%-11s %d added, %d changed, %d removed, %d unchanged, %d left\n", row.what+":", row.Added, row.Changed, row.Removed,
			row.Unchanged, row.Left)
	}
	fmt.Fprintf(w, "Data:       %s, where it was\n", bytesize.Format(r.Bytes))
	if r.Deleted > 0 {
		fmt.Fprintf(w, "Deleted in Glance, and not taken over: %d", r.Deleted)
		if r.Scrub > 0 {
			fmt.Fprintf(w, "; of these %d wait for glance-scrubber to remove their data", r.Scrub)
		}
		fmt.Fprintln(w)
	}
	if v := r.Verified; v != nil {
		fmt.Fprintf(w, "Verified:   %d images, %s; %d without a hash, %d bad\n", v.Images, bytesize.Format(v.Bytes), v.NoHash, v.Bad)
	}
	if r.DryRun {
		fmt.Fprintln(w, "Nothing was changed.")
	}
}
