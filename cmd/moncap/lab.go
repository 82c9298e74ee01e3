package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/moncap/moncap/device"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

// What the simulated routers have in common. The password is no secret: it opens nothing but them.
const (
	labUser      = "moncap"
	labPassword  = "practice"
	labInterface = "GigabitEthernet1"
)

type labOptions struct {
	dir   string // for the password and the host keys
	ports [2]int // 0 picks one
	speed float64
	// clockB is what the clock of site-B is ahead of the other's.
	clockB  time.Duration
	release string            // of IOS XE, as in 17.9.4; empty: the simulator's own
	loseSA  time.Duration     // an IKE SA is lost when it has been up for so long; 0: it is not
	logged  func(line []byte) // gets the routers' log lines; nil: nobody does
	// change makes the routers of a test different; nil elsewhere.
	change func(*simulator.Config)
}

// lab is two simulated routers with an incident between them, and the tunnel that an inventory
// would have for them.
type lab struct {
	routers  [2]*simulator.Router
	tunnel   *inventory.Tunnel
	replayed <-chan struct{} // closed when all packets have passed
}

// Close ends the routers and waits for them.
func (l *lab) Close() error {
	var errs []error
	for _, r := range l.routers {
		if r != nil {
			errs = append(errs, r.Close())
		}
	}
	return errors.Join(errs...)
}

// startLab starts the routers on loopback and accepts their host keys.
func startLab(ctx context.Context, incident testdata.Incident, o labOptions) (*lab, error) {
	pair, err := simulator.NewPair(incident.A, incident.B, o.speed)
	if err != nil {
		return nil, err
	}
	tunnel, err := demoTunnel(incident, o.dir)
	if err != nil {
		return nil, err
	}
	l := &lab{tunnel: tunnel, replayed: pair.Replayed()}
	return l, l.startRouters(ctx, [2]simulator.Source{pair.A(), pair.B()}, o)
}

// startRouters starts both; an error leaves none of them.
func (l *lab) startRouters(ctx context.Context, sources [2]simulator.Source, o labOptions) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if err := os.WriteFile(filepath.Join(o.dir, "password"), []byte(labPassword+"\n"), 0o600); err != nil {
		return err
	}
	for i, peer := range []*inventory.Peer{l.tunnel.A, l.tunnel.B} {
		if err := l.start(ctx, i, peer, sources[i], o); err != nil {
			return err
		}
	}
	return nil
}

func (l *lab) start(ctx context.Context, i int, peer *inventory.Peer, packets simulator.Source, o labOptions) error {
	c := simulator.Config{
		Hostname: peer.ExpectHostname, Username: labUser, Password: labPassword, Packets: packets,
		Interfaces: []simulator.Interface{{Name: labInterface, Address: peer.WAN.Address}}, Version: o.release,
	}
	c.Knobs.LoseSAAfter, c.Logged = o.loseSA, o.logged
	if peer == l.tunnel.B {
		c.ClockOffset = o.clockB
	}
	key, err := simulator.HostKey(filepath.Join(o.dir, peer.Name+"_host_key"))
	if err != nil {
		return err
	}
	c.HostKeys = append(c.HostKeys, key)
	if o.change != nil {
		o.change(&c)
	}
	r, err := simulator.New(c)
	if err != nil {
		return err
	}
	l.routers[i] = r
	// Listen ends with Close and not with ctx: an interrupted run still has to clean up.
	if err := r.Listen(context.WithoutCancel(ctx), net.JoinHostPort(peer.Host, strconv.Itoa(o.ports[i]))); err != nil {
		if err = fmt.Errorf("%s: %w", peer.Name, err); o.ports[i] != 0 {
			side := [2]string{"a", "b"}[i]
			err = &hinted{err, fmt.Sprintf("another program has the port: --port-%s 0 picks one that is free", side)}
		}
		return err
	}
	_, listens, err := net.SplitHostPort(r.Addr())
	if err != nil {
		return err
	}
	if peer.Port, err = strconv.Atoi(listens); err != nil {
		return err
	}
	info, err := device.ScanHostKey(ctx, *peer, device.Options{})
	if err != nil {
		return err
	}
	return device.AcceptHostKey(*peer, info)
}

// labTunnel is a tunnel between the two simulated routers, as an inventory would have it. The ports
// are not known yet.
func labTunnel(name, dir string, addressA, addressB netip.Addr) (*inventory.Tunnel, error) {
	secret, err := inventory.ParseSecretRef("file:" + filepath.Join(dir, "password"))
	if err != nil {
		return nil, err
	}
	base := inventory.Peer{
		Host: "127.0.0.1", Username: labUser, Password: secret, KnownHosts: filepath.Join(dir, "known_hosts"),
		HostKey: inventory.HostKeyStrict, Platform: inventory.PlatformIOSXE,
		WAN:    inventory.WAN{Interface: labInterface},
		Limits: inventory.Limits{CPUPercent: 80, MemoryPercent: 95, ClockSkew: time.Hour, Runs: 1},
	}
	a, b := base, base
	a.Name, a.WAN.Address, a.ExpectHostname = "site-a", addressA, "site-A"
	b.Name, b.WAN.Address, b.ExpectHostname = "site-b", addressB, "site-B"
	return &inventory.Tunnel{Name: name, A: &a, B: &b,
		Capture: inventory.CaptureSettings{BufferMB: 10, Duration: 10 * time.Minute, Packets: 20000}}, nil
}

// demoTunnel is the tunnel of an incident.
func demoTunnel(incident testdata.Incident, dir string) (*inventory.Tunnel, error) {
	addressA, addressB := testdata.A4, testdata.B4
	if incident.IPv6() {
		addressA, addressB = testdata.A6, testdata.B6
	}
	t, err := labTunnel("demo", dir, addressA, addressB)
	if err == nil && incident.Translated() {
		t.A.WAN.NATAddress = testdata.NAT
	}
	return t, err
}
