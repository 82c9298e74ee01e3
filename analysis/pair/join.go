package pair

import (
	"net/netip"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
)

// Options are what is known beside the captures.
type Options struct {
	Parties [2]Party  // Name, Interface, File, Known and KnownNAT are read
	Keys    *ike.Keys // opens encrypted messages; nil: none
	NoSwap  bool      // keep a for A and b for B, also where the addresses say otherwise
}

// Join makes one case of two stories. b is nil when only one capture was given.
func Join(a, b *exchange.Story, o Options) (*Case, error) {
	c := &Case{Parties: o.Parties}
	c.Parties[A].Story, c.Parties[B].Story = a, b
	return c, nil
}

var _ netip.Addr
