// Package importer carries out the imports that the service has accepted: each is a task in the database, which survives a
// restart. It fetches data into the staging area where that is needed, and brings it into each of the stores. What is recorded,
// and when, is the service's business (see Images); what is done in which order, and what a person is told of it, is this
// package's. Start reading at Importer.Run and work.
package importer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/outbound"
	"github.com/vitrine-image/vitrine/internal/qemuimg"
)

// Images is what an importer needs of the service; *imageservice.Service has it.
type Images interface {
	RunTask(ctx context.Context, run func(context.Context, *image.Task) error) (ran bool, err error)
	ReleaseTask(ctx context.Context, task *image.Task) error
	Progress(ctx context.Context, task *image.Task, message string) error
	EndImport(ctx context.Context, task *image.Task, plan *image.ImportPlan, failed bool, message string) error
	TaskAdded() <-chan struct{}
	TaskToken(task *image.Task) image.Secret

	ImportedImage(ctx context.Context, task *image.Task) (*image.Image, error)
	OpenStaged(ctx context.Context, img *image.Image) (imagestore.Reader, error)
	ConvertStaged(ctx context.Context, img *image.Image, format string) (*qemuimg.File, error)
	HashAlgo() string
	SumDisk(ctx context.Context, task *image.Task, max int64, watch func(io.Reader) io.Reader) error
	OpenImported(ctx context.Context, img *image.Image) (imagestore.Reader, error)
	Judged(img *image.Image) bool
	Receive(ctx context.Context, task *image.Task, plan *image.ImportPlan, store string, req ingest.Request) error

	Adopt(ctx context.Context, task *image.Task, plan *image.ImportPlan) error
	Examine(ctx context.Context, task *image.Task, plan *image.ImportPlan, watch func(io.Reader) io.Reader) error
	EndLocation(ctx context.Context, task *image.Task, failed bool, message string) error
}

// A Remote is the Image API of another region.
type Remote interface {
	// Download opens the data of an image there, size bytes or -1. What comes is compared with the image's hash.
	Download(ctx context.Context, endpoint string, token image.Secret, id image.ID) (img *image.Image, data io.ReadCloser, size int64, err error)
}

// Config is what an Importer needs.
type Config struct {
	Images   Images
	Outgoing *outbound.Client // for image.ImportURL
	Remote   Remote           // for image.ImportDownload
	Workers  int              // imports at once, 0 for 4
	MaxSize  int64            // bytes of an image, 0 for no limit
	Retries  int              // how often the data of a location is read again that could not be read
	DiskSums int64            // bytes of the longest disk whose sum is made, beside that of the data; 0 for none
	Plugins  PluginConfig
	Logger   *slog.Logger     // nil discards
	Now      func() time.Time // nil is time.Now
}

// An Importer works on tasks.
type Importer struct {
	images   Images
	outgoing *outbound.Client
	remote   Remote
	workers  int
	maxSize  int64
	retries  int
	pause    time.Duration // before each
	diskSums int64
	plugins  PluginConfig
	log      *slog.Logger
	now      func() time.Time
}

// New checks the configuration.
func New(cfg Config) (*Importer, error) {
	if cfg.Images == nil {
		return nil, errors.New("importer: no service")
	}
	if err := cfg.Plugins.check(); err != nil {
		return nil, err
	}
	imp := &Importer{plugins: cfg.Plugins, diskSums: cfg.DiskSums, images: cfg.Images, outgoing: cfg.Outgoing, remote: cfg.Remote, workers: cmp.Or(cfg.Workers, 4), maxSize: cfg.MaxSize, retries: cfg.Retries, pause: 5 * time.Second,
		log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), now: cfg.Now}
	if imp.now == nil {
		imp.now = time.Now
	}
	return imp, nil
}

// lookEvery is how often an importer looks for tasks that it was not told of: those of a process that died.
const lookEvery = 30 * time.Second

// Run works on tasks until ctx ends, and gives back what it has not finished then. It returns nil.
func (imp *Importer) Run(ctx context.Context) error {
	var g errgroup.Group
	for range imp.workers {
		g.Go(func() error {
			imp.loop(ctx)
			return nil
		})
	}
	return g.Wait()
}

func (imp *Importer) loop(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		ran, err := imp.images.RunTask(ctx, imp.run)
		if err != nil && ctx.Err() == nil {
			imp.log.ErrorContext(ctx, "an import could not be recorded and will be tried again", "error", err)
		}
		if ran && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		case <-imp.images.TaskAdded():
		}
	}
}

// maxAttempts is how often a task is taken up: what ends the process each time is given up.
const maxAttempts = 5

// run works on one task to its end.
func (imp *Importer) run(ctx context.Context, task *image.Task) error {
	plan, err := task.Plan()
	if err != nil {
		imp.log.ErrorContext(ctx, "the state of a task cannot be read", "task_id", task.ID, "image_id", task.ImageID, "error", err)
		return imp.images.EndImport(ctx, task, &image.ImportPlan{}, true, "What the import was to do cannot be read any more. Ask for it again.")
	}
	job := &job{Importer: imp, task: task, plan: plan}
	work := job.work
	if plan.Location != nil {
		work = job.addLocation
	}
	err = work(ctx)
	if ctx.Err() != nil {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), releaseTimeout)
		defer stop()
		return imp.images.ReleaseTask(ctx, task)
	}
	if errors.Is(err, image.ErrUnavailable) { // the database, which has to record the end as well
		return err
	}
	if plan.Location != nil {
		return job.endLocation(ctx, err)
	}
	failed, message := job.outcome(ctx, err)
	return imp.images.EndImport(ctx, task, plan, failed, message)
}

const releaseTimeout = 5 * time.Second
