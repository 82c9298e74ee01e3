package analysis

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// assemble puts the facts of a case and what was found in it into the document.
func assemble(c *pair.Case, talks []*facts.Talk, findings []report.Finding) *report.Report {
	shown, more := shorten(findings)
	r := &report.Report{
		Schema: report.Schema, Findings: shown, Clock: clock(c),
		Sides: report.Sides{A: sideInfo(c, &c.Parties[pair.A]), B: sideInfo(c, &c.Parties[pair.B])},
		Pairs: report.Pairs{
			Matched: c.Counts.Matched, LostAtoB: c.Counts.Lost[pair.A], LostBtoA: c.Counts.Lost[pair.B],
			OnlyA: c.Counts.Only[pair.A], OnlyB: c.Counts.Only[pair.B],
			CopiesA: c.Counts.Copies[pair.A], CopiesB: c.Counts.Copies[pair.B],
		},
	}
	if c.TwoSided() {
		r.Pairs.UnpairedA, r.Pairs.UnpairedB = max(0, c.Counts.Unpaired(pair.A)), max(0, c.Counts.Unpaired(pair.B))
	}
	if r.Findings == nil {
		r.Findings = []report.Finding{}
	}
	for _, m := range c.NAT {
		r.NAT = append(r.NAT, report.Translation{
			Side: side(m.Side), Original: m.Original.Addr().String(), OriginalPort: m.Original.Port(),
			Translated: m.Translated.Addr().String(), Port: m.Translated.Port(), Packets: m.Packets,
		})
	}
	r.Conversations = conversations(c, talks, listed(c, shown))
	r.Omitted = omitted(c, r, more)
	pieces, peer := piecesOf(c), peersOf(c)
	for _, f := range c.Flows {
		if !f.OtherTunnel() && len(r.Flows) < maxFlows {
			x := flow(c, f)
			x.Peer = peer(f)
			for s, at := range [2]*report.FlowSide{x.A, x.B} {
				if at != nil {
					at.Pieces = min(pieces[s][f.SPI], at.Packets)
				}
			}
			r.Flows = append(r.Flows, x)
		}
	}
	for _, e := range c.ICMP {
		r.ICMP = append(r.ICMP, icmp(c, e))
	}
	return r
}

// piecesOf counts, by side and SPI, the packets of which only the first IP fragment, and maybe some
// others, arrived: that tells their number, so that they are counted with the whole ones.
func piecesOf(c *pair.Case) (n [2]map[uint32]int) {
	for _, s := range pair.Both {
		n[s] = map[uint32]int{}
		if story := c.Story(s); story != nil {
			for _, d := range story.Datagrams {
				if d.HasFirst && d.SPI != 0 {
					n[s][d.SPI]++
				}
			}
		}
	}
	return n
}

// peersOf tells with which peer a flow is, where one capture shows several; else nothing.
func peersOf(c *pair.Case) func(*pair.Flow) string {
	remotes := c.Remotes()
	seen := map[netip.Addr]bool{}
	for _, f := range c.Flows {
		if p := remotes.Of(f); p.IsValid() && !f.OtherTunnel() {
			seen[p] = true
		}
	}
	return func(f *pair.Flow) string {
		if len(seen) < 2 {
			return ""
		}
		return remotes.Of(f).String()
	}
}

// ownFlows counts the flows of the tunnel itself.
func ownFlows(c *pair.Case) (n int) {
	for _, f := range c.Flows {
		if !f.OtherTunnel() {
			n++
		}
	}
	return n
}

// conversations are written by two at a time: with very many, this is most of the work.
func conversations(c *pair.Case, talks []*facts.Talk, listed []int) []report.Conversation {
	all := make([]report.Conversation, len(talks))
	var wait sync.WaitGroup
	for start := range 2 {
		wait.Go(func() {
			for i := start; i < len(all); i += 2 {
				all[i] = conversation(c, talks[i].Conversation, outcomes[talks[i].End], listed[i])
			}
		})
	}
	wait.Wait()
	return all
}

func side(s pair.Side) report.Side { return report.Side(s.String()) }

func sideInfo(c *pair.Case, p *pair.Party) *report.SideInfo {
	s := p.Story
	if s == nil {
		return nil
	}
	info := &report.SideInfo{
		Name: p.Name, Addresses: texts(p.Addresses), Translated: texts(p.Translated), Interface: p.Interface,
		File: p.File, SHA256: s.Info.SHA256, Format: s.Info.Format, LinkType: s.Info.LinkType,
		Packets: s.Counts.Packets, IKE: s.Counts.IKE, ESP: s.Counts.ESP, ICMP: s.Counts.ICMP, Truncated: s.Counts.Truncated,
		Duplicates: c.Copies(p.Side),
	}
	info.Other = info.Packets - info.IKE - info.ESP - info.ICMP
	if info.Name == "" {
		info.Name = "side " + p.Side.String()
	}
	if d := s.Info.Damage; d != nil {
		info.Damaged = fmt.Sprintf("byte %d: %s", d.Offset, d.Reason)
	}
	if s.Counts.Packets > 0 {
		info.Untimed = p.Untimed
		first, last := stamp(c, p.Side, s.First), stamp(c, p.Side, s.Last)
		info.First, info.Last = &first, &last
	}
	return info
}

