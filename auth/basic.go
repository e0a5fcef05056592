package auth

import (
	"bytes"
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"time"

	"golang.org/x/crypto/bcrypt"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/vitrine-image/vitrine/image"
	"github.com/vitrine-image/vitrine/internal/watchfile"
)

// BasicConfig names the files of users. Both are read again when they change.
type BasicConfig struct {
	HTPasswd  string        // path of a file as `htpasswd -B` writes it
	Users     string        // path of a TOML file with the project and the roles of each user
	CacheTime time.Duration // how long a checked password needs no check, 1 minute by default; negative: none
	Anonymous bool          // requests without credentials may read what is public
	Logger    *slog.Logger
}

// Limits of Basic.
const (
	basicUsers  = 10_000           // so many checked passwords are kept, right and wrong ones each
	wrongTime   = 10 * time.Second // how long a wrong password is wrong without a check
	basicWait   = 10 * time.Second // how long a request waits for its check
	maxPassword = 1024             // bytes
)

var (
	errBadLogin  = image.Errorf(image.ErrUnauthorized, "The user or the password is wrong.")
	errBasicBusy = image.Errorf(image.ErrUnavailable, "Too many passwords are being checked; try again.")
)

// Basic takes names and passwords by HTTP Basic authentication, and knows them from files.
type Basic struct {
	cfg      BasicConfig
	files    *watchfile.Value[*accounts]
	secret   []byte // of this process: a key in memory tells nothing about the password
	right    *recent[passwordKey, verdict]
	wrong    *recent[passwordKey, verdict]
	checking singleflight.Group // by passwordKey
	slots    *semaphore.Weighted
	check    func(hash, password []byte) error // bcrypt's
}

// A passwordKey stands for a name and a password.
type passwordKey [sha256.Size]byte

// A verdict is the outcome of a check.
type verdict struct {
	by     *accounts // nothing is remembered across a change of the files
	until  time.Time
	caller image.Caller
}

// NewBasic reads the files.
func NewBasic(cfg BasicConfig) (*Basic, error) {
	if cfg.HTPasswd == "" || cfg.Users == "" {
		return nil, errors.New("auth: Basic needs a file of passwords and a file of users")
	}
	cfg.CacheTime = cmp.Or(cfg.CacheTime, time.Minute)
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	var last *accounts
	var read [][]byte
	files, err := watchfile.Open(cfg.Logger, func(contents [][]byte) (*accounts, error) {
		if last != nil && slices.EqualFunc(contents, read, bytes.Equal) {
			return last, nil // touched only, so what is remembered of them stays true
		}
		all, err := parseAccounts(contents[0], contents[1], cfg.Users, cfg.Logger)
		if err == nil {
			last, read = all, contents
		}
		return all, err
	}, cfg.HTPasswd, cfg.Users)
	if err != nil {
		return nil, err
	}
	secret := make([]byte, sha256.Size)
	rand.Read(secret)
	// A half of the processors, so that guessing passwords slows nobody down who has logged in.
	slots := semaphore.NewWeighted(max(1, int64(runtime.GOMAXPROCS(0)/2)))
	return &Basic{cfg: cfg, files: files, secret: secret, right: newRecent[passwordKey, verdict](basicUsers),
		wrong: newRecent[passwordKey, verdict](basicUsers), slots: slots, check: bcrypt.CompareHashAndPassword}, nil
}

// AnonymousReads reports whether requests without credentials may read what is public.
func (b *Basic) AnonymousReads() bool { return b.cfg.Anonymous }

// Challenge asks for a name and a password.
func (b *Basic) Challenge() string { return `Basic realm="vitrine"` }

// Authenticate finds the user of the header Authorization.
func (b *Basic) Authenticate(r *http.Request) (image.Caller, error) {
	switch len(r.Header["Authorization"]) {
	case 0:
		if b.cfg.Anonymous {
			return image.Caller{Anonymous: true}, nil
		}
		return image.Caller{}, errNoCredentials
	case 1:
	default:
		return image.Caller{}, errBadLogin
	}
	name, password, ok := r.BasicAuth()
	if !ok || len(name) > maxName || len(password) > maxPassword {
		return image.Caller{}, errBadLogin
	}
	return b.login(r.Context(), name, password)
}

// login finds the user of a name and a password, from memory or by a check.
func (b *Basic) login(ctx context.Context, name, password string) (image.Caller, error) {
	all, key, now := b.files.Get(), b.key(name, password), time.Now()
	if v := b.right.get(key); v != nil && v.by == all && now.Before(v.until) {
		return v.caller, nil
	}
	if v := b.wrong.get(key); v != nil && v.by == all && now.Before(v.until) {
		return image.Caller{}, errBadLogin
	}
	// Those who ask the same at the same time share the check, so none of them may call it off.
	caller, err, _ := b.checking.Do(string(key[:]), func() (any, error) {
		ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), basicWait)
		defer stop()
		if b.slots.Acquire(ctx, 1) != nil {
			return image.Caller{}, errBasicBusy
		}
		defer b.slots.Release(1)
		return b.compare(all, key, name, password)
	})
	return caller.(image.Caller), err
}

// compare checks the password, which takes as long for a user who does not exist.
func (b *Basic) compare(all *accounts, key passwordKey, name, password string) (image.Caller, error) {
	account, exists := all.users[name]
	if !exists {
		account.hash = b.standIn(all, name)
	}
	// Bytes past the 72nd have no part in a bcrypt hash.
	err := b.check(account.hash, []byte(password[:min(len(password), 72)]))
	if err != nil || !exists {
		b.wrong.put(key, &verdict{by: all, until: time.Now().Add(wrongTime)})
		return image.Caller{}, errBadLogin
	}
	if b.cfg.CacheTime > 0 {
		b.right.put(key, &verdict{by: all, until: time.Now().Add(b.cfg.CacheTime), caller: account.caller})
	}
	return account.caller, nil
}

// standIn returns the hash that is checked for a name that does not exist: always the same one for it, so that it takes
// the time of one that does.
func (b *Basic) standIn(all *accounts, name string) []byte {
	if len(all.hashes) == 0 {
		return []byte("$2y$10$" + "abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234")
	}
	key := b.key(name, "")
	return all.hashes[binary.BigEndian.Uint64(key[:8])%uint64(len(all.hashes))]
}

func (b *Basic) key(name, password string) (key passwordKey) {
	mac := hmac.New(sha256.New, b.secret)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(name)))) // so that no other name and password read alike
	mac.Write([]byte(name))
	mac.Write([]byte(password))
	mac.Sum(key[:0])
	return key
}
