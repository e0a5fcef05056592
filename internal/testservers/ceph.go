package testservers

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

// cephConfig starts a cluster in seconds: short rounds of the monitor, one OSD, no copies, and no daemon's habit that
// only a cluster of months needs. The health warnings of all that are off.
const cephConfig = `[global]
fsid = %[1]s
mon host = [v2:%[2]s]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
run dir = %[3]s
admin socket =
log file =
log to stderr = true
err to stderr = true
keyring = %[3]s/$name.keyring
paxos propose interval = 0.02
paxos min wait = 0.01
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
[mon]
mon data = %[3]s/mon
mon allow pool size one = true
mon warn on pool no redundancy = false
mon warn on insecure global id reclaim = false
mon warn on insecure global id reclaim allowed = false
auth allow insecure global id reclaim = false
mon data avail warn = 1
mon data avail crit = 0
[mgr]
mgr data = %[3]s/mgr
mgr initial modules =
mgr stats period = 1
mgr tick period = 1
mgr disabled modules = balancer,crash,devicehealth,diskprediction_local,orchestrator,pg_autoscaler,progress,rbd_support,status,telemetry,volumes
[osd]
admin socket = %[3]s/osd.asok
osd data = %[3]s/osd
osd objectstore = %[4]s
osd class load list = *
memstore device bytes = 8589934592
bluestore cache autotune = false
bluestore cache size = 268435456
bluestore block create = true
bluestore block size = 21474836480
bluestore fsck on mount = false
`

// cephUsers are the users of a new cluster with what each may do, in the words of Ceph's own documentation: images is
// the daemon's, cloner the same with the right to make clones, vms the one of Nova and Cinder, reader reads images only, stranger may talk to monitors and nothing else.
var cephUsers = []struct{ name, mon, osd, mgr string }{
	{"client.admin", "allow *", "allow *", "allow *"},
	{"client.images", "profile rbd", "profile rbd pool=images, profile rbd pool=small", "profile rbd pool=images"},
	{"client.cloner", "profile rbd", "profile rbd pool=images, profile rbd pool=vms, profile rbd pool=small", "profile rbd pool=images, profile rbd pool=vms"},
	{"client.vms", "profile rbd", "profile rbd pool=vms, profile rbd-read-only pool=images", "profile rbd pool=vms"},
	{"client.reader", "profile rbd", "profile rbd-read-only pool=images", ""},
	{"client.stranger", "allow r", "", ""},
	{"osd.0", "allow profile osd", "allow *", "allow profile osd"},
	{"mgr.x", "allow profile mgr", "allow *", "allow *"},
}

// CephPools are the pools of a new cluster, ready for RBD. A test fills small as it likes.
var CephPools = []string{"images", "vms", "small"}

// A Ceph is a cluster of one monitor, one manager and one OSD, with pools and users. Stop it.
type Ceph struct {
	FSID string
	Conf string // its configuration file, in which clients find the keyrings too

	dir           string
	address       string
	mu            sync.Mutex
	mon, mgr, osd *Server
}

// StartCeph runs a new cluster, whose files go to dir. What the OSD holds lies in memory, and is lost with it; a durable
// one keeps it in a file, and starts some seconds slower.
func StartCeph(ctx context.Context, dir string, durable bool) (*Ceph, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	kind := "memstore"
	if durable {
		kind = "bluestore"
	}
	c := &Ceph{FSID: string(image.NewID()), Conf: filepath.Join(dir, "ceph.conf"), dir: dir, address: address}
	if err := os.WriteFile(c.Conf, fmt.Appendf(nil, cephConfig, c.FSID, address, dir, kind), 0o600); err != nil {
		return nil, err
	}
	if err := c.writeKeyrings(); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop())
	}
	return c, nil
}

