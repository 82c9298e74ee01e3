package diagnose_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/scene"
)

// negotiated is the debug of A for a negotiation that it began.
func negotiated(a *scene.SA) []string {
	const ms = time.Millisecond
	return []string{a.S.Logged(60*ms, true, a, "IKE_SA_INIT", 0, false),
		a.S.Logged(31*ms, false, a, "IKE_SA_INIT", 0, true),
		a.S.Logged(20*ms, true, a, "IKE_AUTH", 1, false), a.S.Logged(-9*ms, false, a, "IKE_AUTH", 1, true)}
}

// debugged is a negotiation whose debug at A is what change makes of the right one.
func debugged(change func(all []string) []string) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		s.Side[0].Debug = []byte(strings.Join(change(negotiated(a)), ""))
		s.Wait(time.Second)
		s.Noise(0)
		s.Noise(1)
	}
}

var _ = add(debugCases)

func debugCases() []findingCase {
	whole := debugged(func(all []string) []string { return all })
	without := func(i int) func(*scene.Scene) {
		return debugged(func(all []string) []string { return append(all[:i:i], all[i+1:]...) })
	}
	cut := debugged(func(all []string) []string { return all[2:] })
	ended := debugged(func(all []string) []string { return all[:2] })
	neverSent := func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		s.Wait(40 * time.Millisecond)
		s.Side[0].Debug = []byte(strings.Join(negotiated(a)[:3], ""))
		s.Wait(20 * time.Second)
		s.IKE(1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))))
		s.Side[0].Debug = append(s.Side[0].Debug, s.Logged(-9*time.Millisecond, false, s.LastSA(1), "IKE_SA_INIT", 0,
			false)...)
		s.Wait(time.Second)
		s.Noise(0)
	}
	return []findingCase{
		{"debug-agrees", hit, "all four", whole, map[string]any{"side": "A", "matched": 4}},
		{"debug-agrees", near, "one was not received", without(1), nil},
		{"debug-agrees", near, "one was not captured", neverSent, nil},
		{"debug-agrees", none, "no debug", scene.Healthy, nil},

		{"debug-sent-not-captured", hit, "IKE_AUTH never left", neverSent,
			map[string]any{"side": "A", "message": "IKE_AUTH REQUEST MID=1"}},
		{"debug-sent-not-captured", near, "all are there", whole, nil},
		{"debug-sent-not-captured", near, "of a time before the capture", func(s *scene.Scene) {
			old := s.SA(0)
			s.Side[0].Debug = []byte(strings.Join(negotiated(old), ""))
			s.Wait(time.Hour)
			a := s.SA(0).Up()
			s.Side[0].Debug = append(s.Side[0].Debug, strings.Join(negotiated(a), "")...)
		}, nil},
		{"debug-sent-not-captured", near, "the capture began in the middle of the negotiation", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Side[0].Debug = []byte(strings.Join(negotiated(a), ""))
			s.Rows[0] = s.Rows[0][2:]
		}, nil},
		{"debug-sent-not-captured", near, "the capture has only its first fragment", func(s *scene.Scene) {
			s.Side[0].Debug = []byte(strings.Join(negotiated(ownFragmentHidden(s)), ""))
		}, nil},
		{"debug-sent-not-captured", none, "no debug", scene.Healthy, nil},

		{"debug-captured-not-received", hit, "the answer to IKE_SA_INIT", func(s *scene.Scene) {
			a := s.SA(0)
			for range 3 {
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
				s.Wait(2 * time.Second)
				s.Side[0].Debug = append(s.Side[0].Debug, s.Logged(2*time.Second, true, a, "IKE_SA_INIT", 0, false)...)
			}
		}, map[string]any{"side": "A", "message": "IKE_SA_INIT RESPONSE MID=0"}},
		{"debug-captured-not-received", near, "all are there", whole, nil},
		{"debug-captured-not-received", near, "the log was rotated: its beginning is gone", cut, nil},
		{"debug-captured-not-received", near, "the log was cut: its end is gone", ended, nil},
		{"debug-captured-not-received", none, "no debug", scene.Healthy, nil},
	}
}

