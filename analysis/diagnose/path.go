package diagnose

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// ports are those of IKE.
var ports = []uint16{500, 4500}

// stretch is what happened to the sendings of one side to one port, in order of time.
type stretch struct {
	side      pair.Side
	port      uint16
	sent      []sending
	lost      int
	missing   int // not at the receiver, for whatever reason
	delivered int
	tail      []sending // all since the last that arrived: nothing passes any more
	before    int       // how many were lost before the last that arrived
	noise     float64   // the part of the other direction that is lost in between what arrives there
	empty     bool      // the receiver's capture holds nothing of the tunnel, so that nothing proves that it worked
}

// sending is a transmission with its message.
type sending struct {
	*pair.Transmission
	message *pair.Message
	place   int // among those of the case
}

func (s sending) exchange() ike.ExchangeType { return s.message.Exchange }

// stretchOf gathers the unfragmented sendings of s to a port. Fragmented datagrams have their own
// findings, and what went to strangers says nothing about the path.
func (j *judge) stretchOf(s pair.Side, port uint16) stretch {
	key := [2]int{int(s), int(port)}
	st, ok := j.sent[key]
	if !ok {
		st = j.newStretch(s, port)
		j.sent[key] = st
	}
	return st
}

func (j *judge) newStretch(s pair.Side, port uint16) stretch {
	st := stretch{side: s, port: port}
	if to := j.c.Story(s.Other()); to != nil {
		st.empty = to.Counts.Tunnel() == 0 && len(to.Datagrams) == 0
	}
	for m, t := range j.c.Sent(s, port) {
		if m.Conversation != nil && m.Conversation.Foreign || fragmented(t) {
			continue
		}
		st.sent = append(st.sent, sending{t, m, len(st.sent)})
	}
	slices.SortFunc(st.sent, func(a, b sending) int {
		return cmp.Or(cmp.Compare(a.Aligned, b.Aligned), cmp.Compare(a.place, b.place))
	})
	for _, t := range st.sent {
		switch t.Fate {
		case pair.Lost:
			st.lost++
			st.tail = append(st.tail, t)
		case pair.Delivered:
			st.delivered++
			st.tail, st.before = nil, st.lost
		default:
			if t.Missing {
				st.tail = append(st.tail, t)
			}
		}
		if t.Missing {
			st.missing++
		}
	}
	return st
}

func fragmented(t *pair.Transmission) bool {
	for _, x := range t.At {
		if x != nil && len(x.Fragments) > 0 {
			return true
		}
	}
	return t.Partial != nil
}

// blocked says whether nothing of the stretch passes; or nothing any more after something did; or
// nothing of one exchange, again and again, while others do. Of the latter two, several sendings
// must be proven lost.
func (st stretch) blocked() (lost []sending, certain, ok bool) {
	if st.delivered == 0 && st.missing > 0 {
		return st.proven(), st.lost >= 2, st.missing == len(st.sent) && (st.lost > 0 || st.empty)
	}
	// The end of what was sent may be more than the capture covered: what it did cover decides.
	if lost := st.proven(); len(lost) > 0 && st.system(lost) {
		return lost, true, true
	}
	asked := map[ike.ExchangeType]bool{}
	for _, t := range st.sent {
		x := t.exchange()
		if asked[x] {
			continue
		}
		asked[x] = true
		if t.Fate != pair.Lost {
			continue
		}
		if all, whole := st.exchangeOf(x); whole && st.system(all) {
			return all, true, true
		}
	}
	return nil, false, false
}

// proven are the sendings of the tail that were lost while the receiver's capture worked; all where
// it holds nothing.
func (st stretch) proven() []sending {
	if st.empty {
		return st.tail
	}
	var all []sending
	for _, t := range st.tail {
		if t.Fate == pair.Lost {
			all = append(all, t)
		}
	}
	return all
}

// exchangeOf returns the sendings of an exchange when all of them were lost.
func (st stretch) exchangeOf(x ike.ExchangeType) (all []sending, whole bool) {
	for _, o := range st.sent {
		if o.exchange() == x && o.Fate != pair.Lost {
			return nil, false
		}
	}
	for _, o := range st.sent {
		if o.exchange() == x {
			all = append(all, o)
		}
	}
	return all, true
}

