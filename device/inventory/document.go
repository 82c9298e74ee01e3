package inventory

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"gopkg.in/yaml.v3"
)

// The bounds of a capture are those of a CSR1000V; the defaults hold a negotiation many times over.
var (
	defaultPeer = Peer{
		Port:       22,
		KnownHosts: "~/.ssh/known_hosts",
		HostKey:    HostKeyStrict,
		Platform:   PlatformIOSXE,
		Limits:     Limits{CPUPercent: 80, MemoryPercent: 95, ClockSkew: time.Hour, Runs: 1},
	}
	defaultCapture = CaptureSettings{BufferMB: 10, Duration: time.Minute, Packets: 20000}
)

// The spellings of the platform that other inventories use.
var platforms = map[string]string{
	PlatformIOSXE: PlatformIOSXE, "cisco.ios.ios": PlatformIOSXE, "iosxe": PlatformIOSXE, "ios-xe": PlatformIOSXE,
	"csr1000v": PlatformIOSXE, "c8000v": PlatformIOSXE,
}

func (p *parser) inventory(n *yaml.Node) *Inventory {
	inv := &Inventory{File: p.file, Peers: map[string]*Peer{}, Tunnels: map[string]*Tunnel{},
		Schedules: map[string]*Schedule{}, Notify: map[string]*Notify{}}
	peer, capture := defaultPeer, defaultCapture
	if known, err := ExpandHome(peer.KnownHosts); err != nil {
		p.fail(n, "defaults.known_hosts", "%v", err)
	} else {
		peer.KnownHosts = known
	}
	var peers, tunnels, schedules, notify, told *yaml.Node
	versioned, loginUnread := false, false
	keep := func(into **yaml.Node) func(string, *yaml.Node) {
		return func(_ string, n *yaml.Node) { *into = n }
	}
	if n.Kind != yaml.MappingNode {
		p.fail(n, "", "want the keys version, defaults, peers and tunnels")
		return inv
	}
	p.mapping("", n, keys{
		"version": func(where string, n *yaml.Node) {
			versioned = true
			if n.Kind != yaml.ScalarNode || n.Value != "1" {
				p.fail(n, where, "want version: 1, the only one that there is")
			}
		},
		"defaults": func(where string, n *yaml.Node) {
			ks := p.peerKeys(&peer)
			ks["capture"] = func(where string, n *yaml.Node) { p.capture(where, n, &capture) }
			ks["legacy_ssh"] = func(where string, n *yaml.Node) {
				p.fail(n, where, "outdated algorithms are allowed router by router: set legacy_ssh under the peers that need it")
			}
			ks["notify"] = keep(&told)
			before := len(p.problems)
			p.mapping(where, n, ks)
			loginUnread = len(p.problems) > before
			peer.Password, peer.Enable, peer.KeyPassphrase = peer.Password.share(), peer.Enable.share(),
				peer.KeyPassphrase.share()
		},
		"peers":     keep(&peers),
		"tunnels":   keep(&tunnels),
		"schedules": keep(&schedules),
		"notify":    keep(&notify),
	})
	if !versioned {
		p.fail(n, "version", "it is missing; want version: 1")
	}
	if peers == nil {
		p.fail(n, "peers", "there are none")
	} else {
		p.peers(peers, peer, loginUnread, inv)
	}
	if notify != nil {
		p.notify(notify, inv)
	}
	var toldByAll []string
	if told != nil {
		p.targets("defaults.notify", told, &toldByAll, inv)
	}
	if tunnels != nil {
		p.tunnels(tunnels, Tunnel{Approve: ApproveNone, Capture: capture, Notify: toldByAll}, inv)
	}
	if schedules != nil {
		p.schedules(schedules, inv)
	}
	return inv
}

