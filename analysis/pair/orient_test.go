package pair

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// calm is a path on which nothing goes wrong.
func calm() *path {
	return &path{rnd: rand.New(rand.NewPCG(3, 4)), delay: [2]int64{10e6, 12e6}, jitter: 1e5}
}

// talk plays a few answered exchanges that A begins.
func (n *path) talk(exchanges int) {
	now := start
	for i := range uint32(exchanges) {
		request := n.ikePacket(77, 78, A, A, ike.Informational, i, false)
		now = n.exchange(A, now, request, n.ikePacket(77, 78, B, A, ike.Informational, i, true), true) + 1e9
	}
}

func TestOrientation(t *testing.T) {
	for _, c := range []struct {
		name string
		path path
	}{
		{"a router between", path{}},
		{"no router between", path{flat: true}},
		{"no router, clocks apart", path{flat: true, offset: -7200e9}},
		{"A translated", path{nat: true}},
		{"both translated", path{nat: true, natB: true}},
		{"both translated, no router counts", path{nat: true, natB: true, flat: true, port: 20001}},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := calm()
			n.flat, n.offset, n.nat, n.natB, n.port = c.path.flat, c.path.offset, c.path.nat, c.path.natB, c.path.port
			n.talk(4)
			got := mustJoin(t, n)
			for s, want := range map[Side]netip.Addr{A: addressA, B: addressB} {
				if own := got.Parties[s].Addresses; !slices.Equal(own, []netip.Addr{want}) {
					t.Errorf("%s owns %v, want %s", s, own, want)
				}
			}
			for m := range got.Messages() {
				if (m.From == A) != (m.Kind == exchange.Request) {
					t.Errorf("message %d %s is from %s", m.MessageID, m.Kind, m.From)
				}
			}
			if got.Translates(A) != n.nat || got.Translates(B) != n.natB {
				t.Errorf("translates A %v, B %v; want %v, %v", got.Translates(A), got.Translates(B), n.nat, n.natB)
			}
		})
	}
}

func TestSwappedFilesAreExchanged(t *testing.T) {
	n := calm()
	n.talk(2)
	a, b := n.stories(t)
	o := Options{Parties: [2]Party{{Name: "site-a", File: "one", Known: addressA},
		{Name: "site-b", File: "two", Known: addressB}}}
	c, err := Join(context.Background(), b, a, o)
	if err != nil {
		t.Fatal(err)
	}
	if !c.Swapped || c.Story(A) != a || c.Parties[A].File != "two" || c.Parties[A].Name != "site-a" {
		t.Errorf("swapped %v, A is %q of %s; want the files exchanged under their names", c.Swapped, c.Parties[A].File,
			c.Parties[A].Name)
	}
	o.NoSwap = true
	if c, err = Join(context.Background(), b, a, o); err != nil || c.Swapped {
		t.Errorf("with NoSwap: swapped %v, error %v", c.Swapped, err)
	}
	o.NoSwap = false
	if c, err = Join(context.Background(), a, b, o); err != nil || c.Swapped {
		t.Errorf("in the right order: swapped %v, error %v", c.Swapped, err)
	}
}

// TestSameCaptureTwice: two equal files, as a builder without a path writes them,
// are still two sides.
func TestSameCaptureTwice(t *testing.T) {
	n := calm()
	n.talk(3)
	n.sent[B] = slices.Clone(n.sent[A])
	c := mustJoin(t, n)
	a, b := c.Parties[A].Addresses, c.Parties[B].Addresses
	if len(a) != 1 || len(b) != 1 || a[0] == b[0] {
		t.Fatalf("A owns %v, B %v; want one address each", a, b)
	}
	if c.Counts.Lost != [2]int{} || c.Counts.Matched != 6 {
		t.Errorf("counts %+v, want 6 matched and nothing lost", c.Counts)
	}
}

func TestOneCapture(t *testing.T) {
	n := calm()
	n.talk(3)
	a, _ := n.stories(t)
	c, err := Join(context.Background(), a, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c.TwoSided() || c.Clock != nil {
		t.Errorf("two-sided %v, clock %v; want neither", c.TwoSided(), c.Clock)
	}
	if own, other := c.Parties[A].Addresses, c.Parties[B].Addresses; !slices.Equal(own, []netip.Addr{addressA}) ||
		!slices.Equal(other, []netip.Addr{addressB}) {
		t.Errorf("A owns %v, B %v", own, other)
	}
	if got := c.Tally(A); got.Lost != 0 || got.Sent != 3 {
		t.Errorf("tally %+v, want 3 sent and nothing called lost", got)
	}
}

// TestSearchedAddress: from the receiver's capture alone, the address behind the NAT is found by
// its hash.
func TestSearchedAddress(t *testing.T) {
	n := calm()
	n.nat = true
	hash := ike.NATDHash(77, 0, addressA, 500)
	m := &ike.Message{
		Header: ike.Header{SPIi: 77, Version: 0x20, Exchange: ike.IKESAInit, Flags: ike.FlagInitiator},
		Payloads: []ike.Payload{&ike.Nonce{Data: make([]byte, 32)},
			&ike.Notify{Number: ike.NATDetectionSourceIP, Data: hash[:]}},
	}
	b, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := n.ikePacket(77, 0, A, A, ike.IKESAInit, 0, false)
	p.SrcPort, p.DstPort, p.Marker, p.Payload = 500, 500, false, b
	n.send(A, start, p, true)
	_, story := n.stories(t)
	c, err := Join(context.Background(), story, nil, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Collect(c.Conversations[0].Messages[0].NATD())
	want := NATD{Source: true, Address: netip.AddrPortFrom(addressA, 500), How: "search"}
	if len(got) != 1 || got[0] != want {
		t.Errorf("NAT detection %+v, want %+v", got, want)
	}
}