// debugStyles are the ways in which routers stamp the lines of their debugs.
var debugStyles = map[string]func(at time.Time) string{
	"plain":        func(time.Time) string { return "IKEv2:" },
	"as the guide": func(time.Time) string { return "Ikev2:" },
	"msec":         func(at time.Time) string { return at.Format("*Jan _2 15:04:05.000: ") + "IKEv2:" },
	"sequence and zone": func(at time.Time) string {
		return "2328304: " + at.Format("Jan _2 15:04:05.000 ") + "GMT: IKEv2:"
	},
	"year":    func(at time.Time) string { return at.Format("*Jan _2 2006 15:04:05.000: ") + "IKEv2:" },
	"seconds": func(at time.Time) string { return at.Format(".Jan _2 15:04:05: ") + "IKEv2:" },
	"uptime":  func(time.Time) string { return "1w2d: IKEv2:" },
	"packet debug": func(at time.Time) string {
		return "000123: " + at.Format("*Jan _2 15:04:05.000 ") + "CEST: IKEv2-PAK:"
	},
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
				s := scene.New(t)
				debugged(func(all []string) []string { return all })(s)
				s.Side[0].Debug = restyle(s.Side[0].Debug)
				if found := scene.Flatten(t, s.Compare()); !found.Has(map[string]any{"code": "debug-agrees", "matched": 4}) {
					t.Errorf("%s\n%v", s.Side[0].Debug, found.Codes())
				}
				s = scene.New(t)
				a := s.SA(0)
				a.Open()
				s.Wait(40 * time.Millisecond)
				s.Side[0].Debug = restyle([]byte(strings.Join(negotiated(a)[:3], "")))
				s.Wait(20 * time.Second)
				s.Noise(0)
				want := map[string]any{"code": "debug-sent-not-captured", "side": "A", "message": "IKE_AUTH REQUEST MID=1"}
				if found := scene.Flatten(t, s.Compare()); !found.Has(want) {
					t.Errorf("%s\n%v", s.Side[0].Debug, found.Codes())
				}
			})
		}
	}
}

// A hub's log names other peers too, and a log may hold another run, or nothing of use:
// none of it accuses.
func TestDebugsThatProveNothing(t *testing.T) {
	for name, change := range map[string]func(s *scene.Scene, log string) string{
		"another peer": func(_ *scene.Scene, log string) string {
			return log + strings.NewReplacer("192.168.2.1", "203.0.113.77", "Responder SPI",
				"Responder SPI").Replace(strings.ReplaceAll(log, "10000", "1FFFF"))
		},
		"another run": func(_ *scene.Scene, log string) string {
			return strings.ReplaceAll(log, "Initiator SPI : 1", "Initiator SPI : 7")
		},
		"nothing":        func(*scene.Scene, string) string { return "R1#show logging\nSyslog logging: enabled\n" },
		"cut in a block": func(_ *scene.Scene, log string) string { return log[:len(log)*3/4] },
		"rotated":        func(_ *scene.Scene, log string) string { return log[len(log)/3:] },
		"binary":         func(*scene.Scene, string) string { return "\x00\xff\xfe" + strings.Repeat("IKEv2:", 9) },
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			debugged(func(all []string) []string { return all })(s)
			s.Side[0].Debug = []byte(change(s, string(s.Side[0].Debug)))
			r := s.Compare()
			scene.Sound(t, r)
			for _, code := range []string{"debug-sent-not-captured", "debug-captured-not-received"} {
				if found := scene.Flatten(t, r).Of(code); len(found) > 0 {
					t.Errorf("%v\n%s", found[0]["explanation"], s.Side[0].Debug)
				}
			}
		})
	}
}
