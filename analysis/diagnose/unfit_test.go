package diagnose_test

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// inUDP puts a datagram of A, port 4500 or 500 of both, into both captures: with so many bytes as a
// marker before the message at each side, and with a checksum, right or wrong, at B.
func inUDP(s *scene.Scene, from int, port uint16, message []byte, markers [2]int, checksum func(right uint16) uint16) {
	var at [2]func(uint16) uint16
	at[1-from] = checksum
	inUDPWith(s, from, port, message, markers, at)
}

// inUDPWith is inUDP with a checksum at each side; nil: none is made.
func inUDPWith(s *scene.Scene, from int, port uint16, message []byte, markers [2]int,
	checksum [2]func(right uint16) uint16) {
	s.Now += 20 * time.Millisecond
	s.ID++
	be := binary.BigEndian
	for at := range 2 {
		b := append(make([]byte, markers[at]), message...)
		u := be.AppendUint16(be.AppendUint16(be.AppendUint16(nil, port), port), uint16(8+len(b)))
		u = append(append(u, 0, 0), b...)
		if checksum[at] != nil {
			pseudo := append(append(s.Addr[from].AsSlice(), s.Addr[1-from].AsSlice()...), 0, 17)
			be.PutUint16(u[6:], checksum[at](onesComplement(append(be.AppendUint16(pseudo, uint16(len(u))), u...))))
		}
		when := s.Now
		if at != from {
			when += s.Delay
		}
		s.Put(at, when, s.Frame(s.Addr[from], s.Addr[1-from], 17, 0xc0, 255, scene.Part{Data: u}))
	}
}

// onesComplement is the checksum of RFC 1071.
func onesComplement(b []byte) uint16 {
	sum := uint32(0)
	for i, x := range b {
		sum += uint32(x) << (8 * (1 - i%2))
	}
	for sum>>16 > 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// What keeps a message from being taken for IKE is told where nobody answers it.
func TestWhyNobodyTakesItForIKE(t *testing.T) {
	right := func(n uint16) uint16 { return n }
	wrong := func(n uint16) uint16 { return n ^ 0x1234 }
	const marker, stripped, checksum = "lacks the non-ESP marker", "took it away", "wrong UDP checksum"
	for name, c := range map[string]struct {
		port     uint16
		markers  [2]int
		checksum func(uint16) uint16
		init     func(uint16) uint16 // of an IKE_SA_INIT request that is answered
		want     string
	}{
		"no marker":                     {4500, [2]int{0, 0}, nil, nil, marker},
		"the marker is lost on the way": {4500, [2]int{4, 0}, nil, nil, stripped},
		"a marker":                      {4500, [2]int{4, 4}, nil, nil, ""},
		"port 500 has none":             {500, [2]int{0, 0}, nil, nil, ""},
		"wrong checksum":                {500, [2]int{0, 0}, wrong, right, checksum},
		"right checksum":                {500, [2]int{0, 0}, right, right, ""},
		"wrong checksums are answered: they are not made yet": {500, [2]int{0, 0}, wrong, wrong, ""},
	} {
		s := scene.New(t)
		a := s.SA(0)
		inUDP(s, 0, 500, a.Init(false, scene.Proposals(scene.GCM(19))), [2]int{}, c.init)
		s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
		for range 4 {
			inUDP(s, 0, c.port, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), c.markers, c.checksum)
			s.Wait(2 * time.Second)
		}
		r := s.Compare()
		scene.Sound(t, r)
		if len(r.Findings) == 0 || r.Findings[0].Code != "peer-not-answering" {
			t.Errorf("%s: %v", name, scene.Flatten(t, r).Codes())
			continue
		}
		text := r.Findings[0].Explanation
		for _, said := range []string{marker, stripped, checksum} {
			if strings.Contains(text, said) != (said == c.want) {
				t.Errorf("%s: %s", name, text)
			}
		}
		text = wording(r, "peer-not-answering") // what is no IKE to it, no profile of it refuses
		if strings.Contains(text, "show crypto ikev2 profile") != (c.want == "") {
			t.Errorf("%s, what to do: %s", name, text)
		}
	}
}

