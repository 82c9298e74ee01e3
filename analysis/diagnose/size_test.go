package diagnose_test

import (
	"encoding/binary"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// bigAuth sends an IKE_AUTH request of 2,000 bytes in IP fragments, three times;
// keep of them arrive.
func bigAuth(keep int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		s.Repeat(3, 0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000), scene.Fate{MTU: 1480, Keep: keep})
		s.Wait(time.Second)
		a.Port = 500
		if keep == 0 {
			s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer))
		}
	}
}

// skf sends an IKE_AUTH request in three IKE fragments, of which the second has the given fates,
// one a round.
func skf(fates ...scene.Fate) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		a.Open()
		for _, second := range fates {
			for i := uint16(1); i <= 3; i++ {
				f := scene.Fate{}
				if i == 2 {
					f = second
				}
				s.IKE(0, 500, a.SealedPart(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 400, i, 3), f)
			}
			s.Wait(2 * time.Second)
		}
		if !fates[len(fates)-1].Lost {
			s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, scene.SizeAnswer))
		}
		s.Noise(1)
	}
}

// blockedThenSmall: nothing of a side arrives for some seconds, whatever size it has, and then its
// traffic does, which is smaller.
func blockedThenSmall(from int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(from)
		s.Repeat(3, from, 500, a.Init(false, scene.Proposals(scene.GCM(19))), scene.Lost)
		s.Repeat(3, from, 500, s.SA(from).Init(false, scene.Proposals(scene.CBC(256, 14))), scene.Lost)
		s.Dialogue(10, 200*time.Millisecond, scene.Passes)
	}
}

// largeRekey: small messages pass, a large request is sent n times with the fate.
func largeRekey(n int, f scene.Fate) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0).Up()
		for range 6 {
			a.DPD(0)
		}
		s.Repeat(n-2, 0, 500, a.Sealed(ike.CreateChildSA, 0, a.ID[0], false, ike.PayloadSA, 1400), f)
		s.Repeat(2, 0, 500, a.Sealed(ike.CreateChildSA, 0, a.ID[0]+1, false, ike.PayloadSA, 1380), f)
		a.DPD(1)
	}
}

// largeESP: every third packet of A is larger than a frame and has the fate, the others and those
// of B pass.
func largeESP(udp bool, f scene.Fate) func(*scene.Scene) {
	return func(s *scene.Scene) {
		s.SA(0).Up()
		for i := range uint32(30) {
			if i%3 == 0 {
				s.ESP(0, 0xa0000001, i+1, 1500, udp, f)
			} else {
				s.ESP(0, 0xa0000001, i+1, 100, udp)
			}
			s.ESP(1, 0xb0000001, i+1, 100, udp)
			s.Wait(50 * time.Millisecond)
		}
	}
}

// largeInit is a tunnel whose IKE_SA_INIT, the message of a side, goes in IP fragments.
func largeInit(large int) func(*scene.Scene) {
	return func(s *scene.Scene) {
		a := s.SA(0)
		for from := range 2 {
			var more []ike.Payload
			f := scene.Fate{}
			if from == large {
				more, f.MTU = append(more, &ike.Unknown{Number: 43, Data: make([]byte, 1600)}), 1480
			}
			s.IKE(from, 500, a.Init(from == 1, scene.Proposals(scene.GCM(19)), more...), f)
		}
		a.Auth(ike.PayloadIDr, scene.SizeAnswer)
		s.Traffic(3, false)
	}
}

var _ = add(sizeCases)

