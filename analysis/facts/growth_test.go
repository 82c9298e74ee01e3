package facts_test

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/scene"
)

// The capture of a hub alone holds many peers, and each one's traffic is judged by the negotiations with it: not by those of all.
func TestTrafficOfManyPeersGrowsWithThem(t *testing.T) {
	const few, times, most = 250, 16, 64 // by the square it were 256
	took := func(peers int) time.Duration {
		s := scene.New(t)
		for i := range peers {
			s.Addr[1] = netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)})
			s.SA(i % 2).Up()
			s.ESP(0, 0xa0000000+uint32(i), 1, 100, false)
			s.ESP(1, 0xb0000000+uint32(i), 1, 100, false)
		}
		src, err := packet.NewReader(bytes.NewReader(scene.Pcap(s.Sorted(0))), packet.Options{})
		if err != nil {
			t.Fatal(err)
		}
		story, err := exchange.Read(t.Context(), src, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := pair.Join(t.Context(), story, nil, pair.Options{})
		if err != nil {
			t.Fatal(err)
		}
		best := time.Hour
		for range 5 {
			began := time.Now()
			traffic := facts.TrafficOf(c)
			_, _ = traffic.Lossy(), traffic.Fragments()
			if best = min(best, time.Since(began)); len(traffic.Peers) != peers {
				t.Fatalf("%d peers of %d", len(traffic.Peers), peers)
			}
		}
		return best
	}
	a, b := took(few), took(few*times)
	if b > most*a {
		t.Errorf("%d times the peers took %v instead of %v", times, b, a)
	}
}