// What arrives so that it never reaches IKE is ignored by nobody, and no profile refuses it.
func TestAnswersThatNeverReachIKE(t *testing.T) {
	for name, spoilt := range map[string]bool{"right checksums": false, "wrong checksums": true} {
		s := scene.New(t)
		a := s.SA(0)
		a.Open()
		for range 4 {
			s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth))
			inUDP(s, 1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, 300), [2]int{}, func(n uint16) uint16 {
				if spoilt {
					return n ^ 0x1234
				}
				return n
			})
			s.Wait(2 * time.Second)
		}
		r := s.Compare()
		scene.Sound(t, r)
		text := wording(r, "response-ignored")
		for _, said := range []string{"it ignores the answer", "show crypto ikev2 profile"} {
			if strings.Contains(text, said) == spoilt {
				t.Errorf("%s, %q: %s", name, said, text)
			}
		}
		if strings.Contains(text, "wrong UDP checksum") != spoilt {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// A checksum that is wrong as the message leaves, too, or in what the receiver went on from, is no
// device's doing on the path: it was not made yet when the capture was taken.
func TestWrongChecksumsThatThePathDidNotMake(t *testing.T) {
	wrong := func(n uint16) uint16 { return n ^ 0x1234 }
	for _, version := range []int{1, 2} {
		for _, asks := range []int{0, 1} {
			for name, c := range map[string]struct {
				leaves  bool // wrong as it leaves
				used    bool // the answer before was wrong as well, and the asker went on from it
				sides   int  // captures: both, or the asker's alone
				blaming bool
			}{
				"wrong as they arrive":                    {false, false, 2, true},
				"wrong as they leave, too":                {true, false, 2, false},
				"one such was used":                       {false, true, 2, false},
				"one capture":                             {false, false, 1, true},
				"one capture, in which one such was used": {false, true, 1, false},
			} {
				s := scene.New(t)
				put := func(message []byte, spoils bool) {
					at := [2]func(uint16) uint16{}
					if spoils {
						at[asks] = wrong
						if c.leaves {
							at[1-asks] = wrong
						}
					}
					inUDPWith(s, 1-asks, 500, message, [2]int{}, at)
				}
				var ask, answer []byte
				if version == 2 {
					a := s.SA(asks)
					s.IKE(asks, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
					put(a.Init(true, scene.Proposals(scene.GCM(19))), c.used)
					ask = a.Sealed(ike.IKEAuth, asks, 1, false, ike.PayloadIDi, scene.SizeAuth)
					answer = a.Sealed(ike.IKEAuth, 1-asks, 1, true, ike.PayloadIDr, 300)
				} else {
					a := s.V1(asks)
					s.IKE(asks, 500, a.Message(ike.V1MainMode, asks, 0, true, scene.SAv1(scene.Modern(14, 1))))
					put(a.Message(ike.V1MainMode, 1-asks, 0, false, scene.SAv1(scene.Modern(14, 1))), c.used)
					ask, answer = a.Main3(asks), a.Main3(1-asks)
				}
				for range 4 {
					s.IKE(asks, 500, ask)
					put(answer, true)
					s.Wait(2 * time.Second)
				}
				switch {
				case c.sides == 1 && asks == 1:
					s.OnlyB()
				case c.sides == 1:
					s.Alone = true
				}
				r := s.Compare()
				scene.Sound(t, r)
				text := wording(r, "response-ignored")
				if text == "" || strings.Contains(text, "checksum, with which") != c.blaming ||
					strings.Contains(text, "ignores the answer") == c.blaming {
					t.Errorf("IKEv%d, side %d asks, %s: %s", version, asks, name, text)
				}
			}
		}
	}
}

// Whose capture shows that it answers was not reloaded; who still asks at the end deletes nothing.
func TestLivenessChecksWhoseAnswersAreLost(t *testing.T) {
	for name, c := range map[string]struct{ answered, goesOn bool }{"nobody answers": {false, true},
		"answers": {true, true}, "answers, to the end": {true, false}} {
		s := scene.New(t)
		a := s.SA(0).Up()
		s.Wait(time.Minute)
		for range 4 {
			s.IKE(0, 500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0))
			if c.answered {
				s.IKE(1, 500, a.Sealed(ike.Informational, 1, 2, true, ike.PayloadNone, 0), scene.Lost)
			}
			s.Wait(5 * time.Second)
		}
		if c.goesOn {
			s.Wait(time.Minute)
			s.Noise(0)
			s.Noise(1)
		}
		r := s.Compare()
		scene.Sound(t, r)
		text := wording(r, "dpd-timeout")
		if strings.Contains(text, "the answers do not arrive") != c.answered ||
			strings.Contains(text, "show version | include uptime") == c.answered ||
			strings.Contains(text, "will be deleted") != c.goesOn {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// An answer that goes elsewhere than its request came from does not get through a NAT.
func TestAnswersToAnotherPort(t *testing.T) {
	for _, there := range []uint16{0, 31000} {
		for _, alone := range []bool{false, true} {
			s := scene.New(t)
			s.Seen[0] = scene.NAT
			a := s.SA(0)
			for range 5 {
				s.Ports[0] = 31000
				s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19))))
				s.Ports[0] = there
				s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))), scene.Lost)
				s.Wait(4 * time.Second)
			}
			if alone {
				s.OnlyB()
			}
			r := s.Compare()
			scene.Sound(t, r)
			const said = "answers to 198.51.100.1:500 what was asked from 198.51.100.1:31000"
			if text := r.Findings[0].Explanation; strings.Contains(text, said) != (there == 0) {
				t.Errorf("to port %d, alone %v: %s", there, alone, text)
			}
		}
	}
}