// system says whether the lost are no chance: three in a row, one of them repeated, unless the path
// loses so many of the other exchanges, or in the other direction, that as many are to be expected.
func (st stretch) system(lost []sending) bool {
	const fewest, rare = 3, 0.01
	for _, t := range lost {
		if t.Fate != pair.Lost {
			return false
		}
	}
	others, gone := 0, 0
	among := make(map[*pair.Transmission]bool, len(lost))
	for _, t := range lost {
		among[t.Transmission] = true
	}
	for _, t := range st.sent {
		if t.exchange() != lost[0].exchange() && !among[t.Transmission] {
			others++
			if t.Fate == pair.Lost {
				gone++
			}
		}
	}
	return len(lost) >= fewest && math.Pow(max(ratio(gone, others), st.noise), float64(len(lost))) <= rare
}

// protocol is what carries the stretch: UDP, or TCP (RFC 9329).
func (st stretch) protocol() string {
	return strings.ToLower(transport(st.sent[0].message))
}

// service is the protocol and port, for people.
func (st stretch) service() string {
	return fmt.Sprintf("%s %d", transport(st.sent[0].message), st.port)
}

// transport is what carries a message, for people.
func transport(m *pair.Message) string {
	for _, x := range m.Copies {
		if x != nil && x.TCP {
			return "TCP"
		}
	}
	return "UDP"
}

// phase names the exchange that the first of the lost packets belongs to.
func (st stretch) phase(lost []sending) string {
	if len(lost) == 0 {
		return ""
	}
	return lost[0].exchange().String()
}

// stretches are all that hold a sending, with what is known of the other direction.
func (j *judge) stretches() []stretch {
	var all []stretch
	if !j.c.TwoSided() {
		return nil
	}
	for _, s := range pair.Both {
		for _, p := range ports {
			if st := j.stretchOf(s, p); len(st.sent) > 0 {
				back := j.stretchOf(s.Other(), p)
				st.noise = ratio(back.before, len(back.sent)-len(back.tail))
				all = append(all, st)
			}
		}
	}
	return all
}

func natTBlocked(j *judge) []report.Finding {
	var all []report.Finding
	for _, st := range j.stretches() {
		lost, certain, ok := st.blocked()
		if st.port != 4500 || !ok || st.delivered > 0 || j.stretchOf(st.side, 500).delivered == 0 || j.refusedBy(st.side) {
			continue
		}
		from, to := j.name(st.side), j.name(st.side.Other())
		all = append(all, report.Finding{
			Confidence: certainIf(certain),
			Explanation: fmt.Sprintf("UDP 500 from %s reaches %s, UDP 4500 does not: %d sent, 0 arrived. "+
				"With a NAT in between, everything after IKE_SA_INIT travels on UDP 4500.", from, to, len(lost)),
			Evidence: lossOf(lost),
			Actions: []report.Action{
				path(st.side, "a filter between the two gateways drops UDP 4500", j.permitPort(st.side, "udp", 4500)),
				j.exec(st.side, "the way to the peer", j.toward(st.side, "traceroute %s", "show ip route %s")...),
			},
			Fields: map[string]any{"direction": st.side.Direction(), "lost": len(lost), "sent": len(lost)},
		})
	}
	return all
}

// lossOf is the evidence of what was lost.
func lossOf(lost []sending) []report.Evidence {
	all := make([]*pair.Transmission, len(lost))
	for i, t := range lost {
		all[i] = t.Transmission
	}
	return sights("sent, and not in the other capture", all...)
}

// permitPort is the line that a filter on the path needs, for what s sends to an IKE port.
func (j *judge) permitPort(s pair.Side, protocol string, port uint16) string {
	return j.permit(s, protocol, fmt.Sprintf("eq %d", port))
}

// refusedBy says whether an ICMP error tells already who refuses what s sends.
func (j *judge) refusedBy(s pair.Side) bool { return j.hasDirection(s, "icmp-rejected") }

