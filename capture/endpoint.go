package capture

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/capture/bundle"
)

// Side is one of the two routers of a tunnel, by its letter.
type Side = bundle.Side

// The sides of a tunnel.
const (
	A = bundle.A
	B = bundle.B
)

// Endpoint is one router of the tunnel, in plain values.
type Endpoint struct {
	Name           string     `json:"name"`                  // in the inventory, for messages
	Address        netip.Addr `json:"address"`               // the VPN address on the interface
	NATAddress     netip.Addr `json:"nat_address,omitzero"`  // what the other side sees instead; invalid without NAT
	Interface      string     `json:"interface"`             // where the tunnel's packets pass, as the router names it
	Also           []string   `json:"also,omitempty"`        // further interfaces by which they may pass
	VRF            string     `json:"vrf,omitempty"`         // of the interface; empty is the global table
	Platform       string     `json:"platform,omitempty"`    // as the inventory says; for messages
	ExpectHostname string     `json:"expect_host,omitempty"` // what the router must call itself; empty: anything
	Limits         Limits     `json:"limits,omitzero"`
}

// Limits are the loads beyond which check refuses a router. Zero values stand for DefaultLimits.
type Limits struct {
	MaxCPU    int `json:"max_cpu,omitempty"`     // percent over five minutes
	MaxMemory int `json:"max_memory,omitempty"`  // percent of the processor pool in use
	MinFreeMB int `json:"min_free_mb,omitempty"` // of bootflash:, beyond the buffer
	Runs      int `json:"runs,omitempty"`        // captures of moncap's at a time; zero: not looked at
	// MaxSkew is how far the router's clock may be from this machine's; zero: not looked at.
	MaxSkew time.Duration `json:"max_skew_ns,omitempty"`
}

// DefaultLimits are what check holds a router to when nothing else is said.
func DefaultLimits() Limits { return Limits{MaxCPU: 80, MaxMemory: 95, MinFreeMB: 10} }

// seenAs is the address under which the other side knows the endpoint.
func (e Endpoint) seenAs() netip.Addr {
	if e.NATAddress.IsValid() {
		return e.NATAddress.Unmap()
	}
	return e.Address.Unmap()
}

// Settings say how a tunnel is captured. NewPlan fills what is zero.
type Settings struct {
	Name      string        `json:"name,omitempty"` // of capture point and ACL; empty: mc and six characters of the run
	BufferMB  int           `json:"buffer_mb"`      // 1 to 100; 10 when zero
	Duration  time.Duration `json:"duration_ns"`    // after which a router stops by itself; 60 s when zero
	Packets   int           `json:"packets"`        // the same by packets, 1 to 100,000; 20,000 when zero
	PacketLen int           `json:"packet_len,omitempty"`
	PPS       int           `json:"pps,omitempty"` // packets kept a second; 1000 when zero, as IOS XE has it
	Circular  bool          `json:"circular,omitempty"`
	Until     Until         `json:"until,omitzero"` // what ends the wait before the duration does
	// Trigger is a command that makes the tunnel negotiate, in one of the forms of iosxe.TriggerForms.
	Trigger     string `json:"trigger,omitempty"`
	TriggerSide Side   `json:"trigger_side,omitempty"` // who is sent it; empty: the side whose peer it names, or A
	Keep        bool   `json:"keep,omitempty"`         // leave capture point, ACL and file on the routers
	// ZeroConfig changes no configuration and writes no file: the filter is in the capture point, the
	// packets are read by `buffer dump`. An account without configuration mode and SCP is enough.
	ZeroConfig bool `json:"zero_config,omitempty"`
	// ViaExport has the routers push the captures to an SCP server, in the form of iosxe.ParseUpload,
	// from where they are fetched. No file is written in bootflash.
	ViaExport string `json:"via_export,omitempty"`
	Debug     bool   `json:"debug,omitempty"` // trace IKEv2 for this one peer while capturing
	// PacketTrace is how many packets of the peer the routers' data planes trace while capturing, 16
	// to 256; 0: none.
	PacketTrace int `json:"packet_trace,omitempty"`
	// ControlPlane captures at the routers' control planes as well, which tells what was dropped
	// before IKE from what IKE does not answer.
	ControlPlane bool `json:"control_plane,omitempty"`
	// BinaryTrace reads what the routers' own processes wrote into the binary trace meanwhile, from
	// IOS XE 17 on.
	BinaryTrace bool `json:"binary_trace,omitempty"`
	// IKEOnly leaves ESP and AH out of the filter: on a busy tunnel they fill the buffer, or the
	// packets kept a second, and IKE is lost with them. ESP in UDP, behind NAT, is captured still: a
	// filter with ports would lose fragments.
	IKEOnly bool `json:"ike_only,omitempty"`
	// NoDropCounters leaves out what the routers count of drops inside them, before and
	// after the capture.
	NoDropCounters bool `json:"no_drop_counters,omitempty"`
	// ICMPFromAnyone lets ICMP unreachables of any router on the way pass the filter, not only the
	// peer's own.
	ICMPFromAnyone bool `json:"icmp_from_anyone,omitempty"`
	// MaxClockSkew is how far the two routers' clocks may be apart; one hour when zero.
	MaxClockSkew time.Duration `json:"max_clock_skew_ns,omitempty"`
	// Armed has the run wait for an event instead of its duration, which is only when the routers stop
	// by themselves.
	Armed *Arming `json:"armed,omitempty"`
}

// UntilKind is what ends the wait.
type UntilKind uint8

// What ends the wait, beside the duration.
const (
	UntilNothing     UntilKind = iota
	UntilPackets               // a side has captured that many packets
	UntilEstablished           // both routers show an IKE SA with the peer that was not there before
	UntilFailed                // a negotiation was captured, and no router has an IKE SA of it any more
	UntilDecided               // one of these two, whichever comes first
)

// Until is what ends the wait before the duration does.
type Until struct {
	Kind    UntilKind
	Packets int // of UntilPackets
}

// ParseUntil reads packets=N, established, failed, decided, or none.
func ParseUntil(s string) (Until, error) {
	switch s {
	case "", "none":
		return Until{}, nil
	case "established":
		return Until{Kind: UntilEstablished}, nil
	case "failed":
		return Until{Kind: UntilFailed}, nil
	case "decided":
		return Until{Kind: UntilDecided}, nil
	}
	if digits, ok := strings.CutPrefix(s, "packets="); ok {
		if n, err := strconv.Atoi(digits); err == nil && n > 0 && n <= 100000 {
			return Until{UntilPackets, n}, nil
		}
	}
	return Until{}, fmt.Errorf("%q: want decided, established, failed, none or packets=N with N of 1 to 100000", s)
}

// asksSAs says whether the wait ends by what becomes of the routers' IKE SAs.
func (u Until) asksSAs() bool {
	return u.Kind == UntilEstablished || u.Kind == UntilFailed || u.Kind == UntilDecided
}

// String returns what ParseUntil reads.
func (u Until) String() string {
	switch u.Kind {
	case UntilPackets:
		return "packets=" + strconv.Itoa(u.Packets)
	case UntilEstablished:
		return "established"
	case UntilFailed:
		return "failed"
	case UntilDecided:
		return "decided"
	}
	return "none"
}

// MarshalText writes what ParseUntil reads.
func (u Until) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (u *Until) UnmarshalText(b []byte) (err error) {
	*u, err = ParseUntil(string(b))
	return err
}
