// Package imageservice holds the verbs: what a caller can do with images. A verb checks rights and limits, moves bytes
// through ingest and imagestore, and records what happened in metadata. Start reading at Service.As, which gives a
// Session; what the daemon itself does (sweeping, the mount's tree) are methods of Service and Tree.
package imageservice

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/vitrine-image/vitrine/diskformat"
	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/imagestore"
	"github.com/vitrine-image/vitrine/ingest"
	"github.com/vitrine-image/vitrine/internal/qemuimg"
	"github.com/vitrine-image/vitrine/internal/signature"
	"github.com/vitrine-image/vitrine/metadata"
	"github.com/vitrine-image/vitrine/policy"
)

// Limits bound what one image may be. Numbers of properties, tags, members and locations below 0 mean no limit, and 0 that there
// may be none.
type Limits struct {
	ImageSize  int64 // bytes, 0 for no limit
	Properties int
	Tags       int
	Members    int
	Locations  int
}

// DefaultLimits are those of the API that clients know.
var DefaultLimits = Limits{ImageSize: 1 << 40, Properties: 128, Tags: 128, Members: 128, Locations: 10}

// Config is what a Service needs.
type Config struct {
	DB       metadata.DB
	Stores   *imagestore.Set
	Ingest   *ingest.Ingester
	Instance string        // names this process in reservations; unlike that of any process before
	Limits   *Limits       // nil for DefaultLimits
	Formats  image.Formats // that images may be declared to be
	Quotas   QuotaSource   // of projects; nil for none
	// Policy says what callers may do; nil for the built-in rules.
	Policy *policy.Enforcer
	// Protections say which properties they may read and write; nil for all.
	Protections *policy.Protections
	// Signatures verifies the data of signed images; nil refuses it.
	Signatures *signature.Verifier
	// TrashInUse lets DELETE succeed for an image that is open through the mount: its bytes stay until the last
	// handle is closed. Otherwise such a DELETE is refused.
	TrashInUse bool
	Import     ImportConfig
	Locations  LocationConfig
	Tables     *diskformat.Cache  // of the images that are open as disks; nil for one of DefaultTableCache
	Converter  *qemuimg.Converter // to formats that are not made while they are sent, and of imports; nil for none
	Events     EventLog           // nil for none
	Audit      AuditLog           // nil for none
	// Read, unless nil, is told how many bytes that came from a store a caller got.
	Read   func(store string, bytes int64)
	Logger *slog.Logger     // nil discards
	Now    func() time.Time // nil is time.Now
}

// A Service knows the verbs. It is safe for concurrent use.
type Service struct {
	db          metadata.DB
	stores      *imagestore.Set
	ingest      *ingest.Ingester
	instance    string
	limits      Limits
	formats     image.Formats
	quotas      QuotaSource
	trash       bool
	policy      *policy.Enforcer
	protections *policy.Protections
	signatures  *signature.Verifier
	tables      *diskformat.Cache
	events      EventLog                        // nil for none
	audit       AuditLog                        // nil for none
	read        func(store string, bytes int64) // nil for nobody
	log         *slog.Logger
	now         func() time.Time
	holds       *holds
	downloads   *holds // which keep nobody from deleting
	openers     func(img *image.Image) []image.Process
	cloning     *cloning
	conversions *semaphore.Weighted // their memory in bytes
	converter   *qemuimg.Converter  // nil for none
	imports     ImportConfig
	locations   LocationConfig
	tasks       *running
	applied     func(ctx context.Context, sequence int64) error // see Follow

	upkeep map[string]*upkeep // of each store, by its id; the map does not change

	whileOpen     context.Context // of measuring
	stopMeasuring context.CancelFunc
	measuring     sync.WaitGroup // nothing is added once whileOpen has ended

	growing chan struct{} // holds one while a growth changes

	asked atomic.Uint64 // sessions given out, see pace

	mu      sync.Mutex
	uploads map[string]context.CancelCauseFunc // running in this process, by upload id
	growths map[string]*growth                 // of those among them whose size is unknown, and limited by a quota
}

// New returns a service. It starts no goroutines. Close it before its stores.
func New(cfg Config) (*Service, error) {
	switch {
	case cfg.DB == nil:
		return nil, errors.New("imageservice: no database")
	case cfg.Stores == nil:
		return nil, errors.New("imageservice: no stores")
	case cfg.Ingest == nil:
		return nil, errors.New("imageservice: no ingester")
	case cfg.Instance == "":
		return nil, errors.New("imageservice: the instance has no name")
	}
	s := &Service{db: cfg.DB, stores: cfg.Stores, ingest: cfg.Ingest, instance: cfg.Instance, limits: *cmp.Or(cfg.Limits, &DefaultLimits), formats: cfg.Formats, quotas: cfg.Quotas,
		policy: cfg.Policy, protections: cfg.Protections, signatures: cfg.Signatures, tables: cfg.Tables, events: cfg.Events, audit: cfg.Audit, read: cfg.Read,
		trash: cfg.TrashInUse, imports: cfg.Import, locations: cfg.Locations, tasks: newRunning(), log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), now: cfg.Now,
		upkeep: newUpkeep(cfg.Stores), cloning: newCloning(), conversions: semaphore.NewWeighted(conversionMemory), converter: cfg.Converter,
		uploads: make(map[string]context.CancelCauseFunc), growths: make(map[string]*growth), growing: make(chan struct{}, 1)}
	s.holds = newHolds(s.wakeSweeps)
	s.downloads = newHolds(func() {})
	s.whileOpen, s.stopMeasuring = context.WithCancel(context.Background())
	if err := s.checkImports(); err != nil {
		return nil, err
	}
	var err error
	if s.policy == nil {
		if s.policy, err = policy.Open(policy.Config{Logger: cfg.Logger}); err != nil {
			return nil, err
		}
	}
	if s.protections == nil {
		if s.protections, err = policy.OpenProtections(policy.ProtectionsConfig{}); err != nil {
			return nil, err
		}
	}
	if s.signatures == nil {
		if s.signatures, err = signature.New(signature.Config{}); err != nil {
			return nil, err
		}
	}
	if s.tables == nil {
		s.tables = diskformat.NewCache(DefaultTableCache)
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s, nil
}

// A Session is the service as one caller sees it. It is safe for concurrent use.
type Session struct {
	svc    *Service
	caller image.Caller
}

// As returns the service as the caller sees it.
func (s *Service) As(c image.Caller) *Session {
	s.asked.Add(1)
	// An operator may have another idea of who is an admin than the role of that name.
	return &Session{svc: s, caller: c.WithAdmin(s.policy.IsAdmin(context.Background(), c))}
}

// CheckReady reports why the service could not answer now, if so.
func (s *Service) CheckReady(ctx context.Context) error {
	return s.db.Ready(ctx)
}

// timestamp is now, in the resolution that the database keeps.
func (s *Service) timestamp() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