func sizeCases() []findingCase {
	return []findingCase{
		{"ip-fragments-lost", hit, "the second one", bigAuth(1),
			map[string]any{"direction": "A->B", "fragments_sent": 2, "fragments_seen": 1, "confidence": "certain"}},
		{"ip-fragments-lost", near, "all arrive", bigAuth(0), nil},
		{"ip-fragments-lost", hit, "the second one, and the captures cut packets short", func(s *scene.Scene) {
			s.Snap = [2]int{128, 128}
			bigAuth(1)(s)
		}, map[string]any{"direction": "A->B"}},
		{"ip-fragments-lost", near, "all arrive, and the captures cut packets short", func(s *scene.Scene) {
			s.Snap = [2]int{128, 128}
			bigAuth(0)(s)
		}, nil},
		{"ip-fragments-lost", near, "A's own capture lacks the second", func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			m := a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000)
			s.IKE(0, 500, m, scene.Fate{MTU: 1480, Hidden: true, Keep: 1})
			s.IKE(0, 500, m, scene.Fate{MTU: 1480, Hidden: true, Keep: 1})
		}, nil},
		{"ip-fragments-lost", hit, "of the first message", func(s *scene.Scene) {
			s.Repeat(3, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{MTU: 160, Keep: 1})
		}, map[string]any{"direction": "A->B", "confidence": "probable", "fragments_seen": 1}},
		{"ip-fragments-lost", near, "nothing of them arrives", func(s *scene.Scene) {
			s.Repeat(3, 0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{MTU: 160, Lost: true})
			s.Repeat(3, 1, 500, s.SA(1).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{})
		}, nil},
		{"ip-fragments-lost", hit, "the second ones of ESP", largeESP(false, scene.Fate{MTU: 1480, Keep: 1}),
			map[string]any{"direction": "A->B", "protocol": "ESP", "fragments_sent": 2, "fragments_seen": 1,
				"datagram_size": 1508}},
		{"ip-fragments-lost", hit, "the second ones of ESP in UDP", largeESP(true, scene.Fate{MTU: 1480, Keep: 1}),
			map[string]any{"direction": "A->B", "protocol": "ESP in UDP", "fragments_sent": 2, "fragments_seen": 1,
				"datagram_size": 1516}},
		{"ip-fragments-lost", hit, "all of ESP, the small ones too", largeESP(false, scene.Fate{MTU: 1480, Lost: true}),
			map[string]any{"direction": "A->B", "protocol": "ESP", "fragments_sent": 2, "fragments_seen": 0}},
		{"ip-fragments-lost", hit, "the second ones of AH", func(s *scene.Scene) {
			s.SA(0).Up()
			for i := range uint32(30) {
				s.Ah(0, 0xa0000001, i+1, 100+int(i%3/2)*1500, scene.Fate{MTU: 1480, Keep: 1})
				s.Ah(1, 0xb0000001, i+1, 100, scene.Fate{})
				s.Wait(50 * time.Millisecond)
			}
		}, map[string]any{"direction": "A->B", "protocol": "AH", "fragments_sent": 2, "fragments_seen": 1}},
		{"ip-fragments-lost", near, "AH in fragments that arrive", func(s *scene.Scene) {
			s.SA(0).Up()
			for i := range uint32(30) {
				s.Ah(0, 0xa0000001, i+1, 100+int(i%3/2)*1500, scene.Fate{MTU: 1480})
				s.Ah(1, 0xb0000001, i+1, 100, scene.Fate{})
				s.Wait(50 * time.Millisecond)
			}
		}, nil},
		{"ip-fragments-lost", hit, "by the receiver's capture alone, which holds no further fragment", func(s *scene.Scene) {
			s.Alone = true
			largeESP(false, scene.Fate{MTU: 1480, Keep: 1})(s)
			s.Rows[0], s.Side[0] = s.Rows[1], s.Side[1]
		}, map[string]any{"direction": "B->A", "protocol": "esp", "fragments_seen": 1, "confidence": "possible"}},
		{"ip-fragments-lost", hit, "by the receiver's capture alone, which sends fragments itself", func(s *scene.Scene) {
			s.Alone = true
			largeESP(true, scene.Fate{MTU: 1480, Keep: 1})(s)
			s.ESP(1, 0xb0000001, 31, 1500, true, scene.Fate{MTU: 1480})
			s.Rows[0], s.Side[0] = s.Rows[1], s.Side[1]
		}, map[string]any{"direction": "B->A", "protocol": "udp", "fragments_seen": 1, "confidence": "probable"}},
		{"ip-fragments-lost", near, "the only capture lacks its own router's fragments too", func(s *scene.Scene) {
			s.Alone = true
			largeESP(false, scene.Fate{MTU: 1480, Hidden: true, Keep: 1})(s)
			s.Rows[1] = nil
			for i := range uint32(6) {
				s.ESP(0, 0xa0000001, 40+i, 1500, false, scene.Fate{MTU: 1480, Keep: 1})
				s.ESP(1, 0xb0000001, 40+i, 1500, false, scene.Fate{MTU: 1480, Keep: 1})
			}
			first := scene.MapRecords(s.Rows[0], func(r scene.Record) []scene.Record {
				if scene.FragmentOf(r.Data) != 0 && binary.BigEndian.Uint16(r.Data[20:])&0x1fff != 0 {
					return nil
				}
				return []scene.Record{r}
			})
			s.Rows[0] = first
		}, nil},
		{"ip-fragments-lost", near, "ESP in fragments that arrive", largeESP(false, scene.Fate{MTU: 1480}), nil},
		{"ip-fragments-lost", near, "ESP in UDP in fragments that arrive", largeESP(true, scene.Fate{MTU: 1480}), nil},
		{"mtu-black-hole", near, "fragments of all sizes vanish", largeESP(false, scene.Fate{MTU: 1480, Lost: true}), nil},
		{"ip-fragments-lost", near, "one of many is lost", func(s *scene.Scene) {
			s.SA(0).Up()
			s.Dialogue(40, 100*time.Millisecond, func(from, i int) scene.Fate {
				f := scene.Fate{}
				if from == 0 && i%2 == 0 {
					f.MTU = 64
				}
				if i == 20 {
					f.Keep = 1
				}
				return f
			})
		}, nil},
		{"ip-fragments-lost", none, "nothing is fragmented", scene.Healthy, nil},

		{"ike-fragments-lost", hit, "the second of three", skf(scene.Lost, scene.Lost, scene.Lost),
			map[string]any{"direction": "A->B", "fragments_sent": 3, "fragments_seen": 2}},
		{"ike-fragments-lost", near, "it arrives in the second round", skf(scene.Lost, scene.Fate{}), nil},
		{"ike-fragments-lost", none, "nothing is fragmented", scene.Healthy, nil},
		{"ike-fragments-lost", hit, "IKEv1", certificatesV1(scene.Lost, scene.Lost, scene.Lost),
			map[string]any{"direction": "A->B", "fragments_sent": 3, "fragments_seen": 2}},
		{"ike-fragments-lost", near, "IKEv1, it arrives in the second round", certificatesV1(scene.Lost, scene.Fate{}), nil},

		{"packet-too-big", hit, "the next hop takes 1400", rejectedBy(3, 4),
			map[string]any{"direction": "A->B", "mtu": 1400, "reported_by": "203.0.113.1"}},
		{"packet-too-big", near, "another reason", rejectedBy(3, 13), nil},
		{"packet-too-big", none, "healthy", scene.Healthy, nil},

		{"mtu-black-hole", near, "A's path was blocked, and smaller ones follow", blockedThenSmall(0), nil},
		{"mtu-black-hole", near, "B's path was blocked, and smaller ones follow", blockedThenSmall(1), nil},
		{"mtu-black-hole", hit, "large ones vanish", largeRekey(5, scene.Lost),
			map[string]any{"direction": "A->B", "confidence": "probable"}},
		{"mtu-black-hole", near, "four are too few", largeRekey(4, scene.Lost), nil},
		{"mtu-black-hole", near, "small ones vanish too", blockedAtoB, nil},
		{"mtu-black-hole", none, "healthy", scene.Healthy, nil},

		{"ike-fragmentation-not-negotiated", hit, "and IP fragments are needed", bigAuth(0),
			map[string]any{"confidence": "certain"}},
		{"ike-fragmentation-not-negotiated", near, "both announce it", func(s *scene.Scene) {
			a := s.SA(0)
			s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(19)), scene.Supported(ike.FragmentationSupported)))
			s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(19)), scene.Supported(ike.FragmentationSupported)))
			s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000), scene.Fate{MTU: 1480})
		}, nil},
		{"ike-fragmentation-not-negotiated", near, "only IKE_SA_INIT is too large", largeInit(0), nil},
		{"ike-fragmentation-not-negotiated", near, "only B's answer to IKE_SA_INIT is too large, over IPv6",
			func(s *scene.Scene) { s.Addr = scene.SixAddr; largeInit(1)(s) }, nil},
		{"ike-fragmentation-not-negotiated", none, "everything fits", scene.Healthy, nil},
	}
}
