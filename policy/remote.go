package policy

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/certpool"
)

// HTTPConfig says how the checks http: and https: ask. Servers' certificates are always verified. The files are read once.
type HTTPConfig struct {
	Timeout  time.Duration // of a question, 0 is DefaultTimeout
	JSON     bool          // send the question as JSON instead of as a form
	CAFile   string        // PEM, who signs the servers' certificates; "" leaves it to the system
	CertFile string        // PEM, with KeyFile: the client's own certificate, "" for none
	KeyFile  string
}

// DefaultTimeout is how long a server may take for an answer.
const DefaultTimeout = 5 * time.Second

// remote asks servers.
type remote struct {
	client *http.Client
	json   bool
	log    *slog.Logger
}

func newRemote(cfg HTTPConfig, log *slog.Logger) (*remote, error) {
	if cfg.Timeout < 0 {
		return nil, errors.New("policy: the timeout of http checks is negative")
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if cfg.CAFile != "" {
		var err error
		if config.RootCAs, err = certpool.Read(cfg.CAFile); err != nil {
			return nil, fmt.Errorf("policy: %w", err)
		}
	}
	if cfg.CertFile != "" || cfg.KeyFile != "" {
		cert, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("policy: the certificate for http checks: %w", err)
		}
		config.Certificates = []tls.Certificate{cert}
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	client := &http.Client{
		Transport:     transport,
		Timeout:       cfg.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // it would be asked with GET
	}
	return &remote{client: client, json: cfg.JSON, log: log}, nil
}

// credentials are what a server is told of the caller. Secrets are not among it.
type credentials struct {
	UserID          *string  `json:"user_id"`
	UserDomainID    *string  `json:"user_domain_id"`
	ProjectID       *string  `json:"project_id"`
	ProjectDomainID *string  `json:"project_domain_id"`
	DomainID        *string  `json:"domain_id"`
	SystemScope     *string  `json:"system_scope"`
	Roles           []string `json:"roles"`
	ServiceRoles    []string `json:"service_roles"`
}

func credentialsOf(c image.Caller) credentials {
	or := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	return credentials{or(c.UserID), or(c.UserDomainID), or(c.ProjectID), or(c.ProjectDomainID), or(c.DomainID), nil,
		append([]string{}, c.Roles...), append([]string{}, c.ServiceRoles...)}
}

// ask sends rule, target and credentials to the URL and reports whether the answer was True. An error was logged.
func (r *remote) ask(ctx context.Context, where, rule string, caller image.Caller, target Target) (bool, error) {
	allowed, err := r.post(ctx, where, rule, caller, target)
	if err != nil && ctx.Err() == nil {
		r.log.WarnContext(ctx, "a server was asked for a policy and gave no answer, which counts as no", "rule", rule, "url", redact(where), "error", withoutURL(err))
	}
	return allowed, err
}

func (r *remote) post(ctx context.Context, where, rule string, caller image.Caller, target Target) (bool, error) {
	body, contentType, err := r.encode(rule, caller, target)
	if err != nil {
		return false, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, where, bytes.NewReader(body))
	if err != nil {
		return false, err
	}
	req.Header.Set("Content-Type", contentType)
	res, err := r.client.Do(req)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return false, err
	}
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("the answer is %s", res.Status)
	}
	return strings.Trim(string(answer), `"`) == "True", nil
}

// encode writes the question as oslo.policy does.
func (r *remote) encode(rule string, caller image.Caller, target Target) ([]byte, string, error) {
	question := map[string]any{"rule": rule, "target": target.document(), "credentials": credentialsOf(caller)}
	if r.json {
		body, err := json.Marshal(question)
		return body, "application/json", err
	}
	form := make(url.Values)
	for name, value := range question {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, "", err
		}
		form.Set(name, string(text))
	}
	return []byte(form.Encode()), "application/x-www-form-urlencoded", nil
}

// redact leaves passwords and queries, which may hold keys, out of a URL.
func redact(where string) string {
	u, err := url.Parse(where)
	if err != nil {
		return "a URL that cannot be read"
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// withoutURL returns what went wrong without the URL that net/http puts before it.
func withoutURL(err error) error {
	var inURL *url.Error
	if errors.As(err, &inURL) {
		return inURL.Err
	}
	return err
}

// percentEncode keeps of a value only what has no meaning in any part of a URL.
func percentEncode(value string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_~"
	var b strings.Builder
	for i := range len(value) {
		if c := value[i]; strings.IndexByte(unreserved, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteString("%" + strings.ToUpper(strconv.FormatInt(0x100|int64(c), 16)[1:]))
		}
	}
	return b.String()
}