// start makes the stores of the daemons, runs them, and waits until every pool takes data.
func (c *Ceph) start(ctx context.Context) error {
	for _, name := range []string{"mon", "mgr", "osd"} {
		if err := os.Mkdir(filepath.Join(c.dir, name), 0o700); err != nil {
			return err
		}
	}
	osd := string(image.NewID())
	made := make(chan error, 1) // the OSD's store, made beside the monitor's start
	go func() {
		made <- c.program(ctx, "ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
	}()
	err := errors.Join(c.startMon(ctx), <-made)
	if err != nil {
		return err
	}
	commands := []string{"osd new " + osd + " 0"}
	for _, pool := range CephPools {
		commands = append(commands, "osd pool create "+pool+" 8 8", "osd pool application enable "+pool+" rbd")
	}
	if err := c.commands(ctx, append(commands, "health mute MGR_MODULE_ERROR --sticky")); err != nil {
		return err
	}
	if err := c.startMgr(); err != nil {
		return err
	}
	if err := c.StartOSD(); err != nil {
		return err
	}
	for _, pool := range CephPools {
		if _, err := c.RBD(ctx, "admin", "pool", "init", pool); err != nil {
			return err
		}
	}
	return nil
}

func (c *Ceph) startMon(ctx context.Context) error {
	monmap := filepath.Join(c.dir, "monmap")
	err := c.program(ctx, "monmaptool", "--create", "--fsid", c.FSID, "--addv", "a", "[v2:"+c.address+"]", monmap)
	if err == nil {
		err = c.program(ctx, "ceph-mon", "-i", "a", "--mkfs", "--monmap", monmap, "--keyring", c.keyring("all"))
	}
	if err != nil {
		return err
	}
	return c.StartMon(ctx)
}

// StartMon runs the monitor, again after StopMon.
func (c *Ceph) StartMon(ctx context.Context) error {
	s, err := start(c.dir, "ceph-mon", "-f", "-c", c.Conf, "-i", "a")
	if err != nil {
		return err
	}
	s.Address = c.address
	c.set(&c.mon, s)
	_, err = s.listening(ctx)
	return err
}

// StopMon ends the monitor: clients that are connected go on, and no other one connects.
func (c *Ceph) StopMon() error { return c.mon.Stop() }

func (c *Ceph) startMgr() error {
	s, err := start(c.dir, "ceph-mgr", "-f", "-c", c.Conf, "-i", "x")
	if err != nil {
		return err
	}
	c.set(&c.mgr, s)
	return nil
}

// StartOSD runs the OSD, again after KillOSD. It takes data some seconds later; who writes waits for that.
func (c *Ceph) StartOSD() error {
	s, err := start(c.dir, "ceph-osd", "-f", "-c", c.Conf, "-i", "0")
	if err != nil {
		return err
	}
	c.set(&c.osd, s)
	return nil
}

// KillOSD ends the OSD at once, as a power cut does.
func (c *Ceph) KillOSD() {
	c.osd.Kill()
}

// PauseOSD keeps the OSD from doing anything until resume is called.
func (c *Ceph) PauseOSD() (resume func(), err error) { return c.osd.pause() }

// PauseMon does so with the monitor: who connects gets no answer.
func (c *Ceph) PauseMon() (resume func(), err error) { return c.mon.pause() }

// Watcher returns the address of the only client that watches an image of the pool images.
func (c *Ceph) Watcher(ctx context.Context, name string) (address string, err error) {
	out, err := c.RBD(ctx, "images", "status", "images/"+name)
	if err != nil {
		return "", err
	}
	_, after, found := strings.Cut(out, "watcher=")
	if !found {
		return "", fmt.Errorf("rbd status of image %s tells of no watcher: %s", name, out)
	}
	return strings.Fields(after)[0], nil
}

// ShutOut lets the cluster forget a client, and never hear it again. One that is dead would be remembered for half a minute.
func (c *Ceph) ShutOut(ctx context.Context, address string) error {
	_, err := c.Ceph(ctx, "osd", "blocklist", "add", address)
	return err
}

// set keeps a daemon for Stop.
func (c *Ceph) set(at **Server, s *Server) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*at = s
}

// Ceph runs the command ceph as the administrator and returns what it prints.
func (c *Ceph) Ceph(ctx context.Context, args ...string) (string, error) {
	return c.output(exec.CommandContext(ctx, "ceph", append([]string{"-c", c.Conf, "--connect-timeout", "10"}, args...)...))
}

// BytesRead returns how many bytes the OSD has given to clients since it was started, by its own count.
func (c *Ceph) BytesRead(ctx context.Context) (int64, error) {
	out, err := c.output(exec.CommandContext(ctx, "ceph", "--admin-daemon", filepath.Join(c.dir, "osd.asok"), "perf", "dump", "osd"))
	if err != nil {
		return 0, err
	}
	var counters struct {
		OSD struct {
			Bytes int64 `json:"op_r_out_bytes"`
		} `json:"osd"`
	}
	err = json.Unmarshal([]byte(out), &counters)
	return counters.OSD.Bytes, err
}

// RBD runs the command rbd as one of the users ("images" for client.images) and returns what it prints.
func (c *Ceph) RBD(ctx context.Context, user string, args ...string) (string, error) {
	return c.output(exec.CommandContext(ctx, "rbd", append([]string{"-c", c.Conf, "--id", user}, args...)...))
}

// HalfGlanceImage writes what Glance leaves in the pool images of an upload that did not come to its end.
func (c *Ceph) HalfGlanceImage(ctx context.Context, name string, data []byte) error {
	cmd := exec.CommandContext(ctx, "rbd", "-c", c.Conf, "--id", "images", "import", "--no-progress", "--image-feature", "layering", "--order", "23", "-", "images/"+name)
	cmd.Stdin = bytes.NewReader(data)
	_, err := c.output(cmd)
	return err
}

