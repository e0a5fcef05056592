package cloud

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"go.yaml.in/yaml/v3"
)

// Settings is what a user has said of a cloud: all that a Cloud needs, and how far to trust whom.
type Settings struct {
	Config
	Endpoint string // of the Image API, "" is that of the catalog; without Login.IdentityEndpoint there is none
	CAFile   string // PEM
	CertFile string // PEM, with KeyFile: the client's certificate
	KeyFile  string
	Insecure bool
}

// FromFile reads a cloud of clouds.yaml, and its secrets of a secure.yaml beside it; variables OS_* that do not say who
// logs in, such as OS_REGION_NAME, win. The file is the one that
// OS_CLIENT_CONFIG_FILE names, or else the first of ./clouds.yaml, ~/.config/openstack/clouds.yaml and
// /etc/openstack/clouds.yaml.
func FromFile(name string) (Settings, error) {
	file, err := findFile()
	if err != nil {
		return Settings{}, err
	}
	var cloud clouds.Cloud
	var overrides struct {
		Endpoint string `yaml:"image_endpoint_override"`
	}
	known, err := decodeCloud(file, name, &cloud, &overrides)
	if err != nil {
		return Settings{}, err
	}
	if !known {
		return Settings{}, fmt.Errorf("there is no cloud %q in %s", name, file)
	}
	if _, err := decodeCloud(filepath.Join(filepath.Dir(file), "secure.yaml"), name, &cloud); err != nil && !errors.Is(err, os.ErrNotExist) {
		return Settings{}, err
	}
	if cloud.AuthInfo == nil || cloud.AuthInfo.AuthURL == "" {
		return Settings{}, fmt.Errorf("the cloud %q in %s has no auth_url; profiles of vendors are not known", name, file)
	}
	auth := cloud.AuthInfo
	login, err := credentials{authURL: auth.AuthURL, token: auth.Token, user: auth.Username, userID: auth.UserID, password: auth.Password,
		userDomain:    domain{auth.UserDomainID, auth.UserDomainName},
		project:       auth.ProjectName,
		projectID:     auth.ProjectID,
		projectDomain: domain{auth.ProjectDomainID, auth.ProjectDomainName},
		domain:        domain{auth.DomainID, auth.DomainName},
		credentialID:  auth.ApplicationCredentialID, credential: auth.ApplicationCredentialName, secret: auth.ApplicationCredentialSecret,
	}.login(string(cloud.AuthType))
	if err != nil {
		return Settings{}, fmt.Errorf("the cloud %q in %s: %w", name, file, err)
	}
	s := Settings{Config: Config{Login: login, Region: cloud.RegionName, Interface: cmp.Or(cloud.EndpointType, cloud.Interface)},
		Endpoint: overrides.Endpoint, CAFile: cloud.CACertFile, CertFile: cloud.ClientCertFile, KeyFile: cloud.ClientKeyFile,
		Insecure: cloud.Verify != nil && !*cloud.Verify}
	s.FromVariables()
	return s, nil
}

func findFile() (string, error) {
	if file := os.Getenv("OS_CLIENT_CONFIG_FILE"); file != "" {
		return file, nil
	}
	var looked []string
	if config, err := os.UserConfigDir(); err == nil {
		looked = append(looked, filepath.Join(config, "openstack", "clouds.yaml"))
	}
	looked = append([]string{"clouds.yaml"}, append(looked, "/etc/openstack/clouds.yaml")...)
	for _, file := range looked {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("there is no clouds.yaml: none of %s is there", strings.Join(looked, ", "))
}

// decodeCloud puts what the file says of a cloud into each of the targets, over what is there. It reports whether the
// file knows the cloud.
func decodeCloud(file, name string, targets ...any) (bool, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return false, err
	}
	var all struct {
		Clouds map[string]yaml.Node `yaml:"clouds"`
	}
	if err := yaml.Unmarshal(text, &all); err != nil {
		return false, fmt.Errorf("%s is no clouds.yaml: %w", file, withoutValues(err))
	}
	node, known := all.Clouds[name]
	for _, target := range targets {
		if !known {
			break
		}
		if err := node.Decode(target); err != nil {
			return false, fmt.Errorf("the cloud %q in %s: %w", name, file, withoutValues(err))
		}
	}
	return known, nil
}

// withoutValues leaves out what an error quotes of a file of secrets.
func withoutValues(err error) error {
	var wrong *yaml.TypeError
	if !errors.As(err, &wrong) {
		return err
	}
	var lines []string
	for _, text := range wrong.Errors {
		line, _, _ := strings.Cut(text, ":")
		lines = append(lines, line)
	}
	return fmt.Errorf("a value is not of the right type: %s", strings.Join(lines, ", "))
}

// A domain is named by its id or its name.
type domain struct{ id, name string }

func (d domain) or(other domain) domain {
	if d == (domain{}) {
		return other
	}
	if d.id != "" {
		d.name = "" // Keystone wants one of them
	}
	return d
}

// credentials are what a user may say of himself.
type credentials struct {
	authURL, token, user, userID, password string
	project, projectID                     string
	userDomain, projectDomain, domain      domain
	credentialID, credential, secret       string
}

// login returns the credentials of a kind as gophercloud takes them; kind "" is that for which there is enough.
func (c credentials) login(kind string) (gophercloud.AuthOptions, error) {
	login := gophercloud.AuthOptions{IdentityEndpoint: c.authURL}
	switch kind {
	case "", "password", "v3password", "token", "v3token", "v3applicationcredential":
	default:
		return login, fmt.Errorf("there is no auth_type %s here", kind)
	}
	application := c.credentialID != "" || c.credential != ""
	if kind == "v3applicationcredential" || kind == "" && application {
		login.ApplicationCredentialID, login.ApplicationCredentialSecret = c.credentialID, c.secret
		if c.credentialID == "" {
			c.setUser(&login)
			login.ApplicationCredentialName = c.credential
		}
		if !application || c.secret == "" {
			return login, errors.New("an application credential needs its id and its secret")
		}
		return login, nil
	}
	byToken := strings.HasSuffix(kind, "token") || kind == "" && c.token != "" && c.password == ""
	switch {
	case byToken && c.token == "":
		return login, errors.New("the token is missing")
	case byToken:
		login.TokenID = c.token
	case c.user == "" && c.userID == "" || c.password == "":
		return login, errors.New("the user or his password is missing")
	default:
		c.setUser(&login)
		login.Password = c.password
	}
	c.setScope(&login)
	return login, nil
}

func (c credentials) setUser(login *gophercloud.AuthOptions) {
	if login.UserID = c.userID; c.userID == "" {
		d := c.userDomain.or(c.domain).or(domain{name: "Default"})
		login.Username, login.DomainID, login.DomainName = c.user, d.id, d.name
	}
}

// setScope says for which project the token is to be.
func (c credentials) setScope(login *gophercloud.AuthOptions) {
	switch {
	case c.projectID != "":
		login.Scope = &gophercloud.AuthScope{ProjectID: c.projectID}
	case c.project != "":
		d := c.projectDomain.or(c.userDomain).or(c.domain).or(domain{name: "Default"})
		login.Scope = &gophercloud.AuthScope{ProjectName: c.project, DomainID: d.id, DomainName: d.name}
	case c.domain != (domain{}):
		login.Scope = &gophercloud.AuthScope{DomainID: c.domain.id, DomainName: c.domain.or(c.domain).name}
	}
}
