package iosxe

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// InterfaceState is one line of `show ip interface brief`.
type InterfaceState struct {
	Name     string     // as the router spells it; the column abbreviates
	Address  netip.Addr // IPv4; not valid when unassigned
	Status   string     // up, down, administratively down
	Protocol string     // up, down
}

// Up says whether the interface carries traffic.
func (s InterfaceState) Up() bool { return s.Status == "up" && s.Protocol == "up" }

var interfaceRow = lazyregexp.New(
	`^(\S+)\s+(\S+)\s+(?:YES|NO)\s+\S+\s+(up|down|administratively down|deleted|reset)\s+(up|down)\b`)

// ParseInterfaces reads `show ip interface brief`.
func ParseInterfaces(out string) ([]InterfaceState, error) {
	var all []InterfaceState
	for line := range strings.SplitSeq(Clean(out), "\n") {
		m := interfaceRow.Get().FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		a, _ := netip.ParseAddr(m[2])
		all = append(all, InterfaceState{m[1], a, m[3], m[4]})
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("show ip interface brief: no interface in %s", quoted(out))
	}
	return all, nil
}

// AccessList is an access list as the router shows it.
type AccessList struct {
	Name    string
	Kind    string   // Standard IP, Extended IP, IPv6, Role-based IP, ...
	Entries []string // without sequence numbers and counters
}

var (
	aclHead  = lazyregexp.New(`^(\S.*?) access list (\S+)(?: \(.*\))?$`)
	aclRow   = lazyregexp.New(`^\s*(?:\d{1,10}\s+)?((?:permit|deny|remark|evaluate|dynamic)\b.*?)(?:\s+sequence \d+)?$`)
	aclCount = lazyregexp.New(`\s*\(\d+ match(?:es)?\)`)
)

// ParseAccessLists reads `show access-lists`. No output means that there is none.
func ParseAccessLists(out string) []AccessList {
	var all []AccessList
	for line := range strings.SplitSeq(Clean(out), "\n") {
		line = strings.TrimRight(line, " \t")
		if m := aclHead.Get().FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			all = append(all, AccessList{Name: m[2], Kind: m[1]})
			continue
		}
		m := aclRow.Get().FindStringSubmatch(aclCount.Get().ReplaceAllString(line, ""))
		if m != nil && len(all) > 0 {
			last := &all[len(all)-1]
			last.Entries = append(last.Entries, strings.Join(strings.Fields(m[1]), " "))
		}
	}
	return all
}

// IKESA is one IKE SA of the router, of either version.
type IKESA struct {
	Version   int // 1 or 2
	Local     netip.AddrPort
	Remote    netip.AddrPort
	Status    string // READY, IN-NEG, DELETE; of IKEv1 the state: QM_IDLE, MM_NO_STATE, ...
	LocalSPI  string // 16 hex digits in upper case; only of IKEv2 in the detailed form
	RemoteSPI string
	Session   string // its number, which an SA has that takes the place of another; empty: not shown
	// Life is how long the SA is used at most, and Age how long it has been; 0: not shown.
	Life, Age time.Duration
}

// Established says whether the SA is up.
func (s IKESA) Established() bool { return s.Status == "READY" || s.Status == "QM_IDLE" }

// Deleted says whether the SA is only listed until the router has forgotten it.
func (s IKESA) Deleted() bool { return s.Status == "DELETE" || s.Status == "DELETED" }

var (
	ikeRow     = lazyregexp.New(`^(\d{1,9})\s+(\S+/\d{1,5})\s+(\S+/\d{1,5})\s+\S+/\S+\s+(\S+)`)
	ikeRow6    = lazyregexp.New(`^(\d{1,9})\s+\S+/\S+\s+(\S+)$`)
	ikeLocal6  = lazyregexp.New(`^Local\s+(\S+/\d{1,5})$`)
	ikeRemote6 = lazyregexp.New(`^Remote\s+(\S+/\d{1,5})$`)
	ikeLife    = lazyregexp.New(`^Life/Active Time:\s*(\d{1,9})/(\d{1,9}) sec`)
	ikeSession = lazyregexp.New(`^CE id:\s*\d+, Session-id:\s*(\d{1,10})`)
	ikeSPI     = lazyregexp.New(`^Local spi:\s*([0-9A-Fa-f]{16})\s+Remote spi:\s*([0-9A-Fa-f]{16})`)
	isakmpRow  = lazyregexp.New(`^([0-9A-Fa-f.:]+)\s+([0-9A-Fa-f.:]+)\s+([A-Z][A-Z0-9_]+)\s+\d+\s+(ACTIVE.*)$`)
)

