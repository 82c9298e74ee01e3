package analysis

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// logged is what a debug writes of one packet.
func (s *scene) logged(ago time.Duration, sent bool, a *sa, x string, id int, response bool) string {
	verb, ends, kind, r := "Received", "From 192.168.2.1:500/To 192.168.1.1:500", "REQUEST", a.r
	if sent {
		verb, ends = "Sending", "To 192.168.2.1:500/From 192.168.1.1:500"
	}
	if response {
		kind = "RESPONSE"
	} else if id == 0 {
		r = 0
	}
	// The router's zone is not that of its capture.
	at := time.Unix(0, sceneStart+int64(s.now-ago)).UTC().Add(90 * time.Minute)
	return at.Format("*Jan _2 15:04:05.000: ") + fmt.Sprintf("IKEv2:(SESSION ID = 7,SA ID = 1):%s Packet [%s/VRF i0:f0] \n"+
		"Initiator SPI : %s - Responder SPI : %s Message id: %d\nIKEv2 %s Exchange %s \nPayload contents: \n SA KE N \n\n",
		verb, ends, strings.ToUpper(a.i.String()), strings.ToUpper(r.String()), id, x, kind)
}

// negotiated is the debug of A for a negotiation that it began.
func negotiated(a *sa) []string {
	const ms = time.Millisecond
	return []string{a.s.logged(60*ms, true, a, "IKE_SA_INIT", 0, false), a.s.logged(31*ms, false, a, "IKE_SA_INIT", 0, true),
		a.s.logged(20*ms, true, a, "IKE_AUTH", 1, false), a.s.logged(-9*ms, false, a, "IKE_AUTH", 1, true)}
}

// debugged is a negotiation whose debug at A is what change makes of the right one.
func debugged(change func(all []string) []string) func(*scene) {
	return func(s *scene) {
		a := s.sa(0).up()
		s.side[0].Debug = []byte(strings.Join(change(negotiated(a)), ""))
		s.wait(time.Second)
		s.noise(0)
		s.noise(1)
	}
}

func debugCases() []findingCase {
	whole := debugged(func(all []string) []string { return all })
	without := func(i int) func(*scene) {
		return debugged(func(all []string) []string { return append(all[:i:i], all[i+1:]...) })
	}
	cut := debugged(func(all []string) []string { return all[2:] })
	ended := debugged(func(all []string) []string { return all[:2] })
	neverSent := func(s *scene) {
		a := s.sa(0)
		a.open()
		s.wait(40 * time.Millisecond)
		s.side[0].Debug = []byte(strings.Join(negotiated(a)[:3], ""))
		s.wait(20 * time.Second)
		s.ike(1, 500, s.sa(1).init(false, proposals(gcm(19))))
		s.side[0].Debug = append(s.side[0].Debug, s.logged(-9*time.Millisecond, false, s.lastSA(1), "IKE_SA_INIT", 0, false)...)
		s.wait(time.Second)
		s.noise(0)
	}
	return []findingCase{
		{"debug-agrees", hit, "all four", whole, map[string]any{"side": "A", "matched": 4}},
		{"debug-agrees", near, "one was not received", without(1), nil},
		{"debug-agrees", near, "one was not captured", neverSent, nil},
		{"debug-agrees", none, "no debug", healthy, nil},

		{"debug-sent-not-captured", hit, "IKE_AUTH never left", neverSent, map[string]any{"side": "A", "message": "IKE_AUTH REQUEST MID=1"}},
		{"debug-sent-not-captured", near, "all are there", whole, nil},
		{"debug-sent-not-captured", near, "of a time before the capture", func(s *scene) {
			old := s.sa(0)
			s.side[0].Debug = []byte(strings.Join(negotiated(old), ""))
			s.wait(time.Hour)
			a := s.sa(0).up()
			s.side[0].Debug = append(s.side[0].Debug, strings.Join(negotiated(a), "")...)
		}, nil},
		{"debug-sent-not-captured", near, "the capture began in the middle of the negotiation", func(s *scene) {
			a := s.sa(0).up()
			s.side[0].Debug = []byte(strings.Join(negotiated(a), ""))
			s.rows[0] = s.rows[0][2:]
		}, nil},
		{"debug-sent-not-captured", near, "the capture has only its first fragment", func(s *scene) {
			s.side[0].Debug = []byte(strings.Join(negotiated(ownFragmentHidden(s)), ""))
		}, nil},
		{"debug-sent-not-captured", none, "no debug", healthy, nil},

		{"debug-captured-not-received", hit, "the answer to IKE_SA_INIT", func(s *scene) {
			a := s.sa(0)
			for range 3 {
				s.ike(0, 500, a.init(false, proposals(gcm(19))))
				s.ike(1, 500, a.init(true, proposals(gcm(19))))
				s.wait(2 * time.Second)
				s.side[0].Debug = append(s.side[0].Debug, s.logged(2*time.Second, true, a, "IKE_SA_INIT", 0, false)...)
			}
		}, map[string]any{"side": "A", "message": "IKE_SA_INIT RESPONSE MID=0"}},
		{"debug-captured-not-received", near, "all are there", whole, nil},
		{"debug-captured-not-received", near, "the log was rotated: its beginning is gone", cut, nil},
		{"debug-captured-not-received", near, "the log was cut: its end is gone", ended, nil},
		{"debug-captured-not-received", none, "no debug", healthy, nil},
	}
}

