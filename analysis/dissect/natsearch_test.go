package dissect

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/testdata"
)

// Whoever ends a search gets no output that looks like all there is.
func TestEndedSearchIsAnError(t *testing.T) {
	in, err := testdata.Load("nat")
	if err != nil {
		t.Fatal(err)
	}
	r, err := packet.NewReader(bytes.NewReader(in.B), packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	err = Packets(ctx, io.Discard, r, Options{Form: Tree, SearchNAT: true, Searching: func(int, int) { cancel(why) }})
	if !errors.Is(err, why) {
		t.Errorf("%v, want %v", err, why)
	}
}

// A search takes seconds: each hash is searched for once, an address that was found is tried first,
// and there are so many.
func TestNATSearchesAreBounded(t *testing.T) {
	spi := func(b byte) ike.SPI { return ike.SPI(b) }
	inside := netip.MustParseAddrPort("192.168.0.7:500")
	hash := func(b byte, a netip.AddrPort) []byte {
		h := ike.NATDHash(spi(b), spi(9), a.Addr(), a.Port())
		return h[:]
	}
	began := 0
	s := &natSearch{most: 1, results: map[string]netip.AddrPort{}, progress: func(int, int) { began++ }}
	for _, tt := range []struct {
		b      byte
		of     netip.AddrPort
		want   netip.AddrPort
		gaveUp bool
	}{
		{1, inside, inside, false},
		{1, inside, inside, false}, // once more, of a retransmission
		{2, netip.MustParseAddrPort("192.168.0.7:4500"), netip.MustParseAddrPort("192.168.0.7:4500"), false},
		{3, netip.MustParseAddrPort("192.168.0.8:500"), netip.AddrPort{}, true},
	} {
		from, gaveUp := s.find(t.Context(), hash(tt.b, tt.of), spi(tt.b), spi(9))
		if from != tt.want || gaveUp != tt.gaveUp {
			t.Errorf("%d of %s: %s, gave up: %t", tt.b, tt.of, from, gaveUp)
		}
	}
	if began != 1 {
		t.Errorf("%d searches began", began)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	s.most = 2
	from, gaveUp := s.find(over, hash(4, netip.MustParseAddrPort("10.1.1.1:500")), spi(4), spi(9))
	if from.IsValid() || !gaveUp {
		t.Errorf("interrupted: %s, gave up: %t", from, gaveUp)
	}
}