// peerKeys are the keys that defaults and peers share.
func (p *parser) peerKeys(peer *Peer) keys {
	secret := func(into *SecretRef) func(string, *yaml.Node) {
		return func(where string, n *yaml.Node) { p.secret(where, n, into) }
	}
	flag := func(into *bool) func(string, *yaml.Node) {
		return func(where string, n *yaml.Node) { p.flag(where, n, into) }
	}
	path := func(into *string) func(string, *yaml.Node) {
		return func(where string, n *yaml.Node) { p.path(where, n, into) }
	}
	return keys{
		"port": func(where string, n *yaml.Node) { p.number(where, n, &peer.Port, 1, 65535) },
		"username": func(where string, n *yaml.Node) {
			p.matching(where, n, &peer.Username, userPattern.Get(), "a user name")
		},
		"password":       secret(&peer.Password),
		"enable":         secret(&peer.Enable),
		"key_file":       path(&peer.KeyFile),
		"key_passphrase": secret(&peer.KeyPassphrase),
		"agent":          flag(&peer.Agent),
		"jump":           func(where string, n *yaml.Node) { p.jumps(where, n, &peer.Jump) },
		"known_hosts":    path(&peer.KnownHosts),
		"host_key": func(where string, n *yaml.Node) {
			p.oneOf(where, n, &peer.HostKey, map[string]string{HostKeyStrict: HostKeyStrict, HostKeyAcceptNew: HostKeyAcceptNew},
				"strict or accept-new (host keys are always checked; `moncap trust PEER` accepts one)")
		},
		"ssh_config": flag(&peer.SSHConfig),
		"site":       func(where string, n *yaml.Node) { p.name(where, n, &peer.Site, "a site") },
		"platform": func(where string, n *yaml.Node) {
			p.oneOf(where, n, &peer.Platform, platforms, "cisco_iosxe")
		},
		"limits":   func(where string, n *yaml.Node) { p.limits(where, n, &peer.Limits) },
		"timeouts": func(where string, n *yaml.Node) { p.timeouts(where, n, &peer.Timeouts) },
	}
}

// peers reads the peers. loginUnread says that something in defaults could not be read, so that how
// to log in may be what is missing there.
func (p *parser) peers(n *yaml.Node, defaults Peer, loginUnread bool, inv *Inventory) {
	p.entries("peers", n, func(key, value *yaml.Node) {
		where := join("peers", key.Value)
		if !namePattern.Get().MatchString(key.Value) {
			p.fail(key, where, "want a name of letters, digits, '.', '_' and '-', at most 63")
			return
		}
		peer := defaults
		peer.Name = key.Value
		inv.Peers[peer.Name] = &peer
		ks := p.peerKeys(&peer)
		ks["legacy_ssh"] = func(where string, n *yaml.Node) { p.flag(where, n, &peer.LegacySSH) }
		ks["host"] = func(where string, n *yaml.Node) { p.host(where, n, &peer.Host) }
		ks["expect_hostname"] = func(where string, n *yaml.Node) {
			p.matching(where, n, &peer.ExpectHostname, namePattern.Get(), "what the router calls itself in its prompt")
		}
		ks["log_sources"] = func(where string, n *yaml.Node) { p.logSources(where, n, &peer.LogSources) }
		wanted := false
		ks["wan"] = func(where string, n *yaml.Node) { wanted = true; p.wan(where, n, &peer.WAN) }
		before := len(p.problems)
		p.mapping(where, value, ks)
		if len(p.problems) > before {
			return // what follows would repeat it
		}
		if !loginUnread {
			p.login(where, key, &peer)
		}
		p.complete(where, key, &peer, wanted)
	})
}

func (p *parser) login(where string, n *yaml.Node, peer *Peer) {
	if peer.Username == "" && !peer.SSHConfig {
		p.fail(n, where, "username is missing, here and in defaults")
	}
	if peer.Password.IsZero() && peer.KeyFile == "" && !peer.Agent && !peer.SSHConfig {
		p.fail(n, where, "there is no way to log in: want password, key_file or agent, here or in defaults")
	}
}

func (p *parser) complete(where string, n *yaml.Node, peer *Peer, wan bool) {
	if peer.Host == "" {
		p.fail(n, where, "host is missing: the name or address of its management interface")
	}
	switch {
	case !wan:
		p.fail(n, where, "wan is missing: {interface: ..., address: ...}; the interface is never guessed")
	case peer.WAN.Interface == "":
		p.fail(n, where, "wan.interface is missing; it is never guessed")
	case !peer.WAN.Address.IsValid():
		p.fail(n, where, "wan.address is missing: the VPN address on the interface")
	case peer.WAN.NATAddress.IsValid() && peer.WAN.NATAddress.Is4() != peer.WAN.Address.Is4():
		p.fail(n, where, "wan.address and wan.nat_address are not of one family")
	}
}

func (p *parser) wan(where string, n *yaml.Node, w *WAN) {
	p.mapping(where, n, keys{
		"interface": func(where string, n *yaml.Node) {
			p.matching(where, n, &w.Interface, interfacePattern.Get(),
				"an interface like GigabitEthernet1 or TenGigabitEthernet0/0/1.101")
		},
		"also":        func(where string, n *yaml.Node) { p.interfaces(where, n, w) },
		"address":     func(where string, n *yaml.Node) { p.address(where, n, &w.Address) },
		"nat_address": func(where string, n *yaml.Node) { p.address(where, n, &w.NATAddress) },
		"vrf": func(where string, n *yaml.Node) {
			p.matching(where, n, &w.VRF, vrfPattern.Get(), "the name of a VRF")
		},
	})
}

