package event

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Rule says what a log line of IOS XE means for a tunnel, by its mnemonic.
type Rule struct {
	Code    string // facility and mnemonic, without the severity, which differs between releases: CRYPTO SESSION_STATUS
	Kinds   []Kind // what it may say
	Example string // a line as a router logs it, or as its documentation has it, with addresses of documentation
	read    func(text string) (Finding, bool)
}

// Finding is what a rule reads out of a line.
type Finding struct {
	Kind      Kind
	Remote    netip.Addr // the far end, as this router calls it; invalid: the line does not say
	Interface string     // the tunnel interface; empty: the line does not say
}

var (
	sessionForm = lazyregexp.New(`(?i)^crypto tunnel (?:v2 )?is (up|down)\b`)
	peerForm    = lazyregexp.New(`(?i)\bpeer(?: at)?[ :]+\[?([0-9a-f.:]+)\]?`)
	fromForm    = lazyregexp.New(`(?i)\b(?:message|packet) from ([0-9a-f.:]+)`)
	srcForm     = lazyregexp.New(`(?i)\bsrc_?addr[= ]+([0-9a-f.:]+)`)
	remoteForm  = lazyregexp.New(`(?i)\bremote[= ]+([0-9a-f.:]+)`)
	ikev2Form   = lazyregexp.New(`(?i)\bremote:? ?\[?([0-9a-f.:]+)`)
	lineForm    = lazyregexp.New(`^Line protocol on Interface (Tunnel\d+), changed state to (up|down)\b`)
)

// rules are the lines that matter. Facilities, mnemonics and texts are those of logs that operators
// published, but for those that say "modelled": of these only the form in Cisco's system message
// guides is known, with its fields filled in here, and a router's own line may differ. Their
// mnemonics alone decide; what the text lacks is no far end, and never another event.
var rules = []Rule{
	{"CRYPTO SESSION_STATUS", []Kind{SADown, SAUp},
		"%CRYPTO-5-SESSION_STATUS: Crypto tunnel is DOWN.  Peer 198.51.100.1:500       Id: 198.51.100.1", session},
	{"CRYPTO IKEV2_SESSION_STATUS", []Kind{SADown, SAUp},
		"%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is DOWN.  Peer 198.51.100.1:500       Id: 198.51.100.1", session},
	// modelled on the documentation: no line of a router was found
	{"IKEV2 SA_DOWN", []Kind{SADown}, "%IKEV2-5-SA_DOWN: SA DOWN", named(SADown, ikev2Form)},
	// modelled on the documentation: no line of a router was found
	{"IKEV2 SA_UP", []Kind{SAUp}, "%IKEV2-5-SA_UP: SA UP", named(SAUp, ikev2Form)},
	// modelled on the documentation: no line of a router was found
	{"IKEV2 NEG_ABORT", []Kind{NegotiationFailed},
		"%IKEV2-3-NEG_ABORT: Negotiation aborted due to ERROR: Failed to receive the AUTH msg before the timer expired",
		named(NegotiationFailed, ikev2Form)},
	{"CRYPTO IKMP_MODE_FAILURE", []Kind{NegotiationFailed},
		"%CRYPTO-6-IKMP_MODE_FAILURE: Processing of Main mode failed with peer at 198.51.100.1",
		named(NegotiationFailed, peerForm)},
	{"CRYPTO IKMP_BAD_MESSAGE", []Kind{NegotiationFailed},
		"%CRYPTO-4-IKMP_BAD_MESSAGE: IKE message from 198.51.100.1 failed its sanity check or is malformed",
		named(NegotiationFailed, fromForm)},
	// modelled on the documentation: no line of a router was found
	{"CRYPTO IKMP_NOT_ENCRYPTED", []Kind{NegotiationFailed},
		"%CRYPTO-6-IKMP_NOT_ENCRYPTED: IKE packet from 198.51.100.1 was not encrypted and it should've been.",
		named(NegotiationFailed, fromForm)},
	{"CRYPTO IKMP_NO_SA", []Kind{NoIKESA},
		"%CRYPTO-4-IKMP_NO_SA: IKE message from 198.51.100.1      has no SA and is not an initialization offer",
		named(NoIKESA, fromForm)},
	{"CRYPTO RECVD_PKT_INV_SPI", []Kind{InvalidSPI},
		"%CRYPTO-4-RECVD_PKT_INV_SPI: decaps: rec'd IPSEC packet has invalid spi for destaddr=192.0.2.1, prot=50, " +
			"spi=0x3EA71AED(1051138797), srcaddr=198.51.100.1, input interface=GigabitEthernet1", named(InvalidSPI, srcForm)},
	// modelled on the documentation: no line of a router was found
	{"CRYPTO RECVD_PKT_MAC_ERR", []Kind{Integrity},
		"%CRYPTO-4-RECVD_PKT_MAC_ERR: decrypt: mac verify failed for connection id=2001 local=192.0.2.1 " +
			"remote=198.51.100.1 spi=3EA71AED seqno=00000007", named(Integrity, remoteForm)},
	// modelled on the documentation: no line of a router was found
	{"CRYPTO PKT_REPLAY_ERR", []Kind{Replay},
		"%CRYPTO-4-PKT_REPLAY_ERR: decrypt: replay check failed connection id=2001, sequence number=7",
		named(Replay, remoteForm)},
	{"IPSEC REPLAY_ERROR", []Kind{Replay},
		"%IOSXE-3-PLATFORM: R0/0: cpp_cp: QFP:0.0 Thread:083 TS:00000531366204627 %IPSEC-3-REPLAY_ERROR: IPSec SA receives " +
			"anti-replay error, DP Handle 138, src_addr 198.51.100.1, dest_addr 192.0.2.1, SPI 0x3caaaeb7",
		named(Replay, srcForm)},
	{"IPSEC HMAC_ERROR", []Kind{Integrity},
		"%IOSXE-3-PLATFORM: R0/0: cpp_cp: QFP:0.0 Thread:083 TS:00000531366204627 %IPSEC-3-HMAC_ERROR: IPSec SA receives " +
			"HMAC error, DP Handle 138, src_addr 198.51.100.1, dest_addr 192.0.2.1, SPI 0x3caaaeb7", named(Integrity, srcForm)},
	{"LINEPROTO UPDOWN", []Kind{LineDown, LineUp},
		"%LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel46, changed state to down", line},
}

