package analysis

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
)

// bigAuth sends an IKE_AUTH request of 2,000 bytes in IP fragments, three times; keep of them arrive.
func bigAuth(keep int) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		a.open()
		s.repeat(3, 0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000), fate{mtu: 1480, keep: keep})
		s.wait(time.Second)
		a.port = 500
		if keep == 0 {
			s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeAnswer))
		}
	}
}

// skf sends an IKE_AUTH request in three IKE fragments, of which the second has the given fates, one a round.
func skf(fates ...fate) func(*scene) {
	return func(s *scene) {
		a := s.sa(0)
		a.open()
		for _, second := range fates {
			for i := uint16(1); i <= 3; i++ {
				f := fate{}
				if i == 2 {
					f = second
				}
				s.ike(0, 500, a.sealedPart(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 400, i, 3), f)
			}
			s.wait(2 * time.Second)
		}
		if !fates[len(fates)-1].lost {
			s.ike(1, 500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeAnswer))
		}
		s.noise(1)
	}
}

// largeRekey: small messages pass, a large request is sent n times with the fate.
func largeRekey(n int, f fate) func(*scene) {
	return func(s *scene) {
		a := s.sa(0).up()
		for range 6 {
			a.dpd(0)
		}
		s.repeat(n-2, 0, 500, a.sealed(ike.CreateChildSA, 0, a.id[0], false, ike.PayloadSA, 1400), f)
		s.repeat(2, 0, 500, a.sealed(ike.CreateChildSA, 0, a.id[0]+1, false, ike.PayloadSA, 1380), f)
		a.dpd(1)
	}
}

// largeESP: every third packet of A is larger than a frame and has the fate, the others and those of B pass.
func largeESP(udp bool, f fate) func(*scene) {
	return func(s *scene) {
		s.sa(0).up()
		for i := range uint32(30) {
			if i%3 == 0 {
				s.esp(0, 0xa0000001, i+1, 1500, udp, f)
			} else {
				s.esp(0, 0xa0000001, i+1, 100, udp)
			}
			s.esp(1, 0xb0000001, i+1, 100, udp)
			s.wait(50 * time.Millisecond)
		}
	}
}