func pathBlocked(j *judge) []report.Finding {
	var all []report.Finding
	for _, st := range j.stretches() {
		lost, certain, ok := st.blocked()
		if !ok || facts.Disjoint(j.c) {
			continue
		}
		if st.port == 4500 && j.hasDirection(st.side, "nat-t-blocked") {
			continue
		}
		sent := len(lost) // what the receiver's capture did not cover is not spoken of
		f := report.Finding{
			Confidence:  certainIf(certain && !facts.AnyEmpty(j.c)),
			Explanation: j.explainBlocked(st, lost, sent),
			Evidence:    lossOf(lost),
			Actions: []report.Action{
				path(st.side, "a device between the two gateways drops them: access lists, firewalls, routing",
					j.permitPort(st.side, st.protocol(), st.port)),
				j.exec(st.side, "the way to the peer", j.toward(st.side, "traceroute %s", "show ip route %s")...),
			},
			Fields: map[string]any{"direction": st.side.Direction(), "protocol": st.protocol(), "port": int(st.port),
				"phase": st.phase(lost), "lost": len(lost), "sent": sent},
		}
		j.unknownTarget(&f, st)
		all = append(all, f)
	}
	return all
}

func (j *judge) explainBlocked(st stretch, lost []sending, sent int) string {
	from, to := j.name(st.side), j.name(st.side.Other())
	text := fmt.Sprintf("%s from %s to %s is dropped between them: %d sent, 0 arrived", st.service(), from, to, sent)
	if st.delivered > 0 {
		text = fmt.Sprintf("%s from %s to %s passes at first and then no more: from %s on, %d sent, 0 arrived", st.service(),
			from, to, st.phase(lost), sent)
		if len(st.tail) == 0 || st.tail[0].Transmission != lost[0].Transmission {
			text = fmt.Sprintf("%s from %s to %s passes, but for %s: %d sent, 0 arrived", st.service(), from, to,
				st.phase(lost), sent)
		}
	}
	back := j.stretchOf(st.side.Other(), st.port)
	switch {
	case st.empty:
		return fmt.Sprintf("%s from %s to %s: %d sent, and nothing came back. The capture of %s is empty, "+
			"so whether the path drops them or that capture misses them cannot be told.",
			st.service(), from, to, sent, to)
	case back.delivered > 0:
		text += "; the other direction passes"
	case back.missing > 0:
		text += "; nor does the other direction pass"
	}
	return text + "."
}

func pathLoss(j *judge) []report.Finding {
	var all []report.Finding
	for _, st := range j.stretches() {
		if _, _, blocked := st.blocked(); blocked || st.lost == 0 || st.delivered == 0 {
			continue
		}
		var lost []sending
		for _, t := range st.sent {
			if t.Fate == pair.Lost {
				lost = append(lost, t)
			}
		}
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("%s from %s to %s: %d of %d packets %s lost between them.", st.service(), j.name(st.side),
				j.name(st.side.Other()), st.lost, len(st.sent), was(st.lost)),
			Evidence: lossOf(lost),
			Actions:  []report.Action{j.exec(st.side, "errors and drops on the WAN interface", j.showInterface(st.side)...)},
			Fields: map[string]any{"direction": st.side.Direction(), "protocol": st.protocol(), "port": int(st.port),
				"lost": st.lost, "sent": len(st.sent), "loss_ratio": ratio(st.lost, len(st.sent))},
		})
	}
	return all
}

func ratio(n, of int) float64 {
	if of == 0 {
		return 0
	}
	return float64(int(float64(n)/float64(of)*1e4+0.5)) / 1e4
}

func icmpRejected(j *judge) []report.Finding {
	type key struct {
		from, direction, about string
		typ, code              uint8
	}
	of := map[key][]pair.ICMP{}
	var order []key
	for _, e := range j.c.ICMP {
		if !e.Mine || e.TooBig() {
			continue
		}
		k := key{e.Sight.Src.Addr().String(), e.Quoted.Direction(), quotedKind(e), e.Type, e.Code}
		if of[k] = append(of[k], e); len(of[k]) == 1 {
			order = append(order, k)
		}
	}
	var all []report.Finding
	for _, k := range order {
		e := of[k][0]
		who := j.refuser(e)
		about := ""
		if e.Message != nil && e.Message.Conversation.Foreign {
			about = e.Message.Conversation.ID // it says nothing of the path to the peer
		}
		f := report.Finding{
			Confidence: report.Certain, Conversation: about,
			Explanation: fmt.Sprintf("%s refuses what %s sends (%s) and says so (%s): ICMP type %d code %d, %s.", who,
				j.name(e.Quoted), k.about, e.Meaning(), k.typ, k.code, plural(len(of[k]), "time", "times")),
			Evidence: []report.Evidence{{Side: sideOf(e.Side), Frame: e.Frame, Note: e.Meaning()}},
			Actions:  []report.Action{j.icmpAction(e, k.from)},
			Fields: map[string]any{"icmp_type": int(k.typ), "icmp_code": int(k.code), "meaning": e.Meaning(),
				"rejected_by": k.from, "direction": k.direction},
		}
		if e.Twin != nil {
			f.Evidence = append(f.Evidence, report.Evidence{Side: sideOf(e.Twin.Side), Frame: e.Twin.Frame, Note: e.Meaning()})
		}
		if j.answeredLater(of[k]) {
			f.Severity, f.Actions = report.Info, nil
			f.Title = "A device refused the packets at first"
			f.Explanation += " Later ones were answered, so that is over."
		}
		all = append(all, f)
	}
	return all
}

