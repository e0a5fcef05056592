package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/vitrine-image/vitrine/client"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/commandline"
)

// A save is one run of image save.
type save struct {
	*app
	file                string
	format              string
	force, goOn, sparse bool
}

func saveCommand(a *app) *cobra.Command {
	s := &save{app: a}
	cmd := &cobra.Command{
		Use:     "save IMAGE",
		Aliases: []string{"download"},
		Short:   "Save the data of an image to a file or to standard output",
		Long: "Save the data of an image, and verify it by its hash. A file gets its name only when it is complete, verified and\n" +
			"safe on the disk; until then it is a hidden file beside it, which is kept when the connection breaks, so that\n" +
			"--continue can go on from there. Runs of zeros become holes. What goes to standard output is verified as well, but\n" +
			"it is out by then: look at the exit status.\n" +
			"--format has the server convert the disk in the image. There is no hash to verify a conversion by, and --continue does not go\n" +
			"on with one; for formats other than raw and qcow2 it needs qemu-img, and the first byte comes when all are made. Of a disk\n" +
			"that is converted to raw and saved to a file, only what holds data is sent, in several parts at a time; --sparse saves the\n" +
			"data of any image so.",
		Example: "  vitrine image save --file debian-12.qcow2 debian-12\n" +
			"  vitrine image save --format raw --file debian-12.raw debian-12\n" +
			"  vitrine image save debian-12 | ssh elsewhere 'cat > debian-12.qcow2'",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeImages(1),
		RunE:              func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&s.file, "file", "-", "`FILE` to write, - for standard output")
	cmd.Flags().BoolVar(&s.force, "force", false, "overwrite the file if there is one")
	cmd.Flags().StringVar(&s.format, "format", "", "convert the disk to `FORMAT`: raw, qcow2, vdi, vhd, vhdx or vmdk")
	cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{"raw", "qcow2", "vdi", "vhd", "vhdx", "vmdk"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().BoolVar(&s.sparse, "sparse", false, "let the server send only what holds data")
	cmd.Flags().BoolVar(&s.goOn, "continue", false, "go on with what an earlier run has kept")
	return cmd
}

func (s *save) run(cmd *cobra.Command, ref string) error {
	out := cmd.OutOrStdout()
	switch {
	case s.file == "-" && (s.force || s.goOn || s.json || s.sparse):
		return commandline.Usagef("--force, --continue, --sparse and --json go with --file")
	case s.goOn && s.sparse:
		return commandline.Usagef("--continue does not go with --sparse")
	case s.file == "-" && isTerminal(out):
		return commandline.Usagef("standard output is a terminal: give --file, or redirect it")
	}
	img, err := s.find(cmd.Context(), ref)
	if err != nil {
		return err
	}
	if img.IsIn(s.format) {
		s.format = ""
	}
	switch {
	case s.file == "-":
		return onImage(ref, s.transfer(cmd, img.ID, client.DownloadOptions{Format: s.format}, out))
	case s.format != "" && s.goOn:
		return commandline.Usagef("--continue does not go with a conversion")
	}
	p, err := openPart(s.file, img.ID, s.force, s.goOn)
	if err != nil {
		return onImage(ref, err)
	}
	if err := s.saveTo(cmd, img.ID, p); err != nil {
		return onImage(ref, err)
	}
	if s.json {
		return s.writeImage(out, img)
	}
	return nil
}

// saveTo fills the part and gives it its name. When it fails it keeps what is worth being kept.
func (s *save) saveTo(cmd *cobra.Command, id image.ID, p *part) error {
	sparse := s.sparse || s.format == "raw"
	var err error
	if sparse {
		err = s.transferSparse(cmd, id, p)
	} else {
		err = s.transfer(cmd, id, client.DownloadOptions{Have: p.have(), Format: s.format}, p)
	}
	if err == nil {
		return p.publish()
	}
	resumable := !sparse && s.format == "" && p.size > 0
	if resumable && (cmd.Context().Err() != nil || errors.Is(err, client.ErrUnreachable)) && p.keep() == nil {
		return &hinted{err, fmt.Sprintf("%s are kept, go on with --continue", bytesText(p.size))}
	}
	p.remove()
	return err
}

// transfer downloads to w, behind what is there already, and shows how far it is.
func (s *save) transfer(cmd *cobra.Command, id image.ID, opts client.DownloadOptions, w io.Writer) error {
	d, err := s.conn.Download(cmd.Context(), id, opts)
	if err != nil {
		return err
	}
	defer d.Close()
	bar := s.newBar(cmd.ErrOrStderr(), "saving", d.Size(), d.Start())
	defer bar.finish()
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{bar.reader(d)}, make([]byte, copyBuffer)); err != nil {
		return err
	}
	bar.finish()
	s.tellUnverified(cmd, d.Algorithm())
	return context.Cause(cmd.Context())
}

// transferSparse downloads to p what the data holds, and shows how far it is.
func (s *save) transferSparse(cmd *cobra.Command, id image.ID, p *part) error {
	var bar *bar
	algorithm, err := s.conn.DownloadSparse(cmd.Context(), id, p, client.SparseOptions{Format: s.format,
		Begin: func(size int64) { bar = s.newBar(cmd.ErrOrStderr(), "saving", size, 0) },
		Done:  func(n int64) { bar.add(n) },
	})
	bar.finish()
	if err != nil {
		return err
	}
	s.tellUnverified(cmd, algorithm)
	return context.Cause(cmd.Context())
}

// tellUnverified warns when there was no hash. A conversion never has one.
func (s *save) tellUnverified(cmd *cobra.Command, algorithm string) {
	if algorithm == "" && s.format == "" && !s.quiet {
		fmt.Fprintln(cmd.ErrOrStderr(), "vitrine: the data could not be verified, since the image has no hash that is known")
	}
}

const copyBuffer = 1 << 20
