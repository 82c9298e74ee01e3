package facts_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/scene"
)

// The capture of a hub alone holds many peers, and each one's traffic is judged by the negotiations
// with it, not by those of all: what one peer costs stays the same when there are more.
func BenchmarkTrafficOfManyPeers(b *testing.B) {
	for _, peers := range []int{250, 4000} {
		b.Run(fmt.Sprint(peers), func(b *testing.B) {
			c := hub(b, peers)
			for b.Loop() {
				traffic := facts.TrafficOf(c)
				_, _ = traffic.Lossy(), traffic.Fragments()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*peers), "ns/peer")
		})
	}
}

func TestTrafficOfManyPeers(t *testing.T) {
	const peers = 250
	got := facts.TrafficOf(hub(t, peers))
	if len(got.Peers) != peers || len(got.Lossy()) != 0 {
		t.Errorf("%d peers of %d, %d of them lossy", len(got.Peers), peers, len(got.Lossy()))
	}
	for _, p := range got.Peers {
		if n := facts.Negotiations(p); n != 1 {
			t.Fatalf("the traffic with %s is judged by %d negotiations, not by its own", p.Remote, n)
		}
	}
}

// hub is the capture of a hub alone, with a tunnel and traffic for each of its peers.
func hub(t testing.TB, peers int) *pair.Case {
	s := scene.New(t)
	for i := range peers {
		s.Addr[1] = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
		s.SA(i % 2).Up()
		s.ESP(0, 0xa0000000+uint32(i), 1, 100, false)
		s.ESP(1, 0xb0000000+uint32(i), 1, 100, false)
	}
	return caseOf(t, s)
}

// BenchmarkBlocked tells what one SA costs of which nothing arrives, where each capture holds one
// direction only: that stays the same when there are more.
func BenchmarkBlocked(b *testing.B) {
	for _, n := range []int{250, 16000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := scene.New(b)
			for i := range n {
				for seq := range 12 {
					s.ESP(0, 0xb0000000+uint32(i), uint32(seq+1), 100, false, scene.Lost)
				}
				s.ESP(1, 0xa0000000+uint32(i), 1, 100, false, scene.Lost)
			}
			c, err := pair.Join(b.Context(), storyOf(b, s, 0), storyOf(b, s, 1), pair.Options{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if got := len(facts.TrafficOf(c).Blocked()); got < n/2 {
					b.Fatalf("%d of %d SAs are blocked", got, n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/SA")
		})
	}
}

// BenchmarkVersions tells what one refusal costs whose request nobody sent, as can be forged by
// the thousand: that stays the same when there are more.
func BenchmarkVersions(b *testing.B) {
	for _, n := range []int{250, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := scene.New(b)
			for range n {
				s.IKE(1, 500, s.SA(0).Refusal(ike.InvalidMajorVersion))
			}
			c := caseOf(b, s)
			talks := facts.Talks(b.Context(), c, [2]facts.Config{})
			for b.Loop() {
				if got := facts.Versions(c.Remotes(), talks).All; len(got) != 1 || !got[0].Unasked {
					b.Fatalf("%+v", got)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/refusal")
		})
	}
}

// BenchmarkSaidAtLast tells what one negotiation of IKEv1 costs behind which the responder says
// what is no greeting, moments before the captures end, as can be forged by the thousand: that
// stays the same when there are more.
func BenchmarkSaidAtLast(b *testing.B) {
	for _, n := range []int{1000, 16000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := scene.New(b)
			for range n {
				from := s.Now
				a := s.V1(0).Aggressive()
				s.IKE(1, 500, a.SealedInfoOf(1, 0x900, 48))
				s.Now = from + 50*time.Microsecond
			}
			c := caseOf(b, s)
			for b.Loop() {
				talks := facts.Talks(b.Context(), c, [2]facts.Config{})
				if len(talks) != n || talks[n-1].End != facts.AuthRefused {
					b.Fatalf("%d talks, want %d that are refused", len(talks), n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/negotiation")
		})
	}
}

// caseOf is what the capture of A alone makes of a scene.
func caseOf(t testing.TB, s *scene.Scene) *pair.Case {
	t.Helper()
	c, err := pair.Join(t.Context(), storyOf(t, s, 0), nil, pair.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func storyOf(t testing.TB, s *scene.Scene, side int) *exchange.Story {
	t.Helper()
	src, err := packet.NewReader(bytes.NewReader(scene.Pcap(s.Sorted(side))), packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	story, err := exchange.Read(t.Context(), src, nil)
	if err != nil {
		t.Fatal(err)
	}
	return story
}

// BenchmarkBegan tells what it costs to ask one of many tunnels when it began, of which each was
// asked for another group first and came again when all others had: that stays the same when there
// are more.
func BenchmarkBegan(b *testing.B) {
	for _, n := range []int{250, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := scene.New(b)
			for again := range 2 {
				for i := range n {
					s.Addr[1] = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
					a := s.SA(0)
					s.IKE(0, 500, a.Init(false, scene.Proposals(scene.GCM(14+uint16(again)))))
					if again == 0 {
						s.IKE(1, 500, a.Refusal(ike.InvalidKEPayload, 0, 15))
					} else {
						s.IKE(1, 500, a.Init(true, scene.Proposals(scene.GCM(15))))
					}
					s.Now -= 39 * time.Millisecond
				}
			}
			talks := facts.Talks(b.Context(), caseOf(b, s), [2]facts.Config{})
			for b.Loop() {
				early := 0
				for _, t := range talks {
					if t.Began() < t.First {
						early++
					}
				}
				if early != n {
					b.Fatalf("%d of %d began with the attempt before", early, n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/tunnel")
		})
	}
}

// BenchmarkRemotes tells what it costs to ask which peer each of many tunnels is with, of one
// capture alone: who is who is found out once, and that the same for each when there are more.
func BenchmarkRemotes(b *testing.B) {
	for _, n := range []int{250, 4000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			c := hub(b, n)
			for b.Loop() {
				peers := map[netip.Addr]bool{}
				for _, v := range c.Conversations {
					peers[c.Remotes().With(v)] = true
				}
				if len(peers) != n {
					b.Fatalf("%d peers of %d", len(peers), n)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/tunnel")
		})
	}
}

// BenchmarkOver tells what one of many requests costs behind an ICMP error, to which nothing is
// said any more: that stays the same when there are more.
func BenchmarkOver(b *testing.B) {
	for _, n := range []int{500, 8000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := scene.New(b)
			a := s.SA(0).Up()
			s.IKE(0, 500, a.Sealed(ike.Informational, 0, 2, false, ike.PayloadNone, 0))
			s.ICMP(0, scene.B.String(), 3, 3, 0)
			for i := range uint32(n) {
				s.IKE(1, 500, a.Sealed(ike.Informational, 1, i, false, ike.PayloadNone, 0))
			}
			c := caseOf(b, s)
			all := facts.Rejections(c)
			for b.Loop() {
				if len(all) != 1 || all[0].Over(c) {
					b.Fatalf("%d rejections, want one that is not over", len(all))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/request")
		})
	}
}
