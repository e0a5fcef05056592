package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/registeredlimits"
	"golang.org/x/sync/singleflight"
)

// LimitsConfig says whose limits Keystone is asked for.
type LimitsConfig struct {
	Service   string        // id, name or type; "image" by default
	Region    string        // id; "" takes limits without a region only
	CacheTime time.Duration // how long an answer is taken as true, a minute by default
	Resources []string      // whose limits are missed in the log when Keystone has none
}

const (
	maxLimited    = 10_000           // of so many projects the limits are kept
	limitsRetry   = 30 * time.Second // how often Keystone is asked whether it is back
	limitsPatient = 2 * time.Second  // how long it may take where an older answer is known
)

// Limits are the unified limits of Keystone: registered ones for every project, and those of single projects in their
// place. It is what oslo.limit is to a service in Python. What is known is used for as long as Keystone is away.
type Limits struct {
	cfg    LimitsConfig
	wait   time.Duration // for an answer where none is known
	server *keystoneServer
	known  *recent[string, limited] // by project, "" for the registered ones
	asking singleflight.Group       // by the same

	missing []string // resources that were logged; one goroutine at a time asks for registered limits
}

// limited is an answer of Keystone. It is never changed.
type limited struct {
	service string // id
	limits  map[string]int64
	fresh   time.Time // until when it is not asked again
}

// NewLimits checks both configurations. It asks Keystone nothing yet. The login is scoped to the system, where its user
// needs the role reader: Keystone shows a project's service nothing of other projects.
func NewLimits(server KeystoneConfig, cfg LimitsConfig) (*Limits, error) {
	if server.Login.ApplicationCredentialID != "" {
		return nil, errors.New("auth: an application credential is of a project and sees no limits of others; let a user log in by password")
	}
	server.Login.Scope = &gophercloud.AuthScope{System: true}
	server, err := server.complete()
	if err != nil {
		return nil, err
	}
	l := &Limits{cfg: cfg, wait: server.Timeout, known: newRecent[string, limited](maxLimited)}
	l.cfg.Service = cmp.Or(cfg.Service, serviceType)
	l.cfg.CacheTime = cmp.Or(cfg.CacheTime, time.Minute)
	if l.server, err = newKeystoneServer(server, server.transport()); err != nil {
		return nil, err
	}
	return l, nil
}

// Of returns the limits of a project by resource; below 0 is none. What Keystone has no limit for is not there.
// Error: image.ErrUnavailable, only while nothing is known of the project.
func (l *Limits) Of(ctx context.Context, project string) (map[string]int64, error) {
	registered, err := l.answer(ctx, "", l.askRegistered)
	if err != nil {
		return nil, err
	}
	own, err := l.answer(ctx, project, func(ctx context.Context, own string) (limited, error) {
		return l.askProject(ctx, own, registered.service, project)
	})
	if err != nil {
		return nil, err
	}
	all := maps.Clone(registered.limits)
	maps.Copy(all, own.limits)
	return all, nil
}

// answer returns what is known, and asks before if that is too old.
func (l *Limits) answer(ctx context.Context, key string, question func(ctx context.Context, own string) (limited, error)) (*limited, error) {
	if old := l.known.get(key); old != nil && time.Now().Before(old.fresh) {
		return old, nil
	}
	// Those who ask at the same time share the answer, so none of them may call it off.
	found, err, _ := l.asking.Do(key, func() (any, error) {
		wait, old := l.wait, l.known.get(key)
		if old != nil {
			if time.Now().Before(old.fresh) { // another had just asked
				return old, nil
			}
			wait = min(wait, limitsPatient)
		}
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), wait)
		defer stop()
		var now limited
		err := l.server.ask(ctx, func(own string) (err error) {
			now, err = question(ctx, own)
			return err
		})
		switch {
		case err == nil:
			l.server.available()
			now.fresh = time.Now().Add(l.cfg.CacheTime)
		case old != nil:
			l.unavailable(err)
			now = *old
			now.fresh = time.Now().Add(limitsRetry)
		default:
			return nil, l.unavailable(err)
		}
		l.known.put(key, &now)
		return &now, nil
	})
	if err != nil {
		return nil, err
	}
	return found.(*limited), nil
}