// lastSA is the IKE SA that was made last.
func (s *scene) lastSA(from int) *sa {
	n := ike.SPI(s.id-1)<<32 | 0x0a11
	return &sa{s: s, i: n | 1<<60, r: n | 2<<60, from: from}
}

// debugStyles are the ways in which routers stamp the lines of their debugs.
var debugStyles = map[string]func(at time.Time) string{
	"plain":             func(time.Time) string { return "IKEv2:" },
	"as the guide":      func(time.Time) string { return "Ikev2:" },
	"msec":              func(at time.Time) string { return at.Format("*Jan _2 15:04:05.000: ") + "IKEv2:" },
	"sequence and zone": func(at time.Time) string { return "2328304: " + at.Format("Jan _2 15:04:05.000 ") + "GMT: IKEv2:" },
	"year":              func(at time.Time) string { return at.Format("*Jan _2 2006 15:04:05.000: ") + "IKEv2:" },
	"seconds":           func(at time.Time) string { return at.Format(".Jan _2 15:04:05: ") + "IKEv2:" },
	"uptime":            func(time.Time) string { return "1w2d: IKEv2:" },
	"packet debug":      func(at time.Time) string { return "000123: " + at.Format("*Jan _2 15:04:05.000 ") + "CEST: IKEv2-PAK:" },
}

// Whatever the style, a whole log agrees, and a packet that never left is found.
func TestDebugStyles(t *testing.T) {
	for name, style := range debugStyles {
		for _, own := range []bool{false, true} { // Message id on a line of its own
			t.Run(fmt.Sprint(name, own), func(t *testing.T) {
				restyle := func(log []byte) []byte {
					var b strings.Builder
					for line := range strings.Lines(string(log)) {
						if at, rest, ok := strings.Cut(line, ": IKEv2:"); ok {
							when, err := time.Parse("*Jan _2 15:04:05.000", at)
							if err != nil {
								t.Fatal(err)
							}
							line = style(when.AddDate(2023, 0, 0)) + rest
						}
						if own {
							line = strings.Replace(line, " Message id:", "\nMessage id:", 1)
						}
						b.WriteString(line)
					}
					return []byte(b.String())
				}
				s := newScene(t)
				debugged(func(all []string) []string { return all })(s)
				s.side[0].Debug = restyle(s.side[0].Debug)
				if found := flatten(t, s.compare()); !found.has(map[string]any{"code": "debug-agrees", "matched": 4}) {
					t.Errorf("%s\n%v", s.side[0].Debug, found.codes())
				}
				s = newScene(t)
				a := s.sa(0)
				a.open()
				s.wait(40 * time.Millisecond)
				s.side[0].Debug = restyle([]byte(strings.Join(negotiated(a)[:3], "")))
				s.wait(20 * time.Second)
				s.noise(0)
				want := map[string]any{"code": "debug-sent-not-captured", "side": "A", "message": "IKE_AUTH REQUEST MID=1"}
				if found := flatten(t, s.compare()); !found.has(want) {
					t.Errorf("%s\n%v", s.side[0].Debug, found.codes())
				}
			})
		}
	}
}

// A hub's log names other peers too, and a log may hold another run, or nothing of use: none of it accuses.
func TestDebugsThatProveNothing(t *testing.T) {
	for name, change := range map[string]func(s *scene, log string) string{
		"another peer": func(_ *scene, log string) string {
			return log + strings.NewReplacer("192.168.2.1", "203.0.113.77", "Responder SPI", "Responder SPI").Replace(strings.ReplaceAll(log, "10000", "1FFFF"))
		},
		"another run": func(_ *scene, log string) string {
			return strings.ReplaceAll(log, "Initiator SPI : 1", "Initiator SPI : 7")
		},
		"nothing":        func(*scene, string) string { return "R1#show logging\nSyslog logging: enabled\n" },
		"cut in a block": func(_ *scene, log string) string { return log[:len(log)*3/4] },
		"rotated":        func(_ *scene, log string) string { return log[len(log)/3:] },
		"binary":         func(*scene, string) string { return "\x00\xff\xfe" + strings.Repeat("IKEv2:", 9) },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			debugged(func(all []string) []string { return all })(s)
			s.side[0].Debug = []byte(change(s, string(s.side[0].Debug)))
			r := s.compare()
			sound(t, r)
			for _, code := range []string{"debug-sent-not-captured", "debug-captured-not-received"} {
				if found := flatten(t, r).of(code); len(found) > 0 {
					t.Errorf("%v\n%s", found[0]["explanation"], s.side[0].Debug)
				}
			}
		})
	}
}
