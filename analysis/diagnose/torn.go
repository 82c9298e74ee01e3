package diagnose

import (
	"fmt"
	"math"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// tornAlone is what one capture by itself says of IP fragments: those that came in from the peer
// and never became whole, though what the router sent itself is whole. Where the capture holds no
// further fragment at all, its filter may be what hides them.
func (j *judge) tornAlone() []report.Finding {
	const fewest = 2 // a single one may be a chance loss
	own, peer := pair.A, pair.B
	story := j.c.Story(own)
	if story == nil {
		own, peer = peer, own
		story = j.c.Story(own)
	}
	if story == nil || len(j.withoutRest(own)) > 0 {
		return nil
	}
	var torn []*exchange.Datagram
	further := j.holdsFurther(own)
	for _, d := range story.Datagrams {
		if !j.own(peer, d.Src.String()) || !j.own(own, d.Dst.String()) {
			continue
		}
		further = further || !d.HasFirst || len(d.Frames) > 1
		if story.HidesRest(d) || d.HasFirst && d.HasLast || !d.HasFirst && d.First-story.First > exchange.CopyWindow {
			torn = append(torn, d)
		}
	}
	if len(torn) < fewest || len(torn) <= j.wholeFragmented(peer) && !j.tornSince(own, peer, torn) {
		return nil
	}
	f := report.Finding{
		Confidence: report.Probable,
		Explanation: fmt.Sprintf("%s of %s %s at %s in IP fragments of which others are missing, again and again: a device "+
			"on the path drops IP fragments.", plural(len(torn), "packet", "packets"), j.name(peer),
			map[bool]string{true: "arrives", false: "arrive"}[len(torn) == 1], j.name(own)),
		Actions: []report.Action{
			path(peer, "let IP fragments pass", j.permit(peer, torn[0].Name(), "fragments")),
			j.exec(own, "whether the capture's filter matches fragments, which carry no ports", "show monitor capture",
				"show access-lists"),
		},
		// What was sent is known by its least: what is here, and one fragment more.
		Fields: map[string]any{"direction": peer.Direction(), "protocol": torn[0].Name(), "datagram_size": torn[0].Bytes,
			"fragments_sent": len(torn[0].Frames) + 1, "fragments_seen": len(torn[0].Frames)},
	}
	if !further {
		f.Severity, f.Confidence = report.Warning, report.Possible // a filter on ports, which is common, shows the same
		f.Explanation += " Or the filter of the capture hides them: it holds no further fragment at all."
	}
	for _, d := range torn[:min(len(torn), 5)] {
		f.Evidence = append(f.Evidence, report.Evidence{Side: sideOf(own), Frame: d.Frames[0], Note: "what arrives of one"})
	}
	return []report.Finding{f}
}

// tornSince says whether from a moment on none of the peer's packets in IP fragments arrived whole:
// so many that it is no chance, and more than a flow's samples may leave out.
func (j *judge) tornSince(own, peer pair.Side, torn []*exchange.Datagram) bool {
	const fewest = 5
	whole, least := int64(math.MinInt64), fewest
	for _, f := range j.c.Flows {
		if x := f.At[own]; x != nil && f.From == peer && !f.Foreign {
			least = max(least, 2*int(x.SplitStep))
			for _, p := range x.Split {
				whole = max(whole, p.Nanos)
			}
		}
	}
	n := 0
	for _, d := range torn {
		if d.First > whole {
			n++
		}
	}
	return n >= least
}

// holdsFurther says whether the capture of s holds packets of s itself in all their fragments.
func (j *judge) holdsFurther(s pair.Side) bool { return j.wholeFragmented(s) > 0 }

// wholeFragmented counts the packets of s that the only capture holds in all their fragments.
func (j *judge) wholeFragmented(s pair.Side) int {
	n := 0
	for _, f := range j.c.Flows {
		for _, x := range f.At {
			if x != nil && f.From == s && !f.Foreign {
				n += len(x.Split)
			}
		}
	}
	for m, t := range j.c.Sent(s, 0) {
		for _, x := range t.At {
			if x != nil && len(x.Fragments) > 1 && !m.Conversation.Foreign {
				n++
			}
		}
	}
	return n
}