func (l *Limits) unavailable(err error) error {
	problem := "Keystone does not tell the limits of projects"
	var refused *loginError
	var missing *noService
	switch {
	case errors.As(err, &refused) && isRefusal(refused.error), gophercloud.ResponseCodeIs(err, http.StatusForbidden):
		problem = "Keystone refuses to tell the limits of projects; the user of [auth.keystone] needs the role reader on the system"
	case errors.As(err, &missing):
		problem = "Keystone does not know whose limits to tell; check [quotas.keystone]"
	}
	return l.server.unavailable(problem, err)
}

// askRegistered finds the service and its limits for every project.
func (l *Limits) askRegistered(ctx context.Context, own string) (limited, error) {
	service, err := l.findService(ctx, own)
	if err != nil {
		return limited{}, err
	}
	query, err := registeredlimits.ListOpts{ServiceID: service}.ToRegisteredLimitListQuery()
	if err != nil {
		return limited{}, err
	}
	var found registeredlimits.RegisteredLimitsOutput
	if err := l.get(ctx, own, "registered_limits"+query, &found); err != nil {
		return limited{}, err
	}
	answer := limited{service: service, limits: make(map[string]int64)}
	for _, region := range l.regions() {
		for _, r := range found.RegisteredLimits {
			if r.RegionID == region {
				answer.limits[r.ResourceName] = int64(r.DefaultLimit)
			}
		}
	}
	l.warnOfMissing(answer.limits)
	return answer, nil
}

// askProject finds the limits of a project in place of the registered ones.
func (l *Limits) askProject(ctx context.Context, own, service, project string) (limited, error) {
	query, err := limits.ListOpts{ServiceID: service, ProjectID: project}.ToLimitListQuery()
	if err != nil {
		return limited{}, err
	}
	var found limits.LimitsOutput
	if err := l.get(ctx, own, "limits"+query, &found); err != nil {
		return limited{}, err
	}
	answer := limited{limits: make(map[string]int64)}
	for _, region := range l.regions() {
		for _, r := range found.Limits {
			if r.RegionID == region && r.ProjectID == project {
				answer.limits[r.ResourceName] = int64(r.ResourceLimit)
			}
		}
	}
	return answer, nil
}

// regions are those whose limits count, the last one most.
func (l *Limits) regions() []string { return slices.Compact([]string{"", l.cfg.Region}) }

// A noService says that the catalog of services has not the one of the configuration.
type noService struct{ error }

// findService returns the id of the service.
func (l *Limits) findService(ctx context.Context, own string) (string, error) {
	var found struct {
		Services []struct {
			ID   string `json:"id"`
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"services"`
	}
	if err := l.get(ctx, own, "services", &found); err != nil {
		return "", err
	}
	var byName, byType []string
	for _, s := range found.Services {
		switch l.cfg.Service {
		case s.ID:
			return s.ID, nil
		case s.Name:
			byName = append(byName, s.ID)
		case s.Type:
			byType = append(byType, s.ID)
		}
	}
	if byName == nil {
		byName = byType
	}
	if len(byName) != 1 {
		return "", &noService{fmt.Errorf("%d services of Keystone have the name or type %q, not one", len(byName), l.cfg.Service)}
	}
	return byName[0], nil
}

func (l *Limits) get(ctx context.Context, own, path string, answer any) error {
	_, err := l.server.client.Get(ctx, l.server.client.Endpoint+path, answer,
		&gophercloud.RequestOpts{OkCodes: []int{http.StatusOK}, MoreHeaders: map[string]string{"X-Auth-Token": own}})
	return err
}

// warnOfMissing logs what Keystone has no limit for, when that has changed.
func (l *Limits) warnOfMissing(found map[string]int64) {
	var missing []string
	for _, resource := range l.cfg.Resources {
		if _, ok := found[resource]; !ok {
			missing = append(missing, resource)
		}
	}
	if len(missing) > 0 && !slices.Equal(missing, l.missing) {
		l.server.log.Error("Keystone has no registered limit, so projects may use nothing of it", "resources", missing,
			"service", l.cfg.Service, "region", l.cfg.Region)
	}
	l.missing = missing
}