// quotedKind says what kind of packet an ICMP error is about.
func quotedKind(e pair.ICMP) string {
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

// answeredLater says whether what ICMP errors are about got through later: IKE that was answered,
// and no error after it.
func (j *judge) answeredLater(all []pair.ICMP) bool {
	last := all[len(all)-1]
	if quotedKind(last) != "IKE" {
		return false
	}
	at := j.c.Aligned(last.Nanos, last.Side)
	for m := range j.c.Messages() {
		if r := m.AnsweredBy; m.From == last.Quoted && r != nil && !m.Conversation.Foreign &&
			r.Transmissions[0].Aligned > at {
			return true
		}
	}
	return false
}

// refuser names who sent an ICMP error: the side itself, when the address is its own, or the NAT
// before it, when it is the translated one and the side's own capture does not hold the error.
func (j *judge) refuser(e pair.ICMP) string {
	from := e.Sight.Src.Addr().String()
	for _, s := range pair.Both {
		switch {
		case j.own(s, from), e.Twin != nil && j.own(s, e.Twin.Src.Addr().String()):
			return j.name(s)
		case j.byNAT(e, s):
			return "The NAT before " + j.name(s)
		case from == j.seenAs(s):
			return j.name(s) + ", or the NAT before it,"
		}
	}
	return from
}

func (j *judge) byNAT(e pair.ICMP, s pair.Side) bool {
	from := e.Sight.Src.Addr().String()
	return e.Side != s && from == j.seenAs(s) && !j.own(s, from) && j.c.Story(s) != nil && len(j.c.Story(s).ICMP) == 0
}

func (j *judge) icmpAction(e pair.ICMP, from string) report.Action {
	peer := e.Quoted.Other()
	unheard := !e.V6 && e.Code == 3 && e.Type == 3 || e.V6 && e.Type == 1 && e.Code == 4
	switch {
	case j.byNAT(e, peer):
		a := j.exec(peer, "the NAT has no mapping for it, or no longer: keepalives on the side behind it, "+
			"or static mappings of UDP 500 and 4500", "show ip nat translations")
		a.Device, a.Where = from, onPath
		return a
	case e.Prohibited():
		return path(e.Quoted, "the filter on "+from+" must let UDP 500, UDP 4500 and protocol 50 pass",
			j.permitPort(e.Quoted, "udp", 500), j.permitPort(e.Quoted, "udp", 4500), j.permit(e.Quoted, "esp", ""))
	case quotedKind(e) != "IKE" &&
		(unheard || e.V6 && e.Type == 4 && e.Code == 1 || !e.V6 && e.Type == 3 && e.Code == 2 && j.own(peer, from)):
		return j.exec(peer, "it takes no "+quotedKind(e)+": whether IPsec is applied to the interface, "+
			"and the SA is in the forwarding plane", j.toward(peer, "show crypto session detail", "show crypto ipsec sa peer %s",
			"show crypto map", "show platform hardware qfp active feature ipsec datapath drops")...)
	case unheard:
		return j.exec(peer, "IKE does not listen there: whether crypto is applied to the interface", "show udp",
			"show crypto map", "show crypto ikev2 profile")
	case !e.V6 && e.Type == 3 && e.Code == 2:
		return path(e.Quoted, from+" does not take protocol 50 (ESP)", j.permit(e.Quoted, "esp", ""))
	}
	dst := e.ICMPError.Dst.String()
	a := j.exec(peer, from+" has no way to "+dst+": its routing table and neighbours",
		fmt.Sprintf(ofFamily("show ip route %s", dst), dst), fmt.Sprintf(ofFamily("show ip cef %s", dst), dst))
	a.Device, a.Where = from, onPath
	return a
}
