package diagnose

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func icmpRejected(j *judge) []report.Finding {
	var all []report.Finding
	for _, r := range j.rejections {
		e := r.Errors[0]
		who, to := j.refuser(e), ""
		if elsewhere := j.notToPeer(e); elsewhere != "" {
			to = " to " + elsewhere
		}
		about := ""
		if e.Message != nil && e.Message.Conversation.Foreign && !r.Stranger {
			about = e.Message.Conversation.ID // it says nothing of the path to the peer
		}
		told := slices.ContainsFunc(r.Errors, func(e pair.ICMP) bool { return !e.Inferred })
		f := report.Finding{
			Confidence: certainIf(told), Conversation: about,
			Explanation: fmt.Sprintf("%s refuses what %s sends%s (%s) and says so (%s): ICMP type %d code %d, %s.", who,
				j.name(r.Of), to, r.About, e.Meaning(), e.Type, e.Code, plural(len(r.Errors), "time", "times")),
			Evidence: []report.Evidence{{Side: sideOf(e.Side), Frame: int(e.Frame), Note: e.Meaning()}},
			Actions:  j.icmpActions(e, r.By.String()),
			Subject:  report.Subject{Direction: report.DirectionFrom(sideOf(r.Of)), Device: r.By},
			Fields: map[string]any{"icmp_type": int(e.Type), "icmp_code": int(e.Code), "meaning": e.Meaning(),
				"rejected_by": r.By.String()},
		}
		if e.Reassembly() {
			f.Title = "Fragments of the packets do not all arrive"
			f.Explanation = fmt.Sprintf("%s got some of the IP fragments of what %s sends%s (%s), waited for the others in "+
				"vain and says so (%s): ICMP type %d code %d, %s.", who, j.name(r.Of), to, r.About, e.Meaning(), e.Type, e.Code,
				plural(len(r.Errors), "time", "times"))
		}
		if !told {
			f.Explanation += " The capture cut off which ports it is about; this is what had just gone there."
		}
		if e.Twin != nil {
			f.Evidence = append(f.Evidence,
				report.Evidence{Side: sideOf(e.Twin.Side), Frame: int(e.Twin.Frame), Note: e.Meaning()})
		}
		if r.Stranger {
			f.Severity, f.Subject.Apart = report.Warning, true
			f.Title = "A device refuses what goes to another gateway"
			f.Explanation += " That is no part of the tunnel that is judged, and nobody said which tunnel is meant."
		}
		if r.Over(j.c) {
			f.Severity, f.Actions = report.Info, nil
			f.Title = "A device refused the packets at first"
			f.Explanation += " Later ones were answered, so that is over."
			if e.Reassembly() {
				f.Title = "Fragments of the packets did not all arrive at first"
			}
		}
		all = append(all, f)
	}
	return all
}