func sizeCases() []findingCase {
	return []findingCase{
		{"ip-fragments-lost", hit, "the second one", bigAuth(1), map[string]any{"direction": "A->B", "fragments_sent": 2, "fragments_seen": 1, "confidence": "certain"}},
		{"ip-fragments-lost", near, "all arrive", bigAuth(0), nil},
		{"ip-fragments-lost", near, "A's own capture lacks the second", func(s *scene) {
			a := s.sa(0)
			a.open()
			m := a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000)
			s.ike(0, 500, m, fate{mtu: 1480, hidden: true, keep: 1})
			s.ike(0, 500, m, fate{mtu: 1480, hidden: true, keep: 1})
		}, nil},
		{"ip-fragments-lost", hit, "of the first message", func(s *scene) {
			s.repeat(3, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{mtu: 160, keep: 1})
		}, map[string]any{"direction": "A->B", "confidence": "probable", "fragments_seen": 1}},
		{"ip-fragments-lost", near, "nothing of them arrives", func(s *scene) {
			s.repeat(3, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{mtu: 160, lost: true})
			s.repeat(3, 1, 500, s.sa(1).init(false, proposals(gcm(19))), fate{})
		}, nil},
		{"ip-fragments-lost", hit, "the second ones of ESP", largeESP(false, fate{mtu: 1480, keep: 1}),
			map[string]any{"direction": "A->B", "protocol": "ESP", "fragments_sent": 2, "fragments_seen": 1, "datagram_size": 1508}},
		{"ip-fragments-lost", hit, "the second ones of ESP in UDP", largeESP(true, fate{mtu: 1480, keep: 1}),
			map[string]any{"direction": "A->B", "protocol": "ESP in UDP", "fragments_sent": 2, "fragments_seen": 1, "datagram_size": 1516}},
		{"ip-fragments-lost", hit, "all of ESP, the small ones too", largeESP(false, fate{mtu: 1480, lost: true}),
			map[string]any{"direction": "A->B", "protocol": "ESP", "fragments_sent": 2, "fragments_seen": 0}},
		{"ip-fragments-lost", hit, "the second ones of AH", func(s *scene) {
			s.sa(0).up()
			for i := range uint32(30) {
				s.ah(0, 0xa0000001, i+1, 100+int(i%3/2)*1500, fate{mtu: 1480, keep: 1})
				s.ah(1, 0xb0000001, i+1, 100, fate{})
				s.wait(50 * time.Millisecond)
			}
		}, map[string]any{"direction": "A->B", "protocol": "AH", "fragments_sent": 2, "fragments_seen": 1}},
		{"ip-fragments-lost", near, "AH in fragments that arrive", func(s *scene) {
			s.sa(0).up()
			for i := range uint32(30) {
				s.ah(0, 0xa0000001, i+1, 100+int(i%3/2)*1500, fate{mtu: 1480})
				s.ah(1, 0xb0000001, i+1, 100, fate{})
				s.wait(50 * time.Millisecond)
			}
		}, nil},
		{"ip-fragments-lost", hit, "by the receiver's capture alone, which holds no further fragment", func(s *scene) {
			s.alone = true
			largeESP(false, fate{mtu: 1480, keep: 1})(s)
			s.rows[0], s.side[0] = s.rows[1], s.side[1]
		}, map[string]any{"direction": "B->A", "protocol": "esp", "fragments_seen": 1, "confidence": "possible"}},
		{"ip-fragments-lost", hit, "by the receiver's capture alone, which sends fragments itself", func(s *scene) {
			s.alone = true
			largeESP(true, fate{mtu: 1480, keep: 1})(s)
			s.esp(1, 0xb0000001, 31, 1500, true, fate{mtu: 1480})
			s.rows[0], s.side[0] = s.rows[1], s.side[1]
		}, map[string]any{"direction": "B->A", "protocol": "udp", "fragments_seen": 1, "confidence": "probable"}},
		{"ip-fragments-lost", near, "the only capture lacks its own router's fragments too", func(s *scene) {
			s.alone = true
			largeESP(false, fate{mtu: 1480, hidden: true, keep: 1})(s)
			s.rows[1] = nil
			for i := range uint32(6) {
				s.esp(0, 0xa0000001, 40+i, 1500, false, fate{mtu: 1480, keep: 1})
				s.esp(1, 0xb0000001, 40+i, 1500, false, fate{mtu: 1480, keep: 1})
			}
			first := mapRecords(s.rows[0], func(r record) []record {
				if fragmentOf(r.data) != 0 && binary.BigEndian.Uint16(r.data[20:])&0x1fff != 0 {
					return nil
				}
				return []record{r}
			})
			s.rows[0] = first
		}, nil},
		{"ip-fragments-lost", near, "ESP in fragments that arrive", largeESP(false, fate{mtu: 1480}), nil},
		{"ip-fragments-lost", near, "ESP in UDP in fragments that arrive", largeESP(true, fate{mtu: 1480}), nil},
		{"capture-filter-incomplete", near, "ESP in UDP in fragments", largeESP(true, fate{mtu: 1480}), nil},
		{"mtu-black-hole", near, "fragments of all sizes vanish", largeESP(false, fate{mtu: 1480, lost: true}), nil},
		{"ip-fragments-lost", near, "one of many is lost", func(s *scene) {
			s.sa(0).up()
			s.dialogue(40, 100*time.Millisecond, func(from, i int) fate {
				f := fate{}
				if from == 0 && i%2 == 0 {
					f.mtu = 64
				}
				if i == 20 {
					f.keep = 1
				}
				return f
			})
		}, nil},
		{"ip-fragments-lost", none, "nothing is fragmented", healthy, nil},

		{"ike-fragments-lost", hit, "the second of three", skf(lost, lost, lost), map[string]any{"direction": "A->B", "fragments_sent": 3, "fragments_seen": 2}},
		{"ike-fragments-lost", near, "it arrives in the second round", skf(lost, fate{}), nil},
		{"ike-fragments-lost", none, "nothing is fragmented", healthy, nil},

		{"packet-too-big", hit, "the next hop takes 1400", rejectedBy(3, 4), map[string]any{"direction": "A->B", "mtu": 1400, "reported_by": "203.0.113.1"}},
		{"packet-too-big", near, "another reason", rejectedBy(3, 13), nil},
		{"packet-too-big", none, "healthy", healthy, nil},

		{"mtu-black-hole", hit, "large ones vanish", largeRekey(5, lost), map[string]any{"direction": "A->B", "confidence": "probable"}},
		{"mtu-black-hole", near, "four are too few", largeRekey(4, lost), nil},
		{"mtu-black-hole", near, "small ones vanish too", blockedAtoB, nil},
		{"mtu-black-hole", none, "healthy", healthy, nil},

		{"ike-fragmentation-not-negotiated", hit, "and IP fragments are needed", bigAuth(0), map[string]any{"confidence": "certain"}},
		{"ike-fragmentation-not-negotiated", near, "both announce it", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19)), supported(ike.FragmentationSupported)))
			s.ike(1, 500, a.init(true, proposals(gcm(19)), supported(ike.FragmentationSupported)))
			s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000), fate{mtu: 1480})
		}, nil},
		{"ike-fragmentation-not-negotiated", none, "everything fits", healthy, nil},
	}
}

// What is advised against packets that are too large is what was measured; where only bounds are known, to measure it.
func TestAdvisedSizesFit(t *testing.T) {
	for name, want := range map[string][]string{
		"packet-too-big": {"crypto ikev2 fragmentation mtu 1000", "ip tcp adjust-mss 860"},
		"mtu-black-hole": {"ping 192.168.2.1 size 802 df-bit", "ping 192.168.2.1 size 901 df-bit"},
	} {
		var got []string
		for _, f := range variants()[0].compare(t, name).Findings {
			if f.Code != name {
				continue
			}
			for _, a := range f.Actions {
				got = append(got, a.Commands...)
			}
		}
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("%s: %q is not in %q", name, line, got)
			}
		}
		if configures := slices.ContainsFunc(got, func(c string) bool { return strings.Contains(c, "mtu") || strings.Contains(c, "mss") }); configures != (name == "packet-too-big") {
			t.Errorf("%s: %q", name, got)
		}
	}
}