func texts(all []netip.Addr) []string {
	var t []string
	for _, a := range all {
		t = append(t, a.String())
	}
	return t
}

func moment(nanos int64) time.Time { return time.Unix(0, nanos).UTC() }

func clock(of *pair.Case) *report.Clock {
	c := of.Clock
	if c == nil {
		return nil
	}
	low, high := of.OffsetBounds()
	r := &report.Clock{
		OffsetMS: millis(c.Offset), LowMS: millisOf(low), HighMS: millisOf(high),
		Pairs: c.Pairs[pair.A] + c.Pairs[pair.B], Method: c.Method, Steps: len(c.Steps),
	}
	if c.HasDrift {
		r.DriftPPM = &c.Drift
	}
	if c.RTT > 0 {
		ms := millis(c.RTT)
		r.RTTMS = &ms
	}
	return r
}

func millis(nanos int64) float64 { return float64(nanos) / 1e6 }

func millisOf(nanos *int64) *float64 {
	if nanos == nil {
		return nil
	}
	ms := millis(*nanos)
	return &ms
}

// stamp is the time that s's capture gives a packet, also when it gives many of them the same.
func stamp(c *pair.Case, s pair.Side, nanos int64) time.Time { return moment(c.Stamp(s, nanos)) }

func sighting(c *pair.Case, s pair.Side, x *exchange.Sight) *report.Sighting {
	if x == nil {
		return nil
	}
	return &report.Sighting{
		Frame: int(x.Frame), Time: stamp(c, s, x.Nanos), AlignedNS: c.Aligned(x.Nanos, s) - c.First, Src: endpoint(x.Src),
		Dst:  endpoint(x.Dst),
		Size: int(x.Size), TTL: int(x.TTL), DSCP: int(x.DSCP), Fragments: x.Fragments,
	}
}

// endpoint prints address and port, without a port for what has none.
func endpoint(a netip.AddrPort) string {
	if a.Port() == 0 {
		return a.Addr().String()
	}
	return a.String()
}

func flow(c *pair.Case, f *pair.Flow) report.Flow {
	r := report.Flow{
		SPI: fmt.Sprintf("0x%08x", f.SPI), Direction: report.Direction(f.From.Direction()), Encapsulation: "esp",
		Lost: int(f.Lost),
		A:    flowSide(c, pair.A, f.At[pair.A]), B: flowSide(c, pair.B, f.At[pair.B]),
	}
	for _, g := range f.Gaps {
		r.LostSequences = append(r.LostSequences, [2]uint64{g.Low, g.High})
	}
	for _, s := range pair.Both {
		switch x := f.At[s]; {
		case x == nil:
		case x.UDP:
			r.Encapsulation = "udp"
		case x.TCP:
			r.Encapsulation = "tcp"
		case x.AH:
			r.Encapsulation = "ah"
		}
	}
	return r
}

func flowSide(c *pair.Case, s pair.Side, f *exchange.Flow) *report.FlowSide {
	if f == nil {
		return nil
	}
	return &report.FlowSide{
		Packets: f.Packets - f.Duplicates, FirstSeq: uint32(f.First.Seq), LastSeq: uint32(f.Last.Seq),
		First: stamp(c, s, f.First.Nanos), Last: stamp(c, s, f.Last.Nanos),
		FirstNS: c.Aligned(f.First.Nanos, s) - c.First, LastNS: c.Aligned(f.Last.Nanos, s) - c.First,
		Frame: int(f.First.Frame), LastFrame: int(f.Last.Frame),
	}
}

func icmp(c *pair.Case, e pair.ICMP) report.ICMP {
	return report.ICMP{
		Side: side(e.Side), Type: int(e.Type), Code: int(e.Code), Meaning: e.Meaning(), From: e.Sight.Src.Addr().String(),
		MTU:  e.MTU,
		Seen: *sighting(c, e.Side, &e.Sight),
	}
}

// outcomes say in one word how a conversation ended.
var outcomes = map[facts.Ending]string{
	facts.Unanswered: "unanswered", facts.Broken: "incomplete", facts.Established: "established", facts.Deleted: "deleted",
	facts.ProposalsRefused: "refused", facts.GroupRefused: "refused", facts.VersionRefused: "refused",
	facts.Redirected:    "refused",
	facts.ErrorReported: "refused", facts.AuthRefused: "refused", facts.ResponderRejected: "refused",
	facts.UserRefused:  "refused",
	facts.ChildRefused: "refused",
}
