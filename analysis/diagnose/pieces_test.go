package diagnose_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// Where nothing but IP fragments is in both captures, these relate the clocks, however far they are
// apart: an initial message whose fragments are lost is told of in every case.
func TestFragmentsOfTheFirstMessageByAnyClock(t *testing.T) {
	first := scene.Fate{MTU: 128, Keep: 1}
	for _, ahead := range []time.Duration{0, 8 * time.Second, -time.Hour, time.Hour, 365 * 24 * time.Hour} {
		for from := range 2 {
			for _, six := range []bool{false, true} {
				for _, version := range []int{1, 2} {
					s := scene.New(t)
					if s.Ahead = ahead; six {
						s.Addr = scene.SixAddr
					}
					message := s.SA(from).Init(false, scene.Proposals(scene.GCM(19)))
					if a := s.V1(from); version == 1 {
						message = a.Message(ike.V1MainMode, from, 0, true, scene.SAv1(scene.Modern(14, 1)),
							&ike.BytesV1{Number: ike.V1PayloadVID, Data: make([]byte, 200)})
					}
					s.Repeat(4, from, 500, message, first)
					r := s.Compare()
					scene.Sound(t, r)
					want := map[string]any{"code": "ip-fragments-lost", "direction": []string{"A->B", "B->A"}[from],
						"confidence": "probable", "protocol": "IKE"}
					if found := scene.Flatten(t, r); !found.Has(want) {
						t.Errorf("IKEv%d of side %d, B's clock %v ahead, IPv6 %v: %v among %v", version, from, ahead, six,
							len(found.Of("ip-fragments-lost")), found.Codes())
					}
				}
			}
		}
	}
}

// A single piece that happens to have the identification of another datagram relates no clocks.
func TestOnePieceOfAnotherDatagramRelatesNoClocks(t *testing.T) {
	s := scene.New(t)
	s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.GCM(19))), scene.Fate{MTU: 128, Lost: true})
	s.Wait(time.Hour)
	s.ID--
	s.IKE(0, 500, s.SA(0).Init(false, scene.Proposals(scene.CBC(256, 14))), scene.Fate{MTU: 128, Hidden: true, Keep: 1})
	if r := s.Compare(); r.Clock != nil {
		t.Errorf("%+v", r.Clock)
	}
}

// The first fragment of ESP in UDP tells as much of the packet as that of plain ESP: what is said,
// and counted, is the same, of both captures and of each alone.
func TestFirstFragmentsOfESPCountInUDPToo(t *testing.T) {
	play := func(udp, six bool, from int, alone []int) (codes []string, flows string) {
		s := scene.New(t)
		if six {
			s.Addr = scene.SixAddr
		}
		s.SA(0).Up()
		for i := range uint32(60) {
			f, size := scene.Fate{MTU: 512}, 100
			if i%3 == 0 {
				size = 800 - map[bool]int{true: 8}[udp] // of the datagram, that the pieces are alike
			}
			if i > 10 {
				f.Keep = 1
			}
			s.ESP(from, 0xabcd0001, i+1, size, udp, f)
			s.ESP(1-from, 0xabcd0002, i+1, 100, udp)
			s.Wait(100 * time.Millisecond)
		}
		for _, side := range alone {
			s.Rows[side] = nil
			if s.Alone = true; side == 0 {
				s.OnlyB()
			}
		}
		r := s.Compare()
		scene.Sound(t, r)
		for _, f := range r.Flows {
			for _, at := range []*report.FlowSide{f.A, f.B} {
				if at != nil {
					flows += fmt.Sprintln(f.Direction, at.Packets, at.Pieces, at.FirstSeq, at.LastSeq, f.Lost)
				}
			}
		}
		return scene.Flatten(t, r).Codes(), flows
	}
	for _, six := range []bool{false, true} {
		for from := range 2 {
			for _, alone := range [][]int{nil, {0}, {1}} {
				codes, flows := play(false, six, from, alone)
				codesUDP, flowsUDP := play(true, six, from, alone)
				if !slices.Equal(codes, codesUDP) || flows != flowsUDP {
					t.Errorf("side %d, IPv6 %v, without %v: plain %v\n%sin UDP %v\n%s", from, six, alone, codes, flows,
						codesUDP, flowsUDP)
				}
			}
		}
	}
}

// A port that lets IP fragments through is not blocked, whatever else of it is lost.
func TestFragmentsThatArriveSpeakForThePort(t *testing.T) {
	for from := range 2 {
		for _, six := range []bool{false, true} {
			s := scene.New(t)
			if six {
				s.Addr = scene.SixAddr
			}
			a := s.SA(from)
			a.Open()
			for range 5 {
				s.IKE(from, 4500, a.SealedPart(ike.IKEAuth, from, 1, false, ike.PayloadIDi, 900, 1, 2), scene.Fate{MTU: 512})
				s.IKE(from, 4500, a.SealedPart(ike.IKEAuth, from, 1, false, ike.PayloadNone, 300, 2, 2), scene.Lost)
				s.Wait(2 * time.Second)
			}
			r := s.Compare()
			scene.Sound(t, r)
			found := scene.Flatten(t, r)
			direction := map[string]any{"code": "ike-fragments-lost", "direction": []string{"A->B", "B->A"}[from]}
			if len(found.Of("nat-t-blocked"))+len(found.Of("path-blocked")) > 0 || !found.Has(direction) {
				t.Errorf("side %d, IPv6 %v: %v", from, six, found.Codes())
			}
		}
	}
}
