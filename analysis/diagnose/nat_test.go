package diagnose_test

import (
	"net/netip"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// mappingMoves: the NAT forgets A's port while it is idle.
func mappingMoves(s *scene.Scene) {
	s.Seen[0] = scene.NAT
	a := s.SA(0).Up()
	s.Ports[0] = 31000
	s.Wait(5 * time.Minute)
	a.DPD(0)
	a.DPD(0)
}

// outside is an address that is neither side's own.
func outside() netip.Addr { return netip.MustParseAddr("198.51.100.9") }

// leftBehind: A, which the other side sees at an address, is seen at another one from then on; the
// ESP of B goes on to the first, or follows.
func leftBehind(nat netip.Addr, follows bool) func(*scene.Scene) {
	return func(s *scene.Scene) {
		where := &s.Addr[0]
		if nat.IsValid() {
			where = &s.Seen[0]
			*where = nat
		}
		a := s.Working(0)
		old := *where
		*where = outside()
		a.DPD(0) // answered where it came from
		for i := range uint32(30) {
			s.ESP(0, 0xa0000001, 21+i, 100, nat.IsValid())
			if *where = old; follows {
				*where = outside()
			}
			s.ESP(1, 0xb0000001, 21+i, 100, nat.IsValid(), scene.Fate{Lost: !follows})
			*where = outside()
			s.Wait(time.Second)
		}
	}
}

// idleBehindNAT: nothing for so long, with or without keepalives.
func idleBehindNAT(d, keepalive time.Duration) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.Seen[0] = scene.NAT
		a := s.SA(0).Up()
		for end := s.Now + d; s.Now < end; {
			step := d
			if keepalive > 0 {
				step = keepalive
				s.Keepalive(0)
			}
			s.Wait(step)
		}
		a.DPD(0)
		a.DPD(1)
	}
}

// forced: A's NAT detection hash is of no address.
func forced(s *scene.Scene) {
	a := s.SA(0)
	m := a.Init(false, scene.Proposals(scene.GCM(19)))
	at := natdOffset(m)
	for i := range 20 {
		m[at+i] = byte(i * 11)
	}
	s.IKE(0, 500, m)
	s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19))))
	a.Port = 4500
	a.Auth(ike.PayloadIDr, scene.SizeAnswer)
	a.DPD(0)
}

// natdOffset is where the NAT_DETECTION_SOURCE_IP's hash stands in an IKE_SA_INIT message.
func natdOffset(m []byte) int {
	parsed, _ := ike.Parse(m)
	at := ike.HeaderLen
	for _, p := range parsed.Payloads {
		if n, ok := p.(*ike.Notify); ok && n.Number == ike.NATDetectionSourceIP {
			return at + 8
		}
		at += int(m[at+2])<<8 | int(m[at+3])
	}
	return 0
}

func stayedOn500(s *scene.Scene) {
	s.Seen[0] = scene.NAT
	a := s.SA(0)
	a.Open()
	a.Auth(ike.PayloadIDr, scene.SizeAnswer)
}

var _ = add(natCases)