// interfaces reads the further interfaces of a WAN, as many as a capture point takes.
func (p *parser) interfaces(where string, n *yaml.Node, w *WAN) {
	const want = "a list of at most 3 interfaces beside wan.interface, such as [GigabitEthernet2]"
	if n.Kind != yaml.SequenceNode || len(n.Content) > 3 {
		p.fail(n, where, "want %s", want)
		return
	}
	for _, item := range n.Content {
		switch {
		case item.Kind != yaml.ScalarNode || !interfacePattern.Get().MatchString(item.Value):
			p.fail(item, where, "want %s", want)
		case slices.Contains(w.Also, item.Value) || item.Value == w.Interface:
			p.fail(item, where, "%s stands there twice", quoted(item.Value))
		default:
			w.Also = append(w.Also, item.Value)
		}
	}
}

func (p *parser) limits(where string, n *yaml.Node, l *Limits) {
	p.mapping(where, n, keys{
		"cpu_percent":    func(where string, n *yaml.Node) { p.number(where, n, &l.CPUPercent, 1, 100) },
		"memory_percent": func(where string, n *yaml.Node) { p.number(where, n, &l.MemoryPercent, 1, 100) },
		"clock_skew": func(where string, n *yaml.Node) {
			p.duration(where, n, &l.ClockSkew, time.Second, 100*365*24*time.Hour)
		},
		"runs": func(where string, n *yaml.Node) { p.number(where, n, &l.Runs, 1, 8) },
	})
}

func (p *parser) timeouts(where string, n *yaml.Node, t *Timeouts) {
	p.mapping(where, n, keys{
		"dial":    func(where string, n *yaml.Node) { p.duration(where, n, &t.Dial, 2*time.Second, 5*time.Minute) },
		"command": func(where string, n *yaml.Node) { p.duration(where, n, &t.Command, 5*time.Second, 10*time.Minute) },
		"idle":    func(where string, n *yaml.Node) { p.duration(where, n, &t.Idle, 5*time.Second, 30*time.Minute) },
	})
}

func (p *parser) capture(where string, n *yaml.Node, c *CaptureSettings) {
	p.mapping(where, n, keys{
		"name": func(where string, n *yaml.Node) {
			p.matching(where, n, &c.Name, captureNamePattern.Get(),
				"a letter and at most 14 more letters, digits, '_' or '-', for the capture point and its access list")
		},
		"buffer_mb":     func(where string, n *yaml.Node) { p.number(where, n, &c.BufferMB, 1, 100) },
		"duration":      func(where string, n *yaml.Node) { p.duration(where, n, &c.Duration, time.Second, 24*time.Hour) },
		"packets":       func(where string, n *yaml.Node) { p.number(where, n, &c.Packets, 1, 100000) },
		"packet_len":    func(where string, n *yaml.Node) { p.number(where, n, &c.PacketLen, 64, 9500) },
		"pps":           func(where string, n *yaml.Node) { p.number(where, n, &c.PPS, 1, 1000000) },
		"ike_only":      func(where string, n *yaml.Node) { p.flag(where, n, &c.IKEOnly) },
		"packet_trace":  func(where string, n *yaml.Node) { p.packetTrace(where, n, &c.PacketTrace) },
		"control_plane": func(where string, n *yaml.Node) { p.flag(where, n, &c.ControlPlane) },
		"binary_trace":  func(where string, n *yaml.Node) { p.flag(where, n, &c.BinaryTrace) },
		"circular":      func(where string, n *yaml.Node) { p.flag(where, n, &c.Circular) },
	})
}

// packetTrace reads how many packets are traced. 0 is none, for what the defaults have traced.
func (p *parser) packetTrace(where string, n *yaml.Node, into *int) {
	if n.Kind == yaml.ScalarNode && n.Value == "0" {
		*into = 0
		return
	}
	p.number(where, n, into, 16, 256)
}

