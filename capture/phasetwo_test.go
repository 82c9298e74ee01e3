package capture

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture/bundle"
)

// What a router shows of IKEv1 (the forms of IOS XE 16).
const (
	isakmpHead = "IPv4 Crypto ISAKMP SA\ndst             src             state          conn-id status\n"
	isakmpUp   = isakmpHead + "192.168.2.1     192.168.1.1     QM_IDLE           1001 ACTIVE\n\nIPv6 Crypto ISAKMP SA\n\n"
	isakmpGone = isakmpHead + "192.168.2.1     192.168.1.1     MM_NO_STATE       1001 ACTIVE (deleted)\n\n" +
		"IPv6 Crypto ISAKMP SA\n\n"
	refusal = "% Authorization failed.\n"
)

func cryptoSession(status string, peer netip.Addr) string {
	return fmt.Sprintf("Crypto session current status\n\nInterface: Tunnel1\nSession status: %s     \nPeer: %s port 500 "+
		"fvrf: (none) ivrf: (none)\n      Phase1_id: x\n      Desc: (none)\n  Session ID: 0  \n  IKEv1 SA: "+
		"local 192.0.2.9/500 remote %s/500 Active \n", status, peer, peer)
}

// A run that waits for what becomes of an IKEv1 tunnel waits for phase 2, as long as the routers
// can say what became of it.
func TestIKEv1IsUpWithItsChildSAs(t *testing.T) {
	const duration = 40 * time.Second
	never := time.Duration(math.MaxInt64)
	none := netip.MustParseAddr("203.0.113.9")
	type shows func(peer netip.Addr) func(time.Duration) (string, string)
	child := func(after time.Duration) shows { // it has child SAs after so long
		return func(peer netip.Addr) func(time.Duration) (string, string) {
			return func(running time.Duration) (string, string) {
				if running < after {
					return isakmpUp, cryptoSession("UP-IDLE", peer)
				}
				return isakmpUp, cryptoSession("UP-ACTIVE", peer)
			}
		}
	}
	says := func(sessions string) shows {
		return func(netip.Addr) func(time.Duration) (string, string) {
			return func(time.Duration) (string, string) { return isakmpUp, sessions }
		}
	}
	givesUp := func(peer netip.Addr) func(time.Duration) (string, string) {
		return func(running time.Duration) (string, string) {
			if running < 5*time.Second {
				return isakmpUp, cryptoSession("UP-IDLE", peer)
			}
			return isakmpGone, cryptoSession("DOWN", peer)
		}
	}
	old := func(peer netip.Addr) func(time.Duration) (string, string) {
		return func(time.Duration) (string, string) { return isakmpUp, cryptoSession("UP-NO-IKE", peer) }
	}
	for _, tt := range []struct {
		name, until string
		a, b        shows
		from, to    time.Duration // of the wait
	}{
		{"at once", "decided", child(0), child(0), 0, 2 * time.Second},
		{"at once, for whoever waits for that", "established", child(0), child(0), 0, 2 * time.Second},
		{"it comes up, and a failure is waited for", "failed", child(0), child(0), duration, duration + grace},
		{"on both after a while", "decided", child(4 * time.Second), child(4 * time.Second), 4 * time.Second,
			6 * time.Second},
		{"one after the other", "decided", child(time.Second), child(6 * time.Second), 6 * time.Second, 8 * time.Second},
		{"never", "decided", child(never), child(never), stillAfter, stillAfter + 3*time.Second},
		{"never, and a failure is waited for", "failed", child(never), child(never), stillAfter,
			stillAfter + 3*time.Second},
		{"never, and success is waited for", "established", child(never), child(never), duration, duration + grace},
		{"never on A", "decided", child(never), child(0), stillAfter, stillAfter + 3*time.Second},
		{"never on B", "decided", child(0), child(never), stillAfter, stillAfter + 3*time.Second},
		{"of before", "decided", old, old, stillAfter, stillAfter + 3*time.Second},
		{"it is given up", "decided", givesUp, givesUp, 5 * time.Second, 8 * time.Second},
		{"both refuse", "decided", says(refusal), says(refusal), unseenAfter, unseenAfter + 3*time.Second},
		{"A refuses", "decided", says(refusal), child(0), unseenAfter, unseenAfter + 3*time.Second},
		{"B refuses, and A has none", "decided", child(never), says(refusal), stillAfter, stillAfter + 3*time.Second},
		{"both say nothing", "decided", says(""), says("Uptime: ?\n"), unseenAfter, unseenAfter + 3*time.Second},
		{"of another peer", "decided", says(cryptoSession("UP-ACTIVE", none)), child(0), unseenAfter,
			unseenAfter + 3*time.Second},
	} {
		t.Run(tt.until+", "+tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				until, err := ParseUntil(tt.until)
				if err != nil {
					t.Fatal(err)
				}
				l := newLab(t, Settings{Duration: duration, Until: until})
				l.a.ikev1, l.b.ikev1 = tt.a(l.plan.A.Remote), tt.b(l.plan.B.Remote)
				result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if err != nil {
					t.Fatal(err)
				}
				i := slices.IndexFunc(result.Run.Phases, func(p bundle.Phase) bool { return p.Name == string(PhaseWait) })
				took := time.Duration(result.Run.Phases[i].AMS * float64(time.Millisecond))
				if took < tt.from-time.Second || took > tt.to {
					t.Errorf("waited %s, want %s to %s", took, tt.from, tt.to)
				}
				refused := strings.Contains(tt.name, "refuse")
				notes := strings.Join(result.Notes, "\n")
				if told := strings.Contains(notes, "is refused: that Quick Mode came"); told != refused {
					t.Errorf("told of a refusal: %t\n%s", told, notes)
				}
			})
		})
	}
}

