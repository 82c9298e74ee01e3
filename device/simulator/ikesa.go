package simulator

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// ikeSA is an IKE SA as the router would have it after the packets that passed. What the packets
// say in clear is enough: the exchange, the SPIs, and which payload stands first inside an
// encrypted one (RFC 7296, Section 3.14).
type ikeSA struct {
	one            bool // IKEv1
	local, remote  netip.AddrPort
	initiator      bool // this router began
	spiI, spiR     [8]byte
	up             bool
	rejected       bool // its initiator did not accept the responder: it is listed no more
	since, touched time.Time
	gap            time.Duration // the longest between two of its packets
	asked          openRequest
	quick          map[[4]byte]*quickMode // of IKEv1, by their message IDs
	child          bool                   // of IKEv1: a Quick Mode came to its end
}

// quickMode is a Quick Mode under way: three messages with one message ID, the first and the last
// of them from whoever began it (RFC 2409, Section 5.5).
type quickMode struct {
	sent     bool   // this router began it
	first    string // the message that began it, by which its repetitions are known
	answered bool
}

// openRequest is a request of an SA that is up, as long as nothing has answered it.
type openRequest struct {
	open    bool
	id      [4]byte
	sent    bool // this router asks
	repeats int
	last    time.Time
	gap     time.Duration // the longest between two of its sendings
}

// hear follows whether requests are answered (RFC 7296, Section 2.1).
func (q *openRequest) hear(id [4]byte, response, sent bool, now time.Time) {
	switch {
	case response:
		q.open = q.open && q.id != id
	case q.open && q.id == id && q.sent == sent:
		q.repeats++
		q.gap, q.last = max(q.gap, now.Sub(q.last)), now
	default:
		*q = openRequest{open: true, id: id, sent: sent, last: now}
	}
}

// negotiating is how long an SA is listed at least whose negotiation gets no further.
const negotiating = 5 * time.Second

// repeated is how often a request is repeated at least before its peer is taken for dead.
const repeated = 3

// givenUp says whether a negotiation is over that nobody ended, or an SA whose peer answers no
// more. While somebody repeats himself it is not: he does so after twice the time at most.
func (sa *ikeSA) givenUp(now time.Time) bool {
	if q := sa.asked; sa.up {
		return q.open && q.repeats >= repeated && now.Sub(q.last) > max(negotiating, 2*q.gap+time.Second)
	}
	return now.Sub(sa.touched) > max(negotiating, 2*sa.gap+time.Second)
}

// The numbers of RFC 7296 and RFC 2408 that matter here.
const (
	ikeHeader             = 28
	ikeAuth, saInit       = 35, 34
	invalidKE             = 17    // the answer is a request with another group
	statusTypes           = 16384 // notifications from here on are no errors
	payloadSK, payloadSKF = 46, 53
	payloadNotify         = 41
	payloadEAP            = 48
	flagResponse          = 0x20
)

// The numbers of IKEv1 that matter here (RFC 2408, Section 3.1; RFC 2409, Appendix A). The payload
// of a fragment and the flag of the last one are Cisco's.
const (
	mainMode, aggressive = 2, 4
	informational        = 5
	transaction          = 6 // XAUTH, and what is configured with it
	quickModeExchange    = 32
	flagEncrypted        = 1
	payloadFragment      = 132
	lastFragment         = 1
)

// ike is the IKE message that a datagram holds, if it holds its header at least (RFC 7296,
// Sections 2.23 and 3.1).
func (f frame) ike() (m []byte, ok bool) {
	if f.protocol != 17 || !f.ports || len(f.payload) < 8 {
		return nil, false
	}
	m = f.payload[8:]
	if f.sport == 4500 || f.dport == 4500 {
		if len(m) < 4 || [4]byte(m) != [4]byte{} { // ESP
			return nil, false
		}
		m = m[4:]
	} else if f.sport != 500 && f.dport != 500 {
		return nil, false
	}
	return m, len(m) >= ikeHeader
}