// ParseIKEv2SA reads `show crypto ikev2 sa`, detailed or not. No output means that there is none.
func ParseIKEv2SA(out string) []IKESA {
	var all []IKESA
	for line := range strings.SplitSeq(Clean(out), "\n") {
		line = strings.TrimSpace(line)
		if m := ikeRow.Get().FindStringSubmatch(line); m != nil {
			all = append(all, IKESA{Version: 2, Local: slashPort(m[2]), Remote: slashPort(m[3]), Status: m[4]})
		} else if m := ikeRow6.Get().FindStringSubmatch(line); m != nil {
			all = append(all, IKESA{Version: 2, Status: m[2]})
		} else if len(all) > 0 {
			all[len(all)-1].detail(line)
		}
	}
	return all
}

func (s *IKESA) detail(line string) {
	if m := ikeLocal6.Get().FindStringSubmatch(line); m != nil {
		s.Local = slashPort(m[1])
	} else if m := ikeRemote6.Get().FindStringSubmatch(line); m != nil {
		s.Remote = slashPort(m[1])
	} else if m := ikeSPI.Get().FindStringSubmatch(line); m != nil {
		s.LocalSPI, s.RemoteSPI = strings.ToUpper(m[1]), strings.ToUpper(m[2])
	} else if m := ikeLife.Get().FindStringSubmatch(line); m != nil {
		s.Life, s.Age = seconds(m[1]), seconds(m[2])
	} else if m := ikeSession.Get().FindStringSubmatch(line); m != nil {
		s.Session = m[1]
	}
}

func seconds(digits string) time.Duration {
	n, _ := strconv.Atoi(digits) // they are, and few
	return time.Duration(n) * time.Second
}

// slashPort reads an address and a port as IKEv2 shows them: 192.0.2.1/500.
func slashPort(s string) netip.AddrPort {
	host, port, _ := strings.Cut(s, "/")
	p, err := netip.ParseAddrPort("0.0.0.0:" + port)
	if err != nil {
		return netip.AddrPort{}
	}
	a, _ := netip.ParseAddr(host)
	return netip.AddrPortFrom(a, p.Port())
}

// ParseISAKMPSA reads `show crypto isakmp sa`. The columns name destination and source of the first
// packet, not sides.
func ParseISAKMPSA(out string) []IKESA {
	var all []IKESA
	for line := range strings.SplitSeq(Clean(out), "\n") {
		m := isakmpRow.Get().FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		dst, err1 := netip.ParseAddr(m[1])
		src, err2 := netip.ParseAddr(m[2])
		if err1 != nil || err2 != nil {
			continue
		}
		status := m[3]
		if strings.Contains(m[4], "deleted") {
			status = "DELETED"
		}
		all = append(all, IKESA{Version: 1, Local: netip.AddrPortFrom(dst, 0), Remote: netip.AddrPortFrom(src, 0),
			Status: status})
	}
	return all
}

// CryptoSession is one session of `show crypto session`.
type CryptoSession struct {
	Status string // UP-ACTIVE: its IPsec SAs are there; UP-IDLE, UP-NO-IKE, DOWN-NEGOTIATING, DOWN, ...
	Peer   netip.AddrPort
}

var (
	sessionStatus = lazyregexp.New(`^Session status:\s*(\S+)`)
	sessionPeer   = lazyregexp.New(`^Peer:\s*(\S+) port (\d{1,5})\b`)
)

// ParseCryptoSessions reads `show crypto session`, detailed or not.
func ParseCryptoSessions(out string) []CryptoSession {
	var all []CryptoSession
	for line := range strings.SplitSeq(Clean(out), "\n") {
		line = strings.TrimSpace(line)
		if m := sessionStatus.Get().FindStringSubmatch(line); m != nil {
			all = append(all, CryptoSession{Status: m[1]})
		} else if m := sessionPeer.Get().FindStringSubmatch(line); m != nil && len(all) > 0 {
			all[len(all)-1].Peer = slashPort(m[1] + "/" + m[2])
		}
	}
	return all
}

// ParseDebug reads `show debugging`: the lines that name a debug that is on.
func ParseDebug(out string) []string {
	var on []string
	for line := range strings.SplitSeq(Clean(out), "\n") {
		if line = strings.TrimSpace(line); strings.HasSuffix(line, "debugging is on") || strings.HasPrefix(line, "IKEV2:") {
			on = append(on, line)
		}
	}
	return on
}

// debugPeer matches a condition of `debug crypto condition peer ipv4 ADDRESS` in `show debugging`.
var debugPeer = lazyregexp.New(`(?mi)^\s*condition \d+:.*\bpeer\s+(?:ip(?:v[46])?\s+)?(\S+)`)

// DebugsPeer says whether `show debugging` lists a condition that limits debugs to peer. Not every
// release lists them.
func DebugsPeer(out string, peer netip.Addr) bool {
	for _, m := range debugPeer.Get().FindAllStringSubmatch(Clean(out), -1) {
		if a, err := netip.ParseAddr(m[1]); err == nil && a.Unmap() == peer.Unmap() {
			return true
		}
	}
	return false
}
