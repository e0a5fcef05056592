package api

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/vitrine-image/vitrine/image"
)

// Rates bound what one project may ask for in a time; 0 is no bound.
type Rates struct {
	Requests int   // each second
	Burst    int   // requests at once, by default as many as in a second
	Download int64 // bytes of data each second, of all transfers together
	Upload   int64 // likewise
}

// MinBandwidth is the lowest rate of bytes that can be set: a client must not take it for a connection that is broken.
const MinBandwidth = 64 << 10

// Check reports what is wrong with the configuration.
func (r Rates) Check() error {
	switch {
	case r.Requests < 0 || r.Burst < 0:
		return errors.New("a number of requests is negative")
	case r.Requests == 0 && r.Burst > 0:
		return errors.New("a burst of requests needs a number of requests each second")
	case r.Download != 0 && r.Download < MinBandwidth || r.Upload != 0 && r.Upload < MinBandwidth:
		return errors.New("a bandwidth is at least 64KiB a second")
	}
	return nil
}

// rates remembers what each project has used lately.
type rates struct {
	cfg Rates

	mu       sync.Mutex
	accounts map[string]*account
	tidyAt   int // so many accounts make those go that are idle
}

// An account is what one project may still use.
type account struct {
	requests, download, upload *rate.Limiter // nil for no bound
	users                      int           // requests under way
}

// manyAccounts is how many there may be before any is looked at.
const manyAccounts = 1000

// newRates returns nil when nothing is bounded.
func newRates(cfg Rates) *rates {
	if cfg == (Rates{}) {
		return nil
	}
	if cfg.Burst == 0 {
		cfg.Burst = cfg.Requests
	}
	return &rates{cfg: cfg, accounts: make(map[string]*account), tidyAt: manyAccounts}
}

// accountOf names who pays for a request: the project; the user if there is none; or the network of who is anonymous.
func (s *server) accountOf(r *http.Request, caller image.Caller) string {
	switch {
	case caller.ProjectID != "":
		return "project " + caller.ProjectID
	case caller.UserID != "":
		return "user " + caller.UserID
	}
	client := s.cfg.Proxies.client(r)
	address, err := netip.ParseAddr(client)
	if err != nil {
		port, _ := netip.ParseAddrPort(client) // none through a unix socket: all of these are one
		address = port.Addr()
	}
	if address = address.Unmap(); address.Is6() {
		network, _ := address.WithZone("").Prefix(64) // one customer has as many addresses as he likes
		return "network " + network.String()
	}
	return "address " + address.String()
}

// enter takes one request from an account; leave it afterwards. The error is 429, and then there is nothing to leave.
func (r *rates) enter(name string) (*account, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a := r.accounts[name]
	if a == nil {
		r.tidy()
		a = r.open()
		r.accounts[name] = a
	}
	if a.requests != nil {
		now := time.Now()
		reservation := a.requests.ReserveN(now, 1)
		if delay := reservation.DelayFrom(now); delay > 0 {
			reservation.CancelAt(now)
			return nil, &statusError{code: http.StatusTooManyRequests, retryAfter: int(math.Ceil(delay.Seconds())),
				text: "Your project sends more requests than the " + strconv.Itoa(r.cfg.Requests) + " each second that are allowed."}
		}
	}
	a.users++
	return a, nil
}

func (r *rates) leave(a *account) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a.users--
}

// open makes an account of which nothing is used.
func (r *rates) open() *account {
	a := &account{download: bandwidth(r.cfg.Download), upload: bandwidth(r.cfg.Upload)}
	if r.cfg.Requests > 0 {
		a.requests = rate.NewLimiter(rate.Limit(r.cfg.Requests), r.cfg.Burst)
	}
	return a
}

// bandwidth returns what gives out a quarter of a second at once, at least as much as is worth a system call.
func bandwidth(perSecond int64) *rate.Limiter {
	if perSecond == 0 {
		return nil
	}
	return rate.NewLimiter(rate.Limit(perSecond), int(min(max(perSecond/4, MinBandwidth/4), copyPiece)))
}

// tidy forgets accounts that are as good as new, now and then.
func (r *rates) tidy() {
	if len(r.accounts) < r.tidyAt {
		return
	}
	for name, a := range r.accounts {
		if a.users == 0 && full(a.requests) && full(a.download) && full(a.upload) {
			delete(r.accounts, name)
		}
	}
	r.tidyAt = max(manyAccounts, 2*len(r.accounts))
}

func full(l *rate.Limiter) bool { return l == nil || l.Tokens() >= float64(l.Burst()) }

// A pacedBody is the body of a request that comes no faster than an account allows.
type pacedBody struct {
	*requestBody
	limiter *rate.Limiter
	ctx     context.Context // of the waiting: Read has none of its own
	unwant  context.CancelFunc
}

// dataIn returns the body of an upload, paced if need be. Documents are not: they take room that others wait for.
func dataIn(r *http.Request) io.Reader {
	account := callOf(r).account
	body, ok := r.Body.(*requestBody)
	if !ok || account == nil || account.upload == nil {
		return r.Body
	}
	return newPacedBody(r.Context(), body, account.upload)
}

// paceData paces what is sent from now on, if need be.
func paceData(w *response, r *http.Request) {
	if account := callOf(r).account; account != nil {
		w.ctx, w.limiter = r.Context(), account.download
	}
}

func newPacedBody(ctx context.Context, body *requestBody, limiter *rate.Limiter) *pacedBody {
	ctx, unwant := context.WithCancel(ctx)
	return &pacedBody{requestBody: body, limiter: limiter, ctx: ctx, unwant: unwant}
}

var _ io.ReadCloser = (*pacedBody)(nil)

// Read reads what the client sent, and waits for as long as that much should have taken.
func (b *pacedBody) Read(p []byte) (int, error) {
	n, err := b.requestBody.Read(p[:min(len(p), b.limiter.Burst())])
	if n > 0 && err == nil {
		_ = b.limiter.WaitN(b.ctx, n) // when it is called off, the next Read knows why
	}
	return n, err
}

// SetReadDeadline is requestBody's, and lets the wait under way end.
func (b *pacedBody) SetReadDeadline(t time.Time) error {
	b.unwant()
	return b.requestBody.SetReadDeadline(t)
}

// pace waits until n bytes may be sent.
func (w *response) pace(n int64) error {
	for n > 0 {
		step := min(n, int64(w.limiter.Burst()))
		if err := w.limiter.WaitN(w.ctx, int(step)); err != nil {
			return err
		}
		n -= step
	}
	return nil
}