// notToPeer is where the packet goes that an error quotes, where that is somebody else than the
// other side; empty where it is not, or is not known.
func (j *judge) notToPeer(e pair.ICMP) string {
	to := e.ICMPError.Dst
	peer := &j.c.Parties[e.Quoted.Other()]
	if !to.IsValid() || e.DstLen > 0 || len(peer.Addresses) == 0 || peer.Is(to) || slices.Contains(peer.Translated, to) {
		return ""
	}
	return to.String()
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

// icmpActions are where to look for why the device from refuses what e quotes: first at the sender,
// where it may be meant for somebody else.
func (j *judge) icmpActions(e pair.ICMP, from string) []report.Action {
	to := j.notToPeer(e)
	switch {
	case e.Reassembly():
		pass := path(e.Quoted, "let IP fragments to "+e.ICMPError.Dst.String()+" pass",
			j.permit(e.Quoted, "udp", "fragments"))
		if e.Message == nil {
			return []report.Action{pass}
		}
		return append(j.withoutFragments(e.Message), pass)
	case to == "":
		return []report.Action{j.icmpAction(e, from)}
	}
	why := j.exec(e.Quoted, "why it sends to "+to+", and whether that is the peer that is meant",
		"show crypto session remote "+to+" detail", ofFamily("show ip route "+to, to))
	at := j.icmpAction(e, from)
	if at.Where == "" { // not the other side, which has nothing to do with it
		at.Device, at.Where = from, onPath
	}
	return []report.Action{why, at}
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
		what, lines := j.permitRefused(e)
		return path(e.Quoted, "the filter on "+from+" must let "+what+" pass", lines...)
	case facts.Quoted(e) != "IKE" &&
		(unheard || e.V6 && e.Type == 4 && e.Code == 1 || !e.V6 && e.Type == 3 && e.Code == 2 && j.own(peer, from)):
		return j.exec(peer, "it takes no "+facts.Quoted(e)+": whether IPsec is applied to the interface, "+
			"and the SA is in the forwarding plane", j.toward(peer, "show crypto session detail", "show crypto ipsec sa peer %s",
			"show crypto map", "show platform hardware qfp active feature ipsec datapath drops")...)
	case unheard:
		return j.exec(peer, "IKE does not listen there: whether crypto is applied to the interface", "show udp",
			"show crypto map", showProfile(j.onlyV1()))
	case !e.V6 && e.Type == 3 && e.Code == 2:
		what := facts.Quoted(e)
		_, lines := j.permitRefused(e)
		if what == "ESP" || what == "AH" {
			what, lines = fmt.Sprintf("protocol %d (%s)", e.ICMPError.Proto, what), lines[len(lines)-1:]
		}
		return path(e.Quoted, from+" does not take "+what, lines...)
	}
	dst := e.ICMPError.Dst.String()
	why := " has no way to " + dst + ": its routing table and neighbours"
	if e.HopsExceeded() {
		why = " had it when its hops were used up, so that routers pass it in circles: the way to " + dst + ", hop by hop"
	}
	a := j.exec(peer, from+why,
		fmt.Sprintf(ofFamily("show ip route %s", dst), dst), fmt.Sprintf(ofFamily("show ip cef %s", dst), dst))
	a.Device, a.Where = from, onPath
	return a
}

// permitRefused are the lines that a filter needs to let pass what an error quotes, and what
// belongs to it; and what that is.
func (j *judge) permitRefused(e pair.ICMP) (what string, lines []string) {
	const tcp, ah, ike, float = 6, 51, 500, 4500
	w, to := j.refusedWay(e), e.ICMPError.DstPort
	if e.ICMPError.Proto == tcp {
		to = cmp.Or(to, float) // the quote may be cut before it (RFC 9329: 4500)
		return fmt.Sprintf("TCP %d", to), []string{w.permitSent("tcp", e.ICMPError.SrcPort, to)}
	}
	for _, port := range []uint16{ike, float} {
		there := port
		if to != 0 && !isIKE(to) { // towards a NAT that changed it
			there = to
		}
		lines = append(lines, w.permitSent("udp", port, there))
	}
	if e.ICMPError.Proto == ah {
		return "UDP 500, UDP 4500 and protocol 51", append(lines, w.permit("ahp", "", ""))
	}
	return "UDP 500, UDP 4500 and protocol 50", append(lines, w.permit("esp", "", ""))
}

// refusedWay is the way of what an error quotes, as a device beyond the sender's NAT sees it.
func (j *judge) refusedWay(e pair.ICMP) way {
	w, sender := j.wayOf(e.Quoted), &j.c.Parties[e.Quoted]
	if src := e.ICMPError.Src; src.IsValid() && (!sender.Is(src) || w.from == j.address(e.Quoted)) {
		w.from = src.String() // else what its NAT makes of it
	}
	if dst := e.ICMPError.Dst; dst.IsValid() && e.DstLen == 0 {
		w.to = dst.String()
	}
	return w
}
