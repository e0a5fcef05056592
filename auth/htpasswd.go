package auth

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"golang.org/x/crypto/bcrypt"

	"github.com/vitrine-image/vitrine/image"
)

// What the files of users may say at most.
const (
	maxCost = 16 // of a bcrypt hash: four seconds of a processor
	maxName = 255
)

// An account is a user who may log in.
type account struct {
	hash   []byte // bcrypt
	caller image.Caller
}

// accounts is what both files of users say. It does not change.
type accounts struct {
	users  map[string]account
	hashes [][]byte // of all passwords, also of those who have no entry among the users
}

// A userEntry is one of the sections [NAME] of the file of users.
type userEntry struct {
	Project string   `toml:"project"`
	Roles   []string `toml:"roles"`
	ID      string   `toml:"id"`     // of the user, by default the name
	Domain  string   `toml:"domain"` // id of the domain of user and project
}

// parseAccounts reads an htpasswd file and the file of users that is named for errors.
func parseAccounts(htpasswd, users []byte, usersFile string, log *slog.Logger) (*accounts, error) {
	hashes, err := parseHTPasswd(htpasswd)
	if err != nil {
		return nil, err
	}
	entries, err := parseUsers(users)
	if err != nil {
		return nil, &os.PathError{Op: "parse", Path: usersFile, Err: err}
	}
	all := &accounts{users: make(map[string]account)}
	for _, name := range slices.Sorted(maps.Keys(hashes)) {
		all.hashes = append(all.hashes, hashes[name])
		entry, ok := entries[name]
		if !ok {
			log.Warn("a user has a password but no project, and cannot log in", "user", name, "path", usersFile)
			continue
		}
		all.users[name] = account{hashes[name], entry.caller(name)}
	}
	for name := range entries {
		if hashes[name] == nil {
			log.Warn("a user has a project but no password, and cannot log in", "user", name, "path", usersFile)
		}
	}
	return all, nil
}

// parseHTPasswd reads lines NAME:HASH as `htpasswd -B` writes them.
func parseHTPasswd(text []byte) (map[string][]byte, error) {
	hashes := make(map[string][]byte)
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimSpace(line)
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		name, hash, ok := bytes.Cut(line, []byte(":"))
		var err error
		switch {
		case !ok || len(name) == 0 || len(name) > maxName:
			err = errors.New("not of the form NAME:HASH")
		case hashes[string(name)] != nil:
			err = fmt.Errorf("the user %q stands here again", name)
		default:
			err = checkHash(hash)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		hashes[string(name)] = bytes.Clone(hash)
	}
	return hashes, nil
}

// checkHash refuses what is no bcrypt hash, or one that would take too long.
func checkHash(hash []byte) error {
	if !slices.ContainsFunc([]string{"$2y$", "$2a$", "$2b$"}, func(kind string) bool { return bytes.HasPrefix(hash, []byte(kind)) }) {
		return errors.New("only bcrypt hashes are taken; make one with `htpasswd -B`")
	}
	cost, err := bcrypt.Cost(hash)
	if err != nil || len(hash) != 60 {
		return errors.New("the bcrypt hash is damaged")
	}
	if cost > maxCost {
		return fmt.Errorf("a bcrypt hash of cost %d takes too long to check; %d is the most", cost, maxCost)
	}
	return nil
}

// parseUsers reads the file of users.
func parseUsers(text []byte) (map[string]userEntry, error) {
	entries := make(map[string]userEntry)
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&entries); err != nil {
		var unknown *toml.StrictMissingError
		if errors.As(err, &unknown) && len(unknown.Errors) > 0 {
			line, _ := unknown.Errors[0].Position()
			return nil, fmt.Errorf("line %d: unknown key %s", line, strings.Join(unknown.Errors[0].Key(), "."))
		}
		var wrong *toml.DecodeError
		if errors.As(err, &wrong) {
			line, _ := wrong.Position()
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if entry := entries[name]; entry.Project == "" || len(entry.Roles) == 0 || slices.Contains(entry.Roles, "") {
			return nil, fmt.Errorf("[%s] needs a project and roles", name)
		}
	}
	return entries, nil
}

// caller returns who the user is. As in Keystone an admin is a member too, and a member a reader.
func (e userEntry) caller(name string) image.Caller {
	caller := image.Caller{UserID: e.ID, ProjectID: e.Project, UserDomainID: e.Domain, ProjectDomainID: e.Domain, Roles: slices.Clone(e.Roles)}
	if caller.UserID == "" {
		caller.UserID = name
	}
	for _, step := range [][2]string{{"admin", "member"}, {"member", "reader"}} {
		if caller.HasRole(step[0]) && !caller.HasRole(step[1]) {
			caller.Roles = append(caller.Roles, step[1])
		}
	}
	caller.Roles = slices.Clip(caller.Roles) // many requests share it: who appends to it must get another one
	return caller
}