// saw keeps the router's IKE SAs up to date with a packet that passes its WAN interface. The
// router's lock is held.
func (r *Router) saw(f frame, now time.Time) {
	m, ok := f.ike()
	if !ok {
		return
	}
	local, remote := netip.AddrPortFrom(f.dst, f.dport), netip.AddrPortFrom(f.src, f.sport)
	sent := f.src == r.wanAddress()
	if sent {
		local, remote = remote, local
	}
	sa := r.ikeSAOf([8]byte(m), m[17]>>4 == 1, now)
	if fresh := sa.touched.IsZero(); fresh {
		sa.initiator = sent == (m[19]&flagResponse == 0)
	}
	if !sa.touched.IsZero() {
		sa.gap = max(sa.gap, now.Sub(sa.touched))
	}
	sa.local, sa.remote, sa.touched = local, remote, now
	if spi := [8]byte(m[8:]); spi != [8]byte{} {
		sa.spiR = spi
	}
	r.traceIKE(sa, m, sent)
	r.advanceSA(sa, m, sent, now)
}

// advanceSA takes an SA for up, or for refused, by the message that ends its negotiation.
func (r *Router) advanceSA(sa *ikeSA, m []byte, sent bool, now time.Time) {
	if sa.one {
		r.advanceISAKMP(sa, m, sent, now)
		return
	}
	exchange, response := m[18], m[19]&flagResponse != 0
	inner := byte(0)
	if (m[16] == payloadSK || m[16] == payloadSKF) && len(m) > ikeHeader {
		inner = m[ikeHeader]
	}
	switch {
	case sa.rejected:
	case sa.up && !response && sent == sa.initiator && sa.asked == (openRequest{}) && rejects(m):
		sa.up, sa.rejected = false, true
	case exchange == ikeAuth && !response && binary.BigEndian.Uint32(m[20:]) > 1:
		sa.up = false // EAP: what looked like the last answer was the first of several
	case exchange == ikeAuth && response && inner == payloadEAP:
	case sa.up:
		sa.asked.hear([4]byte(m[20:]), response, sent, now)
	case exchange == ikeAuth && response && inner != 0 && inner != payloadNotify:
		sa.up, sa.since = true, now
	case exchange == ikeAuth && response && inner == payloadNotify, exchange == saInit && response && refuses(m):
		r.drop(sa)
	}
}

// rejects says whether a request is as an initiator's that does not accept the responder, when it
// is the first one of an SA: an Informational that holds no more than one notification without data
// (RFC 7296, Section 2.21.2). Those that MOBIKE begins with hold three (RFC 4555, Section 3.5).
func rejects(m []byte) bool {
	const informational, withIVAndICV = 37, 8 + 56
	return m[18] == informational && m[16] == payloadSK && len(m) > ikeHeader+4 && m[ikeHeader] == payloadNotify &&
		len(m)-ikeHeader-4 <= withIVAndICV
}

func (r *Router) drop(sa *ikeSA) {
	r.ikeSAs = slices.DeleteFunc(r.ikeSAs, func(s *ikeSA) bool { return s == sa })
}

// advanceISAKMP is advanceSA for IKEv1. Phase 1 is complete with the answer to what is encrypted of
// Main Mode, or with the third message of Aggressive Mode (RFC 2409, Section 5), and whatever of
// phase 2 passes shows that it was. In between, a user may be asked (XAUTH).
func (r *Router) advanceISAKMP(sa *ikeSA, m []byte, sent bool, now time.Time) {
	exchange, initiators := m[18], sent == sa.initiator
	complete := false
	switch exchange {
	case mainMode:
		complete = !initiators && m[19]&flagEncrypted != 0
	case aggressive:
		complete = initiators && [8]byte(m[8:]) != [8]byte{}
	case quickModeExchange:
		complete = true
		sa.hearQuick(m, sent)
	case transaction:
		sa.up = sa.child
	case informational:
		if !sa.up && refusesMainMode(m) {
			r.drop(sa)
		}
	}
	if complete && !sa.up {
		sa.up, sa.since = true, now
	}
}