// Which IKE fragments a capture lacks is told where it is the receiver's, and the only one.
func TestWhichFragmentsNeverCome(t *testing.T) {
	for _, alone := range []string{"A", "B"} {
		s := scene.New(t)
		skf(scene.Lost, scene.Lost, scene.Lost)(s)
		if s.Alone = true; alone == "B" {
			s.OnlyB()
		}
		r := s.Compare()
		scene.Sound(t, r)
		const said = "Of its 3 IKE fragments 1 is missing in this capture, however often they are sent (by number: 2)."
		if text := r.Verdict.Headline; !strings.Contains(text, "IKE_AUTH 3 times") {
			t.Errorf("%s: %s", alone, text)
		}
		if text := r.Findings[0].Explanation; strings.Contains(text, said) != (alone == "B") {
			t.Errorf("%s alone: %s", alone, text)
		}
		text := wording(r, "retransmissions-exhausted")
		if strings.Contains(text, "smaller fragments") != (alone == "B") || strings.Contains(text, "it arrives") {
			t.Errorf("%s alone, what to do: %s", alone, text)
		}
	}
}

// Where to look for the reason is told by what is known of it: on the side that is silent when a
// request arrives there, and not in the configuration that it has not even read.
func TestWhereToLook(t *testing.T) {
	rekeyed := func(answers bool, f scene.Fate) func(*scene.Scene) {
		return func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Dialogue(10, time.Second, scene.Passes)
			if answers {
				a.Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, ike.PayloadN, 8)
				return
			}
			s.Repeat(5, 0, 500, a.Sealed(ike.CreateChildSA, 0, a.ID[0], false, ike.PayloadN, 180), f)
		}
	}
	const transforms, key, aaa, route = "show crypto ipsec transform-set", "show crypto isakmp key", "show aaa servers",
		"traceroute 192.168.2.1"
	for name, c := range map[string]struct {
		play       func(*scene.Scene)
		code       string
		does, dont string
	}{
		"a rekey that arrives":     {rekeyed(false, scene.Fate{}), "rekey-failed", "show crypto ikev2 stats", transforms},
		"a rekey that is refused":  {rekeyed(true, scene.Fate{}), "rekey-failed", transforms, aaa},
		"a rekey that is lost":     {rekeyed(false, scene.Lost), "retransmissions-exhausted", route, aaa},
		"the rekey itself":         {rekeyed(false, scene.Lost), "rekey-failed", route, transforms},
		"what arrives is repeated": {rekeyed(false, scene.Fate{}), "retransmissions-exhausted", "show logging", route},
		"Quick Mode": {func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			for range 3 {
				a.QuickMode(1)
				s.Wait(20 * time.Second)
			}
		}, "peer-not-answering", transforms, key},
		"Main Mode": {func(s *scene.Scene) {
			a := s.V1(0)
			s.Repeat(5, 0, 500, a.Message(ike.V1MainMode, 0, 0, true, scene.SAv1(scene.Modern(14, 1))), scene.Fate{})
		}, "peer-not-answering", key, transforms},
		"IKE_AUTH": {func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			s.Repeat(5, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Fate{})
		}, "peer-not-answering", aaa, transforms},
		"IKE_AUTH at another box": {anotherBox, "invalid-spi", "show standby brief",
			"clear crypto session remote 192.168.2.1"},
		"ESP to an address that was left": {leftBehind(scene.NAT, false), "esp-blocked",
			"show crypto ipsec sa peer 192.168.2.1", "permit udp host 192.168.2.1 host 198.51.100.1 eq 4500"},
		"ESP that a filter drops": {func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(20, time.Second, func(from, _ int) scene.Fate { return scene.Fate{Lost: from == 1} })
		}, "esp-blocked", "permit esp host 192.168.2.1 host 192.168.1.1", aaa},
		"ESP in UDP, where IKE passes on that port": {espBesideIKE, "esp-blocked", "show ip nat translations",
			"permit udp host 192.168.2.1 host 192.168.1.1 eq 4500"},
		"a filter on the way elsewhere": {refusedElsewhere(3, 13), "icmp-rejected",
			"permit udp host 192.168.1.1 host 192.168.2.2 eq 500", "permit udp host 192.168.1.1 host 192.168.2.1 eq 500"},
		"nobody listens elsewhere": {refusedElsewhere(3, 3), "icmp-rejected", "show crypto session remote 192.168.2.2 detail",
			"show crypto session remote 192.168.2.1 detail"},
		"a filter refuses AH": {refusedTraffic(13, func(s *scene.Scene, n uint32) {
			s.Ah(0, 0xa0000001, n, 100, scene.Lost)
		}), "icmp-rejected", "permit ahp host 192.168.1.1 host 192.168.2.1", "permit esp host 192.168.1.1 host 192.168.2.1"},
		"a device takes no ESP": {refusedTraffic(2, func(s *scene.Scene, n uint32) {
			s.ESP(0, 0xa0000001, n, 100, false, scene.Lost)
		}), "icmp-rejected", "permit esp host 192.168.1.1 host 192.168.2.1",
			"permit udp host 192.168.1.1 host 192.168.2.1 eq 500"},
		"a filter refuses what goes towards a NAT that changes the port": {func(s *scene.Scene) {
			s.Seen[0], s.Ports[0] = scene.NAT, 20000
			a := s.SA(0).Up()
			for range 4 {
				s.IKE(1, 4500, a.Sealed(ike.Informational, 1, 0, false, 0, 4), scene.Lost)
				s.ICMP(1, "203.0.113.1", 3, 13, 0)
				s.Wait(time.Second)
			}
		}, "icmp-rejected", "permit udp host 192.168.2.1 eq 4500 host 198.51.100.1",
			"permit udp host 192.168.2.1 host 198.51.100.1 eq 4500"},
		"towards a NAT that changes the port": {func(s *scene.Scene) {
			s.Seen[0], s.Ports[0] = scene.NAT, 20000
			a := s.SA(0).Up()
			s.Repeat(6, 1, 4500, a.Sealed(ike.Informational, 1, 0, false, 0, 4), scene.Lost)
		}, "path-blocked", "permit udp host 192.168.2.1 eq 4500 host 198.51.100.1",
			"permit udp host 192.168.2.1 host 198.51.100.1 eq 4500"},
	} {
		s := scene.New(t)
		c.play(s)
		r := s.Compare()
		scene.Sound(t, r)
		var commands []string
		for _, f := range r.Findings {
			if f.Code == c.code {
				for _, a := range f.Actions {
					commands = append(commands, a.Commands...)
				}
				break
			}
		}
		if !slices.Contains(commands, c.does) || slices.Contains(commands, c.dont) {
			t.Errorf("%s, %s: %q", name, c.code, commands)
		}
	}
}

