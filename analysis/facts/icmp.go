package facts

import (
	"net/netip"

	"github.com/moncap/moncap/analysis/pair"
)

// Rejection is what a device answers, in ICMP errors of one type and code, to packets of one kind
// that a side sends. That something is too big is no rejection.
type Rejection struct {
	By     netip.Addr
	Of     pair.Side // who sent the packets
	About  string    // see Quoted
	Errors []pair.ICMP
}

// Rejections lists who refuses what of the tunnel, in the order of the first errors.
func Rejections(c *pair.Case) []Rejection {
	type key struct {
		by        netip.Addr
		of        pair.Side
		about     string
		typ, code uint8
	}
	at := map[key]int{}
	var all []Rejection
	for _, e := range c.ICMP {
		if !e.Mine || e.TooBig() {
			continue
		}
		k := key{e.Sight.Src.Addr(), e.Quoted, Quoted(e), e.Type, e.Code}
		i, known := at[k]
		if !known {
			i, at[k] = len(all), len(all)
			all = append(all, Rejection{By: k.by, Of: k.of, About: k.about})
		}
		all[i].Errors = append(all[i].Errors, e)
	}
	return all
}

// Rejected says whether a device refuses what s sends, and says so.
func Rejected(all []Rejection, s pair.Side) bool {
	for _, r := range all {
		if r.Of == s {
			return true
		}
	}
	return false
}

// Over says whether what was refused got through later: IKE that was answered, and no error after
// it.
func (r Rejection) Over(c *pair.Case) bool {
	last := r.Errors[len(r.Errors)-1]
	if r.About != "IKE" {
		return false
	}
	at := c.Aligned(last.Nanos, last.Side)
	for m := range c.Messages() {
		a := m.AnsweredBy()
		if m.From == r.Of && a != nil && !m.Conversation.Foreign && a.Transmissions()[0].Aligned > at {
			return true
		}
	}
	return false
}

// Quoted is what kind of packet an ICMP error is about: "IKE", "ESP", "ESP in UDP" or "AH".
func Quoted(e pair.ICMP) string {
	const esp, ah = 50, 51
	switch {
	case e.ICMPError.Proto == esp:
		return "ESP"
	case e.ICMPError.Proto == ah:
		return "AH"
	case e.Message == nil && e.SPI != 0:
		return "ESP in UDP"
	}
	return "IKE"
}

// TooBig lists the ICMP errors that say that packets of the tunnel do not fit, one of each device,
// side and size.
func TooBig(c *pair.Case) []pair.ICMP {
	type key struct {
		by  netip.Addr
		of  pair.Side
		mtu int
	}
	seen := map[key]bool{}
	var all []pair.ICMP
	for _, e := range c.ICMP {
		k := key{e.Sight.Src.Addr(), e.Quoted, e.MTU}
		if e.Mine && e.TooBig() && !seen[k] {
			seen[k] = true
			all = append(all, e)
		}
	}
	return all
}