// hearQuick follows a Quick Mode until its third message.
func (sa *ikeSA) hearQuick(m []byte, sent bool) {
	if m[16] == payloadFragment && (len(m) < ikeHeader+8 || m[ikeHeader+7]&lastFragment == 0) {
		return
	}
	if sa.quick == nil {
		sa.quick = map[[4]byte]*quickMode{}
	}
	id := [4]byte(m[20:])
	switch q := sa.quick[id]; {
	case q == nil:
		sa.quick[id] = &quickMode{sent: sent, first: string(m)}
	case sent != q.sent:
		q.answered = true
	case q.answered && string(m) != q.first:
		sa.child = true
	}
}

// refuses says whether the answer to IKE_SA_INIT is an error alone, which ends the negotiation on
// both sides.
func refuses(m []byte) bool {
	if m[16] != payloadNotify || len(m) < ikeHeader+8 {
		return false
	}
	kind := int(m[ikeHeader+6])<<8 | int(m[ikeHeader+7])
	return kind < statusTypes && kind != invalidKE
}

// refusesMainMode says whether a message of IKEv1 refuses all proposals in clear, which ends Main
// Mode (RFC 2408, Sections 3.14 and 5.4).
func refusesMainMode(m []byte) bool {
	const notify, noProposalChosen = 11, 14
	return m[16] == notify && m[19]&flagEncrypted == 0 && len(m) >= ikeHeader+12 &&
		int(m[ikeHeader+10])<<8|int(m[ikeHeader+11]) == noProposalChosen
}

func (r *Router) wanAddress() netip.Addr {
	i := slices.IndexFunc(r.config.Interfaces, func(i Interface) bool { return i.Name == r.config.WAN })
	if i < 0 {
		return netip.Addr{}
	}
	return r.config.Interfaces[i].Address
}

// wanVRF is the table in which the WAN interface is; empty: the global one.
func (r *Router) wanVRF() string {
	i := slices.IndexFunc(r.config.Interfaces, func(i Interface) bool { return i.Name == r.config.WAN })
	if i < 0 {
		return ""
	}
	return r.config.Interfaces[i].VRF
}

func (r *Router) ikeSAOf(spiI [8]byte, one bool, now time.Time) *ikeSA {
	if i := slices.IndexFunc(r.ikeSAs, func(s *ikeSA) bool { return s.spiI == spiI }); i >= 0 {
		return r.ikeSAs[i]
	}
	sa := &ikeSA{spiI: spiI, one: one, since: now}
	r.ikeSAs = append(r.ikeSAs, sa)
	return sa
}

// listedSAs are the SAs of one version that are up or being negotiated. The router's lock is held.
func (r *Router) listedSAs(one bool) []*ikeSA {
	r.advance()
	now := r.config.Now()
	r.ikeSAs = slices.DeleteFunc(r.ikeSAs, func(s *ikeSA) bool { return s.givenUp(now) })
	return slices.DeleteFunc(slices.Clone(r.ikeSAs), func(s *ikeSA) bool { return s.one != one || s.rejected })
}

func (s *session) showIKEv2SA(c *call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	var four, six strings.Builder
	for i, sa := range r.listedSAs(false) {
		if remote := c.after("remote"); remote != "" && remote != showAddress(sa.remote.Addr()) {
			continue
		}
		if sa.local.Addr().Is4() {
			fmt.Fprintf(&four, "Tunnel-id Local                 Remote                fvrf/ivrf            Status \n%-9d "+
				"%-21s %-21s none/none            %s  \n", i+1, slashPort(sa.local), slashPort(sa.remote), sa.state())
			sa.rest(&four, r.config.Now())
			continue
		}
		fmt.Fprintf(&six,
			"Tunnel-id    fvrf/ivrf              Status \n%-10d none/none             %s  \nLocal  %s\nRemote  %s\n",
			i+1, sa.state(), slashPort(sa.local), slashPort(sa.remote))
		sa.rest(&six, r.config.Now())
	}
	if c.after("remote") == "" {
		for n := range r.config.Knobs.HubSAs {
			hubSA(&four, n)
		}
	}
	if four.Len()+six.Len() == 0 {
		return
	}
	s.put(" IPv4 Crypto IKEv2  SA \n\n%s IPv6 Crypto IKEv2  SA \n\n%s", four.String(), six.String())
}