// GlanceImage writes an image into the pool images as Glance does.
func (c *Ceph) GlanceImage(ctx context.Context, name string, data []byte) error {
	err := c.HalfGlanceImage(ctx, name, data)
	for _, args := range [][]string{{"snap", "create", "--no-progress"}, {"snap", "protect"}} {
		if err == nil {
			_, err = c.RBD(ctx, "images", append(args, "images/"+name+"@snap")...)
		}
	}
	return err
}

// SetFull sets of how much of its space the OSD says that it is full. It and its clients know some seconds later.
func (c *Ceph) SetFull(ctx context.Context, ratio float64) error {
	var commands []string
	for _, kind := range []string{"nearfull", "backfillfull", "full"} { // the highest counts
		commands = append(commands, fmt.Sprintf("osd set-%s-ratio %g", kind, ratio))
	}
	return c.commands(ctx, commands)
}

// commands gives commands to one process, each of which would take half a second to start.
func (c *Ceph) commands(ctx context.Context, list []string) error {
	cmd := exec.CommandContext(ctx, "ceph", "-c", c.Conf, "--connect-timeout", "30")
	cmd.Stdin = strings.NewReader(strings.Join(list, "\n") + "\n")
	out, err := c.output(cmd)
	if err == nil && strings.Contains(out, "Error E") {
		err = fmt.Errorf("ceph said: %s", out)
	}
	return err
}

func (c *Ceph) program(ctx context.Context, name string, args ...string) error {
	path, err := Program(name)
	if err == nil {
		_, err = c.output(exec.CommandContext(ctx, path, append([]string{"-c", c.Conf}, args...)...))
	}
	return err
}

func (c *Ceph) output(cmd *exec.Cmd) (string, error) {
	var said, out strings.Builder
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, said.String())
	}
	return out.String(), nil
}

// Stop ends the daemons and waits for them.
func (c *Ceph) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var errs []error
	for _, s := range []*Server{c.osd, c.mgr, c.mon} {
		if s != nil {
			s.resume() // a test may have failed while it was paused
			errs = append(errs, s.Stop())
		}
	}
	return errors.Join(errs...)
}

func (c *Ceph) keyring(name string) string { return filepath.Join(c.dir, name+".keyring") }

// Keyring returns the file with the key of one of the users ("images" for client.images).
func (c *Ceph) Keyring(user string) string { return c.keyring("client." + user) }

// writeKeyrings makes all keys at once, for the monitor to know them from its beginning, and a file for each user.
func (c *Ceph) writeKeyrings() error {
	all := fmt.Sprintf("[mon.]\n\tkey = %s\n\tcaps mon = \"allow *\"\n", newCephKey())
	for _, u := range cephUsers {
		entry := fmt.Sprintf("[%s]\n\tkey = %s\n", u.name, newCephKey())
		if err := os.WriteFile(c.keyring(u.name), []byte(entry), 0o600); err != nil {
			return err
		}
		for _, caps := range []struct{ of, are string }{{"mon", u.mon}, {"osd", u.osd}, {"mgr", u.mgr}} {
			if caps.are != "" {
				entry += fmt.Sprintf("\tcaps %s = \"%s\"\n", caps.of, caps.are)
			}
		}
		all += entry
	}
	return os.WriteFile(c.keyring("all"), []byte(all), 0o600)
}

// newCephKey returns a secret as keyrings hold it: the kind (AES), the time, the length, and the bytes.
// Source: Ceph, src/auth/Crypto.cc, CryptoKey::encode.
func newCephKey() string {
	b := binary.LittleEndian.AppendUint16(nil, 1)
	b = binary.LittleEndian.AppendUint32(b, uint32(time.Now().Unix()))
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint16(b, 16)
	secret := make([]byte, 16)
	rand.Read(secret)
	return base64.StdEncoding.EncodeToString(append(b, secret...))
}

// sharedCeph is the cluster of all tests of this process.
var sharedCeph = shared[Ceph]{name: "ceph", stop: (*Ceph).Stop, start: func(ctx context.Context, dir string) (*Ceph, error) {
	return StartCeph(ctx, dir, false)
}}

// SharedCeph returns the cluster that the tests of a package share, and starts it for the first of them; the package's
// TestMain calls StopShared. What it holds lies in memory.
func SharedCeph(t testing.TB) *Ceph {
	t.Helper()
	return sharedCeph.get(t)
}

// OwnCeph returns a durable cluster for one test, which may stop and kill what it likes.
func OwnCeph(t testing.TB) *Ceph {
	t.Helper()
	Require(t, "ceph")
	dir, err := os.MkdirTemp("", "ceph")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c, err := StartCeph(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	return c
}