func natCases() []findingCase {
	return []findingCase{
		{"nat-detected", hit, "both captures", scene.HealthyNAT,
			map[string]any{"translated_side": "A", "original": "192.168.1.1", "translated": "198.51.100.1",
				"port_preserved": true, "hash_verified": true, "confidence": "certain"}},
		{"nat-detected", hit, "B is translated", func(s *scene.Scene) {
			s.Seen[1] = scene.NAT
			s.SA(0).Up().DPD(0)
		}, map[string]any{"translated_side": "B", "original": "192.168.2.1", "translated": "198.51.100.1"}},
		{"nat-detected", hit, "one capture", func(s *scene.Scene) {
			s.Seen[1] = scene.NAT
			s.SA(0).Up()
			s.Alone = true
		}, map[string]any{"translated_side": "B", "confidence": "probable"}},
		{"nat-detected", near, "encapsulation is forced", forced, nil},
		{"nat-detected", none, "healthy", scene.Healthy, nil},

		{"nat-float-missing", hit, "IKE_AUTH on 500", stayedOn500, map[string]any{"confidence": "certain"}},
		{"nat-float-missing", near, "it moved to 4500", scene.HealthyNAT, nil},
		{"nat-float-missing", near, "no NAT, on 500", scene.Healthy, nil},
		{"nat-float-missing", near, "the NAT is another tunnel's", func(s *scene.Scene) {
			scene.HealthyNAT(s)
			s.Seen[0] = netip.Addr{}
			s.Wait(time.Minute)
			scene.Healthy(s)
		}, nil},
		{"nat-float-missing", near, "one capture of a hub: the NAT is before another peer", func(s *scene.Scene) {
			s.Alone = true
			s.Seen[1] = scene.NAT
			s.SA(0).Up().DPD(0)
			s.Seen[1], s.Addr[1] = netip.Addr{}, netip.MustParseAddr("203.0.113.21")
			s.SA(0).Up().DPD(0)
		}, nil},
		{"nat-float-missing", none, "nothing beyond IKE_SA_INIT",
			func(s *scene.Scene) { s.Seen[0] = scene.NAT; s.SA(0).Open() }, nil},

		{"nat-port-rewritten", hit, "500 becomes 31000", func(s *scene.Scene) { s.Ports[0] = 31000; scene.HealthyNAT(s) },
			map[string]any{"original_port": 500, "translated_port": 31000}},
		{"nat-port-rewritten", near, "the port is kept", scene.HealthyNAT, nil},
		{"nat-port-rewritten", none, "healthy", scene.Healthy, nil},

		{"nat-mapping-changed", hit, "another port after a pause", mappingMoves,
			map[string]any{"before": "198.51.100.1:4500", "after": "198.51.100.1:31001"}},
		{"nat-mapping-changed", hit, "the other side's ESP goes on to the old address", leftBehind(scene.NAT, false),
			map[string]any{"before": "198.51.100.1:4500", "after": "198.51.100.9:4500",
				"confidence": "certain", "direction": "B->A"}},
		{"nat-mapping-changed", hit, "so it is from the other side's capture alone", func(s *scene.Scene) {
			leftBehind(scene.NAT, false)(s)
			s.OnlyB()
		}, map[string]any{"before": "198.51.100.1:4500", "after": "198.51.100.9:4500",
			"confidence": "probable", "direction": "A->B"}},
		{"nat-mapping-changed", hit, "no NAT: A moved, and the other side's ESP does not follow",
			leftBehind(netip.Addr{}, false), map[string]any{"before": "192.168.1.1", "after": "198.51.100.9",
				"confidence": "probable", "direction": "B->A"}},
		{"nat-mapping-changed", near, "no NAT: A moved, and the other side's ESP follows", leftBehind(netip.Addr{}, true),
			nil},
		{"nat-mapping-changed", near, "no NAT: A goes on from another interface, and its capture of the first one has ended",
			func(s *scene.Scene) {
				leftBehind(netip.Addr{}, false)(s)
				s.Rows[0] = s.Rows[0][:44]
			}, nil},
		{"nat-mapping-changed", near, "between two IKE SAs", func(s *scene.Scene) {
			scene.HealthyNAT(s)
			s.Wait(time.Hour)
			s.Ports[0] = 31000
			s.SA(0).Up().DPD(0)
		}, nil},
		{"nat-mapping-changed", none, "healthy", scene.Healthy, nil},

		{"nat-keepalive-missing", hit, "two minutes of silence", idleBehindNAT(2*time.Minute, 0), nil},
		{"nat-keepalive-missing", near, "keepalives every 20 s", idleBehindNAT(2*time.Minute, 20*time.Second), nil},
		{"nat-keepalive-missing", near, "20 s of silence", idleBehindNAT(20*time.Second, 0), nil},
		{"nat-keepalive-missing", none, "no NAT", func(s *scene.Scene) {
			a := s.SA(0).Up()
			s.Wait(5 * time.Minute)
			a.DPD(0)
		}, nil},

		{"udp-encapsulation-forced", hit, "a hash of no address", forced, map[string]any{"confidence": "certain"}},
		{"udp-encapsulation-forced", near, "a real NAT", scene.HealthyNAT, nil},
		{"udp-encapsulation-forced", none, "healthy", scene.Healthy, nil},
	}
}
