package diagnose

import (
	"fmt"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

func icmpRejected(j *judge) []report.Finding {
	var all []report.Finding
	for _, r := range j.rejections {
		e := r.Errors[0]
		who := j.refuser(e)
		about := ""
		if e.Message != nil && e.Message.Conversation.Foreign {
			about = e.Message.Conversation.ID // it says nothing of the path to the peer
		}
		f := report.Finding{
			Confidence: report.Certain, Conversation: about,
			Explanation: fmt.Sprintf("%s refuses what %s sends (%s) and says so (%s): ICMP type %d code %d, %s.", who,
				j.name(r.Of), r.About, e.Meaning(), e.Type, e.Code, plural(len(r.Errors), "time", "times")),
			Evidence: []report.Evidence{{Side: sideOf(e.Side), Frame: int(e.Frame), Note: e.Meaning()}},
			Actions:  []report.Action{j.icmpAction(e, r.By.String())},
			Subject:  report.Subject{Direction: report.DirectionFrom(sideOf(r.Of)), Device: r.By},
			Fields: map[string]any{"icmp_type": int(e.Type), "icmp_code": int(e.Code), "meaning": e.Meaning(),
				"rejected_by": r.By.String()},
		}
		if e.Twin != nil {
			f.Evidence = append(f.Evidence,
				report.Evidence{Side: sideOf(e.Twin.Side), Frame: int(e.Twin.Frame), Note: e.Meaning()})
		}
		if r.Over(j.c) {
			f.Severity, f.Actions = report.Info, nil
			f.Title = "A device refused the packets at first"
			f.Explanation += " Later ones were answered, so that is over."
		}
		all = append(all, f)
	}
	return all
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
	case facts.Quoted(e) != "IKE" &&
		(unheard || e.V6 && e.Type == 4 && e.Code == 1 || !e.V6 && e.Type == 3 && e.Code == 2 && j.own(peer, from)):
		return j.exec(peer, "it takes no "+facts.Quoted(e)+": whether IPsec is applied to the interface, "+
			"and the SA is in the forwarding plane", j.toward(peer, "show crypto session detail", "show crypto ipsec sa peer %s",
			"show crypto map", "show platform hardware qfp active feature ipsec datapath drops")...)
	case unheard:
		return j.exec(peer, "IKE does not listen there: whether crypto is applied to the interface", "show udp",
			"show crypto map", showProfile(j.onlyV1()))
	case !e.V6 && e.Type == 3 && e.Code == 2:
		return path(e.Quoted, from+" does not take protocol 50 (ESP)", j.permit(e.Quoted, "esp", ""))
	}
	dst := e.ICMPError.Dst.String()
	a := j.exec(peer, from+" has no way to "+dst+": its routing table and neighbours",
		fmt.Sprintf(ofFamily("show ip route %s", dst), dst), fmt.Sprintf(ofFamily("show ip cef %s", dst), dst))
	a.Device, a.Where = from, onPath
	return a
}
