package diagnose

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// otherTunnelFails tells of tunnels that one capture alone holds and that do not come up, where
// nobody said which tunnel is meant: that another one works is no success of these.
func otherTunnelFails(j *judge) []report.Finding {
	var all []report.Finding
	for _, x := range j.othersFail() {
		name, remote := j.name(x.Side), x.Remote.String()
		var did string
		packets := 0
		var proof []report.Evidence
		for _, v := range x.Conversations {
			for _, m := range v.Messages {
				if at := m.Copy(x.Side); at != nil {
					packets += len(at.Sent())
				}
			}
			if len(proof) < MaxEvidence {
				proof = append(proof, evidence("it came to nothing", v.Messages[0])...)
			}
		}
		switch n := len(x.Conversations); {
		case n == 0:
			flow := x.Flow.At[x.Side]
			packets, did = flow.Packets, "protected traffic to "+remote+", from which nothing comes back"
			proof = []report.Evidence{{Side: sideOf(x.Side), Frame: int(flow.First.Frame),
				Note: "it leaves, and none comes back"}}
		case n == 1 && x.Refused:
			did = "a negotiation with " + remote + ", which was refused"
		case n == 1:
			did = "a negotiation with " + remote + ", which does not come up"
		default:
			did = fmt.Sprintf("%d negotiations with %s, of which none comes up", n, remote)
		}
		or, show := "the path drops it", []string{"show crypto session remote " + remote + " detail"}
		if heard := x.Heard(); heard != nil {
			or, show = "by an interface that was not captured", append(show, showErrors(heard.Version)...)
		} else {
			show = append(show, ofFamily("show ip route "+remote, remote))
		}
		confidence := report.Possible
		if x.Again || x.Refused {
			confidence = report.Probable
		}
		all = append(all, report.Finding{
			Confidence: confidence,
			Explanation: fmt.Sprintf("The capture of %s also holds %s, and the other capture holds nothing of that: it is with "+
				"another gateway, or %s. Nobody said which tunnel is meant: with addresses of both sides, or an "+
				"inventory, only theirs counts.", name, did, or),
			Evidence: proof,
			Actions:  []report.Action{j.exec(x.Side, "what became of it", show...)},
			Subject:  onSide(x.Side),
			Fields:   map[string]any{"addresses": []string{remote}, "packets": packets},
		})
	}
	return all
}

// GivenUp is a tunnel that fails, judged by itself, and after which a side came up with another one
// that shares an address with it.
type GivenUp struct {
	By       pair.Side     // who began it, and the other one
	Between  [2]netip.Addr // each side's own address
	Of       *pair.Case
	Findings []report.Finding // of it alone, the gravest first
}

// TellGivenUp adds to the findings of a case, in which the other tunnels are well, that a side gave
// some up for them. Their evidence is that of the findings of each alone.
func TellGivenUp(c *pair.Case, findings []report.Finding, some []GivenUp) []report.Finding {
	entry, _ := Explain("other-tunnel-fails")
	all := slices.Clone(findings)
	name := (&judge{c: c}).partyName
	for _, x := range some {
		i := slices.IndexFunc(x.Findings, func(f report.Finding) bool { return f.Severity != report.Info })
		if i < 0 {
			continue
		}
		lead, other := x.Findings[i], x.By.Other()
		remote, packets := x.Between[other].String(), 0
		for m := range x.Of.Messages() {
			if at := m.Copy(x.By); at != nil {
				packets += len(at.Sent())
			}
		}
		all = append(all, report.Finding{
			Code: "other-tunnel-fails", Title: entry.Title, Severity: entry.Severity, Confidence: report.Probable,
			Explanation: fmt.Sprintf("Before the tunnel that works %s tried one between %s and %s, which fails, and did not go "+
				"on with that: the one that works may be its backup. What fails there: %s", name(x.By),
				x.Between[x.By], remote, uncapital(firstSentence(lead.Explanation))),
			Evidence: lead.Evidence,
			Actions: []report.Action{{Side: sideOf(x.By), Device: c.Parties[x.By].Name, Mode: "exec",
				Commands: []string{"show crypto session remote " + remote + " detail"}, Why: "what became of it"}},
			Subject: onSide(x.By),
			Fields:  map[string]any{"addresses": []string{remote}, "packets": packets},
		})
		tellSubject(&all[len(all)-1])
	}
	rank(all)
	return all
}

// otherEnd is an address in the capture of a side.
type otherEnd struct {
	in   pair.Side
	addr netip.Addr
}

// othersFail is facts.OthersFail, asked for once.
func (j *judge) othersFail() []facts.OtherFails {
	if j.failing == nil {
		j.failing = map[otherEnd]bool{}
		j.othersThatFail = facts.OthersFail(j.ctx, j.c)
		for _, x := range j.othersThatFail {
			j.failing[otherEnd{x.Side, x.Remote}] = true
		}
	}
	return j.othersThatFail
}

// toldApart says whether what the capture of s holds with an address is told of by itself.
func (j *judge) toldApart(s pair.Side, remote netip.Addr) bool {
	j.othersFail()
	return j.failing[otherEnd{s, remote}]
}
