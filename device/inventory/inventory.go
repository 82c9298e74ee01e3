// Package inventory reads the file that names routers and tunnels: YAML in, validated values out.
//
// It is strict. An unknown key, a duplicate, a peer that is not there, an address that is none, or
// a name that could not be typed at a router is an error that says where it stands and what was
// expected. Secrets are references to where a secret is kept; one that is written in the file
// itself is an error.
package inventory

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// Inventory is what the file says: the peers, and the tunnels between them.
type Inventory struct {
	File      string
	Digest    string // of the file's bytes: two with the same one say the same
	Peers     map[string]*Peer
	Tunnels   map[string]*Tunnel
	Schedules map[string]*Schedule
	Notify    map[string]*Notify
}

// Peer is one router and the way to it.
type Peer struct {
	Name           string
	Host           string // of the management interface: a name or an address
	Port           int    // of the SSH server
	Username       string
	Password       SecretRef
	Enable         SecretRef // the enable secret, where the login does not start at level 15
	KeyFile        string
	KeyPassphrase  SecretRef
	Agent          bool   // offer the keys of the running ssh-agent
	Jump           []Jump // in the order that they are passed
	KnownHosts     string // file
	HostKey        string // HostKeyStrict or HostKeyAcceptNew
	LegacySSH      bool   // allow the algorithms that only old releases speak
	SSHConfig      bool   // let ~/.ssh/config fill what is not set here
	ExpectHostname string // what the router must call itself; empty: anything
	Platform       string
	Site           string // whose workers can reach it; empty: every worker can
	WAN            WAN
	LogSources     []netip.Addr // that its log lines come from, beside Host and the addresses of WAN
	Limits         Limits
	Timeouts       Timeouts
}

// The policies for host keys.
const (
	HostKeyStrict    = "strict"     // an unknown host is refused
	HostKeyAcceptNew = "accept-new" // an unknown host is recorded; a changed key is refused all the same
)

// PlatformIOSXE is the one platform that moncap drives.
const PlatformIOSXE = "cisco_iosxe"

// Address returns host and port for dialling.
func (p *Peer) Address() string { return net.JoinHostPort(p.Host, strconv.Itoa(p.Port)) }

// WAN is the router's end of the tunnel.
type WAN struct {
	Interface  string
	Also       []string   // further interfaces by which the tunnel's packets may pass: a second uplink, ECMP
	Address    netip.Addr // the VPN address on the interface
	NATAddress netip.Addr // what the other side sees instead; invalid without NAT
	VRF        string     // of the interface; empty is the global table
}

// seenAs is the address that the other side sends to.
func (w WAN) seenAs() netip.Addr {
	if w.NATAddress.IsValid() {
		return w.NATAddress
	}
	return w.Address
}

// Limits are the bounds beyond which check refuses a router.
type Limits struct {
	CPUPercent    int           // five-minute load of the control plane
	MemoryPercent int           // used memory of the processor pool
	ClockSkew     time.Duration // between the router and this machine
	Runs          int           // concurrent runs on this router
}

// Timeouts bound the waiting for a router. Zero: the session's own, 20 s, 30 s and 60 s.
type Timeouts struct {
	Dial    time.Duration // until the login is through
	Command time.Duration // for a command's whole answer
	Idle    time.Duration // between two signs of life of what may take long: an export, a transfer
}

// Jump is a host on the way to a router.
type Jump struct {
	User string // empty: the peer's
	Host string
	Port int
}

func (j Jump) String() string {
	s := net.JoinHostPort(j.Host, strconv.Itoa(j.Port))
	if j.User != "" {
		s = j.User + "@" + s
	}
	return s
}

// Tunnel is two peers with a tunnel between them.
type Tunnel struct {
	Name    string
	A, B    *Peer
	Site    string   // whose workers capture it; empty: every worker can
	Tags    []string // by which several are chosen at once
	Approve string   // ApproveNone or ApproveFourEyes
	Capture CaptureSettings
	// Interfaces are the tunnel interfaces of A and B, by which log lines name the
	// tunnel; empty: not known.
	Interfaces [2]string
	Notify     []string // who is told what a fleet finds
}

// Who has to agree to a run of a tunnel that a fleet makes.
const (
	ApproveNone     = "none"
	ApproveFourEyes = "four-eyes" // somebody else than who asked for it
)

// CaptureSettings bounds a capture of a tunnel.
type CaptureSettings struct {
	Name      string // of capture point and access list; empty: one made for each run
	BufferMB  int
	Duration  time.Duration
	Packets   int
	PacketLen int // bytes kept of each packet; 0: all
	PPS       int // packets kept per second; 0: the router's default
	Circular  bool
	IKEOnly   bool // no ESP and no AH
	// PacketTrace is how many packets of the peer the routers' data planes trace, 16 to 256; 0: none.
	PacketTrace  int
	ControlPlane bool // capture at the routers' control planes as well
	BinaryTrace  bool // read what IKE wrote into the binary trace of IOS XE 17
}

// Tunnel returns the tunnel called name. The error lists the names that there are.
func (inv *Inventory) Tunnel(name string) (*Tunnel, error) {
	if t, ok := inv.Tunnels[name]; ok {
		return t, nil
	}
	return nil, fmt.Errorf("%s: no tunnel %q; it has %s", inv.File, name, listed(inv.TunnelNames()))
}

// Peer returns the peer called name. The error lists the names that there are.
func (inv *Inventory) Peer(name string) (*Peer, error) {
	if p, ok := inv.Peers[name]; ok {
		return p, nil
	}
	return nil, fmt.Errorf("%s: no peer %q; it has %s", inv.File, name, listed(inv.PeerNames()))
}

// TunnelNames returns the names of all tunnels, sorted.
func (inv *Inventory) TunnelNames() []string { return slices.Sorted(maps.Keys(inv.Tunnels)) }

// PeerNames returns the names of all peers, sorted.
func (inv *Inventory) PeerNames() []string { return slices.Sorted(maps.Keys(inv.Peers)) }

func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	const most = 12
	s := ""
	for i, n := range names {
		switch {
		case i == most:
			return s + fmt.Sprintf(" and %d more", len(names)-most)
		case i > 0:
			s += ", "
		}
		s += n
	}
	return s
}