// espBesideIKE is ESP of B in UDP 4500 that vanishes, while B's IKE arrives on that port.
func espBesideIKE(s *scene.Scene) {
	s.Seen[0] = scene.NAT
	a := s.SA(0).Up()
	s.Dialogue(20, time.Second, func(from, _ int) scene.Fate { return scene.Fate{Lost: from == 1} })
	a.DPD(1)
}

// refusedElsewhere: what A sends to another address than B's is refused; the tunnel with B works.
func refusedElsewhere(kind, code byte) func(*scene.Scene) {
	return func(s *scene.Scene) {
		there := s.Addr[1]
		s.Addr[1] = there.Next()
		for range 3 {
			s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
			s.ICMP(0, "203.0.113.1", kind, code, 0)
		}
		s.Addr[1] = there
		s.Wait(time.Second)
		scene.Healthy(s)
	}
}

// refusedTraffic: a device refuses by ICMP type 3 what A sends through a tunnel that came up.
func refusedTraffic(code byte, send func(s *scene.Scene, n uint32)) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.SA(0).Up()
		for n := range uint32(5) {
			send(s, n+1)
			s.ICMP(0, "203.0.113.1", 3, code, 0)
			s.Wait(time.Second)
		}
	}
}

// What goes elsewhere than to the other side is no matter of that: the actions are for its sender,
// and for who refuses it.
func TestWhoIsAskedAboutWhatIsRefusedElsewhere(t *testing.T) {
	for _, code := range []byte{1, 3, 13} {
		s := scene.New(t)
		refusedElsewhere(3, code)(s)
		found := scene.Flatten(t, s.Compare()).Of("icmp-rejected")
		if len(found) != 1 {
			t.Fatalf("code %d: %v", code, found)
		}
		for i, a := range found[0]["actions"].([]any) {
			if a := a.(map[string]any); i == 0 && a["device"] != "site-a" || i > 0 && a["where"] != "path" {
				t.Errorf("code %d: %v", code, a)
			}
		}
	}
}