// hubSA is an SA with another peer of a hub, with all that the detailed form says of one.
func hubSA(b *strings.Builder, n int) {
	peer := netip.AddrFrom4([4]byte{198, 18, byte(n >> 8), byte(n)})
	fmt.Fprintf(b, `Tunnel-id Local                 Remote                fvrf/ivrf            Status
%-9d %-21s %-21s none/none            READY
      Encr: AES-CBC, keysize: 256, PRF: SHA256, Hash: SHA256, DH Grp:19, Auth sign: PSK, Auth verify: PSK
      Life/Active Time: 86400/12689 sec
      CE id: %d, Session-id: %d
      Status Description: Negotiation done
      Local spi: %016X       Remote spi: %016X
      Local id: 192.0.2.1
      Remote id: %s
      Local req msg id:  214            Remote req msg id:  6
      Local next msg id: 214            Remote next msg id: 6
      Local req queued:  214            Remote req queued:  6
      Local window:      5              Remote window:      5
      DPD configured for 60 seconds, retry 3
      Fragmentation not  configured.
      Dynamic Route Update: enabled
      Extended Authentication not configured.
      NAT-T is not detected
      Cisco Trust Security SGT is disabled
      Initiator of SA : No

`, 1000+n, "192.0.2.1/500", peer.String()+"/500", 70000+n, 17000+n, 0xd3669857a000000+uint64(n), 0xe0419b1db0200000+uint64(n), peer)
}

func (sa *ikeSA) state() string {
	if sa.up {
		return "READY"
	}
	return "IN-NEG"
}

// rest writes what follows the line of an SA. The algorithms are not followed, so
// that line is left out.
func (sa *ikeSA) rest(b *strings.Builder, now time.Time) {
	local, remote, began := sa.spiR, sa.spiI, "No"
	if sa.initiator {
		local, remote, began = sa.spiI, sa.spiR, "Yes"
	}
	fmt.Fprintf(b, "      Life/Active Time: 86400/%d sec\n      Local spi: %X       Remote spi: %X\n      Initiator of "+
		"SA : %s\n\n", int(now.Sub(sa.since).Seconds()), local, remote, began)
}

func slashPort(a netip.AddrPort) string { return fmt.Sprintf("%s/%d", showAddress(a.Addr()), a.Port()) }

func (s *session) showISAKMPSA(*call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	var six strings.Builder
	s.put("IPv4 Crypto ISAKMP SA\ndst             src             state          conn-id status\n")
	for i, sa := range r.listedSAs(true) {
		dst, src, state := sa.local.Addr(), sa.remote.Addr(), "MM_NO_STATE"
		if sa.initiator {
			dst, src = src, dst
		}
		if sa.up {
			state = "QM_IDLE"
		}
		if dst.Is4() {
			s.put("%-15s %-15s %-16s %5d ACTIVE\n", dst, src, state, 1001+i)
		} else {
			fmt.Fprintf(&six, "%-16s %-16s %-16s %d ACTIVE\n", showAddress(dst), showAddress(src), state, 1001+i)
		}
	}
	s.put("\nIPv6 Crypto ISAKMP SA\n%s\n", six.String())
}

// LoseSAs has the router lose its IKE SAs, as it does when its peer does not answer any more (dead
// peer detection).
func (r *Router) LoseSAs() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	r.loseSAs(func(*ikeSA) bool { return true })
}

// loseSAs deletes some of the IKE SAs, and logs that as `crypto logging session` and `crypto
// logging ikev2` do. The router's lock is held.
func (r *Router) loseSAs(which func(*ikeSA) bool) {
	r.ikeSAs = slices.DeleteFunc(r.ikeSAs, func(sa *ikeSA) bool {
		if !which(sa) {
			return false
		}
		format := "%%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is DOWN.  Peer %s:%d       Id: %s"
		if sa.one {
			format = "%%CRYPTO-5-SESSION_STATUS: Crypto tunnel is DOWN.  Peer %s:%d       Id: %s"
		}
		peer := showAddress(sa.remote.Addr())
		r.log(fmt.Sprintf(format, peer, sa.remote.Port(), peer))
		return true
	})
}

