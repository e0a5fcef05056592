package outbound

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vitrine-image/vitrine/image"
)

func TestDialConnectsToWhatWasJudged(t *testing.T) {
	p, r := newPolicy(t, PolicyConfig{}, map[string][]string{"good.example.": {"::ffff:93.184.216.34", "127.0.0.1"}}) // the resolver of Go maps them
	var d dials
	d.watch(p, nil)
	if _, err := p.DialContext(t.Context(), "tcp", "good.example:80"); err == nil || errors.Is(err, image.ErrInvalid) {
		t.Errorf("the first dial: %v, want a refused connection", err)
	}
	if want := []netip.AddrPort{netip.MustParseAddrPort("93.184.216.34:80")}; !slices.Equal(d.all(), want) || r.asked != 1 {
		t.Errorf("dialled %v after %d lookups, want %v after one", d.all(), r.asked, want)
	}
	if _, err := p.DialContext(t.Context(), "tcp", "good.example:80"); !errors.Is(err, image.ErrInvalid) || len(d.all()) != 1 {
		t.Errorf("the name bound to loopback: %v, dialled %v", err, d.all())
	}
}

func TestDialRefuses(t *testing.T) {
	p, _ := newPolicy(t, PolicyConfig{DisallowedHosts: []string{"bad.example"}}, map[string][]string{
		"bad.example.": {"93.184.216.34"}, "mixed.example.": {"93.184.216.34,10.0.0.1,169.254.169.254"},
		"zone.example.": {"2606:4700::1%eth0"},
	})
	var d dials
	d.watch(p, nil)
	for _, address := range []string{
		"bad.example:80", "mixed.example:80", "zone.example:80", "127.0.0.1:80", "[::1]:80", "8.8.8.8:81", "8.8.8.8",
		"0x7f.1:80", "127.0.0.1.:80", "[::ffff:8.8.8.8]:80", "::1:80", ":80", "8.8.8.8:http",
	} {
		if _, err := p.DialContext(t.Context(), "tcp", address); !errors.Is(err, image.ErrInvalid) {
			t.Errorf("DialContext(%s) = %v, want a refusal", address, err)
		}
	}
	for _, network := range []string{"udp", "unix", "tcp4"} {
		if _, err := p.DialContext(t.Context(), network, "8.8.8.8:80"); err == nil {
			t.Errorf("DialContext dials %s", network)
		}
	}
	if len(d.all()) > 0 {
		t.Errorf("dialled %v", d.all())
	}
}

// TestControl has a socket refuse what resolve has let pass.
func TestControl(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := netip.MustParseAddrPort(l.Addr().String())
	strict, _ := newPolicy(t, PolicyConfig{}, nil)
	if conn, err := strict.connectTCP(t.Context(), to); !errors.Is(err, image.ErrInvalid) {
		t.Errorf("connected to %v: %v, %v", to, conn, err)
	}
	conn, err := loopback(t).connectTCP(t.Context(), to)
	if err != nil {
		t.Fatalf("an allowed address: %v", err)
	}
	conn.Close()
	if err := strict.control("tcp", "nonsense", nil); err == nil {
		t.Error("control lets pass what it cannot read")
	}
}

func TestSilentAddressesAreOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPolicy(t, PolicyConfig{}, map[string][]string{
			"many.example.": {"2606:4700::1,2606:4700::2,93.184.216.34,93.184.216.35"},
		})
		var d dials
		d.watch(p, func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			switch to.Addr().String() {
			case "93.184.216.34": // refuses at once
				return nil, errors.New("connection refused")
			case "2606:4700::2":
				time.Sleep(100 * time.Millisecond)
				conn, _ := net.Pipe()
				return conn, nil
			}
			<-ctx.Done() // keeps silent
			return nil, ctx.Err()
		})
		start := time.Now()
		conn, err := p.DialContext(t.Context(), "tcp", "many.example:80")
		if err != nil {
			t.Fatal(err)
		}
		conn.Close()
		if took, want := time.Since(start), stagger+100*time.Millisecond; took != want {
			t.Errorf("connected after %v, want %v", took, want)
		}
		var order []string
		for _, to := range d.all() {
			order = append(order, to.Addr().String())
		}
		if want := []string{"2606:4700::1", "93.184.216.34", "2606:4700::2"}; !slices.Equal(order, want) {
			t.Errorf("tried %v, want %v", order, want)
		}
	})
}

func TestTheSlowerOfTwoConnectionsIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPolicy(t, PolicyConfig{}, map[string][]string{"two.example.": {"93.184.216.34,93.184.216.35"}})
		var late net.Conn
		p.connect = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			near, far := net.Pipe()
			if to.Addr().String() == "93.184.216.34" {
				<-ctx.Done() // connected just when the other one was
				late = far
			}
			return near, nil
		}
		conn, err := p.DialContext(t.Context(), "tcp", "two.example:80")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := late.Read(make([]byte, 1)); err == nil {
			t.Error("the connection that lost the race is open")
		}
	})
}

func TestDialGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, _ := newPolicy(t, PolicyConfig{ConnectTimeout: 3 * time.Second}, map[string][]string{"silent.example.": {"93.184.216.34,93.184.216.35"}})
		p.connect = func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		start := time.Now()
		_, err := p.DialContext(t.Context(), "tcp", "silent.example:80")
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took != 3*time.Second {
			t.Errorf("gave up with %v after %v, want a deadline after 3s", err, took)
		}
	})
}

func TestNoMoreThanMaxAddressesAreTried(t *testing.T) {
	p, _ := newPolicy(t, PolicyConfig{}, nil)
	var d dials
	d.watch(p, nil)
	var addrs []netip.Addr
	for i := range byte(40) {
		addrs = append(addrs, netip.AddrFrom4([4]byte{93, 184, 216, i}))
	}
	if _, err := p.dialAny(t.Context(), addrs, 80); err == nil || len(d.all()) != maxAddresses {
		t.Errorf("%d addresses were tried: %v", len(d.all()), err)
	}
}