// Rules lists what log lines are taken for.
func Rules() []Rule { return slices.Clone(rules) }

// Judge says what a line means for a tunnel. ok is false for lines that mean nothing to one, which
// are most.
func Judge(m Message) (f Finding, ok bool) {
	code := m.Facility + " " + m.Mnemonic
	for _, r := range rules {
		if r.Code == code {
			return r.read(m.Text)
		}
	}
	return Finding{}, false
}

// named reads a line that says one thing, and perhaps the far end.
func named(k Kind, form *lazyregexp.Regexp) func(string) (Finding, bool) {
	return func(text string) (Finding, bool) {
		f := Finding{Kind: k}
		if m := form.Get().FindStringSubmatch(text); m != nil {
			f.Remote = address(m[1])
		}
		return f, true
	}
}

// session reads "Crypto tunnel is UP  .  Peer ADDRESS:PORT       Id: ...".
func session(text string) (f Finding, ok bool) {
	m := sessionForm.Get().FindStringSubmatch(text)
	if m == nil {
		return f, false
	}
	f.Kind = SADown
	if strings.EqualFold(m[1], "up") {
		f.Kind = SAUp
	}
	if m := peerForm.Get().FindStringSubmatch(text); m != nil {
		f.Remote = address(m[1])
	}
	return f, true
}

func line(text string) (f Finding, ok bool) {
	m := lineForm.Get().FindStringSubmatch(text)
	if m == nil {
		return f, false
	}
	f.Kind, f.Interface = LineDown, m[1]
	if m[2] == "up" {
		f.Kind = LineUp
	}
	return f, true
}

// address reads an address that a port may follow, as in 192.0.2.1:500 or 2001:DB8::1:500, and a
// full stop.
func address(s string) netip.Addr {
	s = strings.TrimRight(s, ".:")
	if a, err := netip.ParseAddr(s); err == nil {
		// An IPv6 address with a port reads as one with a group more, where it is short enough for that.
		if i := strings.LastIndexByte(s, ':'); a.Is6() && i > 0 && (s[i:] == ":500" || s[i:] == ":4500") {
			if b, err := netip.ParseAddr(s[:i]); err == nil {
				return b.Unmap()
			}
		}
		return a.Unmap()
	}
	if i := strings.LastIndexByte(s, ':'); i > 0 {
		if a, err := netip.ParseAddr(strings.Trim(s[:i], "[]")); err == nil {
			return a.Unmap()
		}
	}
	return netip.Addr{}
}