// showSession lists the crypto sessions of the peers with which there is an IKE SA. Child SAs of
// IKEv2 are not followed, so a session of it is idle at best.
func (s *session) showSession(c *call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	detail := slices.Contains(c.words, "detail")
	s.put("Crypto session current status\n\n")
	if detail {
		s.put("%s", sessionCodes)
	}
	for _, sa := range slices.Concat(r.listedSAs(false), r.listedSAs(true)) {
		if remote := c.after("remote"); remote == "" || remote == showAddress(sa.remote.Addr()) {
			s.put("%s", r.session(sa, detail))
		}
	}
}

// session is how an IKE SA is listed among the crypto sessions.
func (r *Router) session(sa *ikeSA, detail bool) string {
	status, word, version := "UP-IDLE       ", "Active", "IKEv2"
	switch {
	case !sa.up:
		status, word = "DOWN-NEGOTIATING", "Inactive"
	case sa.child:
		status = "UP-ACTIVE     "
	}
	if sa.one {
		version = "IKEv1"
	}
	age := r.config.Now().Sub(sa.since)
	local, remote, peer, between := slashPort(sa.local), slashPort(sa.remote), showAddress(sa.remote.Addr()), " "
	if !sa.remote.Addr().Is4() {
		between = "\n          "
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Interface: %s\n", r.config.WAN)
	if detail && sa.up {
		fmt.Fprintf(&b, "Uptime: %s\n", hours(age))
	}
	fmt.Fprintf(&b, "Session status: %s\nPeer: %s port %d ", status, peer, sa.remote.Port())
	if detail {
		id := "(none)"
		if sa.up {
			id = peer
		}
		fmt.Fprintf(&b, "fvrf: %s ivrf: (none)\n      Phase1_id: %s\n      Desc: (none)", or(r.wanVRF(), "(none)"), id)
	}
	fmt.Fprintf(&b, "\n  Session ID: 1  \n  %s SA: local %s%sremote %s %s \n", version, local, between, remote, word)
	if detail {
		life := "0"
		if sa.up {
			life = hours(24*time.Hour - age)
		}
		fmt.Fprintf(&b, "          Capabilities:(none) connid:1001 lifetime:%s\n", life)
	}
	if sa.child {
		b.WriteString(r.flow(sa, detail))
	}
	b.WriteString("\n")
	return b.String()
}

// flow is how a session lists its child SAs.
func (r *Router) flow(sa *ikeSA, detail bool) string {
	out := fmt.Sprintf("  IPSEC FLOW: permit 47 host %s host %s \n        Active SAs: 2, origin: crypto map\n",
		showAddress(sa.local.Addr()), showAddress(sa.remote.Addr()))
	if detail {
		out += "        Inbound:  #pkts dec'ed 0 drop 0 life (KB/Sec) 4608000/3569\n" +
			"        Outbound: #pkts enc'ed 0 drop 0 life (KB/Sec) 4608000/3569\n"
	}
	return out
}

// hours is a time as a session has it: 23:59:29.
func hours(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

const sessionCodes = `Code: C - IKE Configuration mode, D - Dead Peer Detection     
K - Keepalives, N - NAT-traversal, T - cTCP encapsulation     
X - IKE Extended Authentication, F - IKE Fragmentation
R - IKE Auto Reconnect, U - IKE Dynamic Route Update
S - SIP VPN 

`

// clearSAs ends the IKE SAs, all of them or those with a peer.
func (s *session) clearSAs(c *call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	peer, vrf := c.after("remote")+c.after("peer"), c.after("fvrf")
	if peer == "vrf" {
		vrf, peer = c.after("vrf"), c.words[len(c.words)-1]
	}
	if !strings.EqualFold(vrf, r.wanVRF()) && !slices.Contains(c.words, "ikev2") && peer != "" {
		return // the peer is in another table
	}
	r.ikeSAs = slices.DeleteFunc(r.ikeSAs,
		func(sa *ikeSA) bool { return peer == "" || peer == showAddress(sa.remote.Addr()) })
}