func (p *parser) tunnels(n *yaml.Node, defaults Tunnel, inv *Inventory) {
	p.entries("tunnels", n, func(key, value *yaml.Node) {
		where := join("tunnels", key.Value)
		if !namePattern.Get().MatchString(key.Value) {
			p.fail(key, where, "want a name of letters, digits, '.', '_' and '-', at most 63")
			return
		}
		own := defaults
		t := &own
		t.Name = key.Value
		inv.Tunnels[t.Name] = t
		peer := func(into **Peer) func(string, *yaml.Node) {
			return func(where string, n *yaml.Node) { *into = p.peerNamed(where, n, inv) }
		}
		before := len(p.problems)
		p.mapping(where, value, keys{
			"a":       peer(&t.A),
			"b":       peer(&t.B),
			"tags":    func(where string, n *yaml.Node) { p.names(where, n, &t.Tags) },
			"site":    func(where string, n *yaml.Node) { p.name(where, n, &t.Site, "a site") },
			"approve": func(where string, n *yaml.Node) { p.oneOf(where, n, &t.Approve, approvals, "none or four-eyes") },
			"capture": func(where string, n *yaml.Node) { p.capture(where, n, &t.Capture) },
			"interfaces": func(where string, n *yaml.Node) {
				p.mapping(where, n, keys{
					"a": func(where string, n *yaml.Node) { p.tunnelInterface(where, n, &t.Interfaces[0]) },
					"b": func(where string, n *yaml.Node) { p.tunnelInterface(where, n, &t.Interfaces[1]) },
				})
			},
			"notify": func(where string, n *yaml.Node) { p.targets(where, n, &t.Notify, inv) },
		})
		if len(p.problems) == before {
			if err := t.check(); err != nil {
				p.fail(key, where, "%v", err)
			} else if err := t.settleSite(); err != nil {
				p.fail(key, where, "%v", err)
			}
		}
	})
}

func (p *parser) tunnelInterface(where string, n *yaml.Node, into *string) {
	p.matching(where, n, into, tunnelInterfacePattern.Get(), "a tunnel interface as log lines call it, such as Tunnel46")
}

// logSources reads addresses that the log lines of a router come from. Loopback addresses are those
// of a router that is simulated.
func (p *parser) logSources(where string, n *yaml.Node, into *[]netip.Addr) {
	const want = "a list of addresses, such as [192.0.2.77]"
	if n.Kind != yaml.SequenceNode {
		p.fail(n, where, "want %s", want)
		return
	}
	for _, item := range n.Content {
		s, ok := p.scalar(where, item, want)
		if !ok {
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil || a.IsUnspecified() || a.IsMulticast() || a.Zone() != "" {
			p.fail(item, where, "%s: want %s", quoted(s), want)
			continue
		}
		*into = append(*into, a.Unmap())
	}
}

var approvals = map[string]string{ApproveNone: ApproveNone, ApproveFourEyes: ApproveFourEyes}

// settleSite takes the site of a tunnel from its peers where it does not say its own.
func (t *Tunnel) settleSite() error {
	if t.Site != "" {
		return nil
	}
	a, b := t.A.Site, t.B.Site
	if a != "" && b != "" && a != b {
		return fmt.Errorf("%s is at site %s and %s at site %s: say whose workers capture it, with a site of its own",
			t.A.Name, a, t.B.Name, b)
	}
	t.Site = cmp.Or(a, b)
	return nil
}

// names reads a list of names, each of which stands there once.
func (p *parser) names(where string, n *yaml.Node, into *[]string) {
	const want = "a list of names of letters, digits, '.', '_' and '-', such as [berlin, nightly]"
	if n.Kind != yaml.SequenceNode {
		p.fail(n, where, "want %s", want)
		return
	}
	for _, item := range n.Content {
		switch {
		case item.Kind != yaml.ScalarNode || !namePattern.Get().MatchString(item.Value):
			p.fail(item, where, "want %s", want)
		case slices.Contains(*into, item.Value):
			p.fail(item, where, "%s stands there twice", quoted(item.Value))
		default:
			*into = append(*into, item.Value)
		}
	}
}

func (p *parser) peerNamed(where string, n *yaml.Node, inv *Inventory) *Peer {
	s, ok := p.scalar(where, n, "the name of a peer")
	if !ok {
		return nil
	}
	peer, ok := inv.Peers[s]
	if !ok {
		p.fail(n, where, "there is no peer %s; want one of %s", quoted(s), listed(inv.PeerNames()))
	}
	return peer
}

func (t *Tunnel) check() error {
	switch {
	case t.A == nil:
		return fmt.Errorf("a is missing: the name of a peer")
	case t.B == nil:
		return fmt.Errorf("b is missing: the name of a peer")
	case t.A == t.B:
		return fmt.Errorf("a and b are the same peer")
	case t.A.WAN.Address.IsValid() && t.B.WAN.Address.IsValid() && t.A.WAN.Address.Is4() != t.B.WAN.Address.Is4():
		return fmt.Errorf("the VPN addresses %s and %s are not of one family", t.A.WAN.Address, t.B.WAN.Address)
	}
	for _, side := range []struct{ own, remote *Peer }{{t.A, t.B}, {t.B, t.A}} {
		if seen := side.remote.WAN.seenAs(); seen.IsValid() && side.own.WAN.Address == seen {
			return fmt.Errorf("%s and %s have the same VPN address %s", side.own.Name, side.remote.Name, seen)
		}
	}
	return nil
}