// The session is asked for no more than it has to be: of no IKEv2 SA, of an IKEv1 SA until its
// child SAs are there, and never again of a router that refuses it.
func TestSessionsAreAskedForIKEv1Alone(t *testing.T) {
	established := `Tunnel-id Local                 Remote                fvrf/ivrf            Status
1         192.168.1.1/500       192.168.2.1/500       none/none            READY
      Local spi: 000D3669857A0F82       Remote spi: E0419B1DB02DE6AE
`
	for _, tt := range []struct {
		name    string
		sa      string
		session string
		want    int // times in the wait
	}{
		{"IKEv2", established, "", 0},
		{"IKEv1, up", "", cryptoSession("UP-ACTIVE", netip.MustParseAddr("192.168.2.1")), 1},
		{"IKEv1, refused", "", refusal, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{Duration: 20 * time.Second, Until: Until{Kind: UntilFailed}})
				l.a.sa, l.b.sa = tt.sa, tt.sa
				l.a.ikev1 = func(time.Duration) (string, string) { return isakmpUp, tt.session }
				l.b.ikev1 = l.a.ikev1
				if _, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
					t.Fatal(err)
				}
				asked := 0
				for _, name := range l.a.calls[:slices.Index(l.a.calls, "stop-capture")] {
					if name == "show-crypto-session" {
						asked++
					}
				}
				if asked != tt.want {
					t.Errorf("asked %d times, want %d", asked, tt.want)
				}
			})
		})
	}
}

// Phase 1 without child SAs is failed when nothing is captured any more, or when it has been so for
// longer than a Quick Mode can take.
func TestPhaseOneAloneFailsInSilence(t *testing.T) {
	type look struct {
		a, b sighting
		more int // packets since the look before
	}
	idle := sighting{seen: true, active: true, idle: 1, pending: 1}
	child := sighting{seen: true, active: true, fresh: 1}
	began := sighting{seen: true, active: true, pending: 1}
	away := sighting{}
	both := func(more int) look { return look{idle, idle, more} }
	for _, tt := range []struct {
		name  string
		looks []look // a second each, and the last of them again and again
		want  time.Duration
	}{
		{"silence", []look{both(0)}, stillAfter},
		{"repetitions end", append(slices.Repeat([]look{both(1)}, 20), both(0)), 19*time.Second + stillAfter},
		{"a packet every ten seconds", slices.Repeat(append(slices.Repeat([]look{both(0)}, 9), both(1)), 40), stuckAfter},
		{"ESP of one side", []look{{child, idle, 3}}, stuckAfter},
		{"the other tries again", append(slices.Repeat([]look{{idle, began, 0}}, 30), both(0)),
			29*time.Second + stillAfter},
		{"the child SAs come", append(slices.Repeat([]look{both(0)}, 5), look{child, child, 1}), 0},
		{"one is away meanwhile", append(append(slices.Repeat([]look{both(0)}, 5),
			slices.Repeat([]look{{idle, away, 0}}, 30)...), both(0)), 35 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j judge
				start, packets := time.Now(), 9
				for n := range 200 {
					l := tt.looks[min(n, len(tt.looks)-1)]
					packets += l.more
					l.a.packets, l.b.packets = packets, packets
					if j.over(Until{Kind: UntilFailed}, [2]sighting{l.a, l.b}) {
						if took := time.Since(start); took != tt.want || tt.want == 0 {
							t.Errorf("failed after %s, want %s", took, tt.want)
						}
						return
					}
					time.Sleep(time.Second)
				}
				if tt.want != 0 {
					t.Error("it never failed")
				}
			})
		})
	}
}

func TestSessionsOfThePeer(t *testing.T) {
	p := &SidePlan{Remote: netip.MustParseAddr("2001:db8:acad:1::2")}
	out := "Interface: Tunnel1\nSession status: UP-ACTIVE     \nPeer: 2001:DB8:ACAD:1::2 port 500 \n\n" +
		"Interface: Tunnel2\nSession status: UP-IDLE       \nPeer: 2001:DB8:ACAD:1::3 port 500 \n"
	if got := p.sessions(out); !slices.Equal(got, []string{"UP-ACTIVE"}) {
		t.Errorf("%q", got)
	}
}

// What may be asked of an IKEv1 SA is in the plan of a run that waits for an SA, and of no other.
func TestPlanListsTheSession(t *testing.T) {
	for _, kind := range []UntilKind{UntilNothing, UntilPackets, UntilEstablished, UntilFailed, UntilDecided} {
		l := newLab(t, Settings{Until: Until{Kind: kind, Packets: 3}})
		listed := slices.ContainsFunc(l.plan.Steps(A), func(s Step) bool {
			return s.Phase == PhaseWait && s.Command.Lines[0] == "show crypto session remote 192.168.2.1 detail"
		})
		if want := kind != UntilNothing && kind != UntilPackets; listed != want {
			t.Errorf("until %v: listed is %t", kind, listed)
		}
	}
}
