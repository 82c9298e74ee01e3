package diagnose

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/report"
)

// What the captures themselves lack limits what may be said about everything else.

func captureOneSided(j *judge) []report.Finding {
	if j.c.TwoSided() {
		return nil
	}
	have := pair.A
	if j.c.Story(pair.A) == nil {
		have = pair.B
	}
	return []report.Finding{{
		Confidence: report.Certain,
		Explanation: fmt.Sprintf("Only the capture of %s was given. "+
			"What the other side received or sent can only be concluded from what came back.", j.name(have)),
		Actions: []report.Action{j.exec(have.Other(), "the second capture, at the same time, "+
			"on the interface that leads to the peer; moncap partner-kit prints every line of it",
			j.toward(have.Other(), "show ip cef %s", "show monitor capture")...)},
	}}
}

func captureEmpty(j *judge) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		if !facts.Empty(j.c, s) {
			continue
		}
		other := j.c.Story(s.Other()).Counts.Tunnel()
		why := "it may be on another interface, its access list may name other addresses, or the packets take another way"
		all = append(all, report.Finding{
			Confidence: report.Certain,
			Explanation: fmt.Sprintf("The capture of %s holds no packet of the tunnel, while %s saw %s. "+
				"Nothing proves that it worked: %s.", j.name(s), j.name(s.Other()), plural(other, "packet", "packets"), why),
			Subject: onSide(s),
			Actions: []report.Action{j.exec(s, "interface, direction and filter of the capture, and which way the packets take",
				j.toward(s, "show monitor capture", "show ip cef %s", "show crypto session")...)},
		})
	}
	return all
}

func captureUnreadable(j *judge) []report.Finding {
	return j.eachStory(func(s pair.Side) *report.Finding {
		story := j.c.Story(s)
		if story.Counts.Tunnel() > 0 || !facts.Unread(story) {
			return nil
		}
		f := &report.Finding{
			Fields: map[string]any{"link_type": story.Info.LinkType},
			Actions: []report.Action{j.exec(s, "which interface was captured: "+
				"the one that carries the VPN addresses themselves, or another tool that converts the file first",
				j.toward(s, "show monitor capture", "show ip cef %s")...)},
		}
		var what []string
		packets := 0
		for _, u := range story.Unread {
			what = append(what, u.What)
			packets += u.Packets
			f.Evidence = append(f.Evidence, report.Evidence{Side: sideOf(s), Frame: u.Frame, Note: u.What + ": not read"})
		}
		f.Fields["wrapping"], f.Fields["packets"] = strings.Join(what, "; "), packets
		f.Explanation = fmt.Sprintf("%s of the capture of %s %s not read: %s. Whether the tunnel's packets are among them, "+
			"nobody can say.", plural(packets, "packet", "packets"), j.name(s), was(packets), strings.Join(what, "; "))
		return f
	})
}

func orWord(s, word string) string {
	if s == "" {
		return word
	}
	return s
}

func captureDisjoint(j *judge) []report.Finding {
	if !facts.Disjoint(j.c) {
		return nil
	}
	return []report.Finding{{
		Confidence: certainIf(j.c.Clock != nil),
		Explanation: "The two captures do not overlap in time, so what one of them lacks was not lost: " +
			"it was not captured. They may be of different runs.",
		Actions: []report.Action{j.exec(pair.A, "whether the captures were taken at the same time", "show clock detail",
			"show ntp status"),
			j.exec(pair.B, "whether the captures were taken at the same time", "show clock detail", "show ntp status")},
	}}
}

// eachStory draws one finding for each capture of which f says something.
func (j *judge) eachStory(f func(s pair.Side) *report.Finding) []report.Finding {
	var all []report.Finding
	for _, s := range pair.Both {
		if j.c.Story(s) == nil {
			continue
		}
		if found := f(s); found != nil {
			found.Confidence = report.Certain
			found.Subject = onSide(s)
			all = append(all, *found)
		}
	}
	return all
}

func captureDamaged(j *judge) []report.Finding {
	return j.eachStory(func(s pair.Side) *report.Finding {
		d := j.c.Story(s).Info.Damage
		if d == nil {
			return nil
		}
		return &report.Finding{
			Explanation: fmt.Sprintf("The file of %s is damaged at byte %d: %s. The %s before it were used.", j.name(s),
				d.Offset, d.Reason, plural(j.c.Story(s).Counts.Packets, "packet", "packets")),
			Fields:  map[string]any{"offset": d.Offset},
			Actions: []report.Action{j.exec(s, "fetch the file again and compare size and checksum", "dir bootflash:")},
		}
	})
}

func captureTruncated(j *judge) []report.Finding {
	return j.eachStory(func(s pair.Side) *report.Finding {
		n := j.c.Story(s).Counts.TruncatedIKE
		if n == 0 {
			return nil
		}
		return &report.Finding{
			Explanation: fmt.Sprintf("The capture of %s cut %s short. They were read as far as they go, "+
				"and compared as far as both sides hold them.", j.name(s), plural(n, "IKE message", "IKE messages")),
			Fields:  map[string]any{"packets": n},
			Actions: []report.Action{j.exec(s, "no packet-len limit, or a larger one", "show monitor capture")},
		}
	})
}

func captureDuplicates(j *judge) []report.Finding {
	return j.eachStory(func(s pair.Side) *report.Finding {
		n := j.c.Copies(s)
		if n == 0 {
			return nil
		}
		return &report.Finding{
			Explanation: fmt.Sprintf("The capture of %s holds %s twice: two interfaces or both directions of one path were "+
				"attached. The copies are not counted as retransmissions.", j.name(s), plural(n, "packet", "packets")),
			Fields: map[string]any{"packets": n},
		}
	})
}

func captureBufferFull(j *judge) []report.Finding {
	return j.eachStory(func(s pair.Side) *report.Finding {
		l := facts.LimitsOf(j.o.Config[s], j.c.Story(s))
		if !l.Full {
			return nil
		}
		dropped := "."
		if l.Dropped > 0 {
			dropped = fmt.Sprintf(" and that it dropped %s.", plural(l.Dropped, "packet", "packets"))
		}
		which := "Later"
		if l.Circular {
			which = "Earlier"
		}
		return &report.Finding{
			Explanation: fmt.Sprintf("The router of %s says that its buffer of %d KB holds %d KB%s %s packets are not in the "+
				"file, and their absence means nothing.", j.name(s), l.Size, l.Used, dropped, which),
			Actions: []report.Action{j.exec(s, "a larger buffer, or --ike-only, which captures no ESP", "show monitor capture")},
		}
	})
}

// transferHostKey says that somebody else may have answered the connection that was to fetch a
// capture. Nothing of what it might have sent is in the capture.
func transferHostKey(j *judge) []report.Finding {
	return j.eachStory(func(s pair.Side) *report.Finding {
		why := j.o.TransferHostKey[s]
		if why == "" {
			return nil
		}
		return &report.Finding{
			Explanation: fmt.Sprintf("The command line of %s had the host key that is known, the connection that was to fetch "+
				"its capture had not: %s. It was refused, and the packets were read over the command line.", j.name(s), why),
			Actions: []report.Action{j.exec(s, "compare the key with what both connections were shown, "+
				"and find out what answers at the router's address", "show ip ssh", "show crypto key mypubkey all")},
		}
	})
}

func captureRateLimited(j *judge) []report.Finding {
	return j.eachStory(func(s pair.Side) *report.Finding {
		peak, l := j.c.Story(s).Peak, facts.LimitsOf(j.o.Config[s], j.c.Story(s))
		limit := l.PPS
		if !l.RateReached {
			return nil
		}
		return &report.Finding{
			Explanation: fmt.Sprintf("The capture of %s holds %d packets in its busiest second and %d seconds near it, "+
				"which is its limit of packets a second: others passed uncaptured.", j.name(s), peak.Packets, peak.AtLeast),
			Fields: map[string]any{"pps": limit},
			Actions: []report.Action{j.exec(s, "a higher pps limit, or --ike-only, which captures no ESP",
				"show monitor capture")},
		}
	})
}

func clockOffset(j *judge) []report.Finding {
	c := j.c.Clock
	if c == nil || !j.c.TwoSided() {
		return nil
	}
	ms := millis(c.Offset)
	f := report.Finding{
		Confidence: certainIf(c.Low != nil && c.High != nil),
		Severity:   report.Info,
		Fields:     map[string]any{"offset_ms": ms, "low_ms": bound(c.Low), "high_ms": bound(c.High), "drift_ppm": nil},
	}
	if c.HasDrift {
		f.Fields["drift_ppm"] = c.Drift
	}
	ahead, behind := pair.B, pair.A
	if ms < 0 {
		ahead, behind = pair.A, pair.B
	}
	f.Explanation = fmt.Sprintf("The clock of %s is %s ahead of %s's. All times were aligned with it.", j.name(ahead),
		duration(math.Abs(ms)), j.name(behind))
	switch bounded := c.Low != nil && c.High != nil; {
	case math.Abs(ms) >= 1:
	case bounded:
		within := max(math.Abs(millis(*c.Low)), math.Abs(millis(*c.High)), 0.01)
		f.Title, f.Explanation = "The routers' clocks agree",
			fmt.Sprintf("The routers' clocks agree to within %s.", duration(within))
	default:
		f.Title, f.Explanation = "The routers' clocks agree",
			"The routers' clocks agree, as far as packets of one direction tell."
	}
	if len(c.Steps) > 0 {
		f.Title = "A clock was set during the capture"
		f.Explanation = "A router's clock was set during the capture, so no single offset holds for all of it. " +
			"Times before and after were aligned each by its own; how long something took across that moment is not certain."
	}
	if math.Abs(ms) > 1000 ||
		slices.ContainsFunc(c.Steps, func(s pair.Step) bool { return math.Abs(millis(s.By)) > 1000 }) {
		f.Severity = report.Warning
		f.Actions = []report.Action{j.exec(pair.A,
			"both routers' clocks against a common source", "show ntp status", "show clock detail"),
			j.exec(pair.B, "both routers' clocks against a common source", "show ntp status", "show clock detail")}
	}
	return []report.Finding{f}
}

func bound(n *int64) any {
	if n == nil {
		return nil
	}
	return millis(*n)
}

// duration prints milliseconds in the unit that suits them.
func duration(ms float64) string {
	switch {
	case ms < 10:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 1000:
		return fmt.Sprintf("%.0f ms", ms)
	case ms < 120e3:
		return fmt.Sprintf("%.1f s", ms/1000)
	case ms < 2*3600e3:
		return fmt.Sprintf("%.0f min", ms/60e3)
	case ms < 72*3600e3:
		return fmt.Sprintf("%.1f h", ms/3600e3)
	}
	return fmt.Sprintf("%.1f days", ms/86400e3)
}

func malformedMessage(j *judge) []report.Finding {
	const most = 20
	var all []report.Finding
	for m := range j.c.MessagesWhere((*pair.Conversation).Faulty) {
		for _, s := range pair.Both {
			copy := m.Copy(s)
			if copy == nil || copy.Truncated || len(copy.Faults()) == 0 || len(copy.Sent()) == 0 || len(all) >= most {
				continue
			}
			frame, fault := int(copy.Sent()[0].Frame), copy.Faults()[0]
			all = append(all, report.Finding{
				Confidence: report.Certain, Conversation: m.Conversation.ID,
				Explanation: fmt.Sprintf("%s message of %s in the capture of %s contradicts itself at byte %d: %s.",
					capital(one(m.Exchange)), j.name(m.From), j.name(s), fault.Offset, fault.Reason),
				Subject:  onSide(s),
				Fields:   map[string]any{"frame": frame, "offset": fault.Offset},
				Evidence: []report.Evidence{{Side: sideOf(s), Frame: frame, Note: fault.String()}},
			})
		}
	}
	for _, s := range pair.Both {
		story := j.c.Story(s)
		if story == nil {
			continue
		}
		for _, f := range story.Faults[:min(len(story.Faults), most)] {
			all = append(all, report.Finding{
				Confidence: report.Certain,
				Explanation: fmt.Sprintf("A packet on the IKE port in the capture of %s is no IKE message: %s.",
					j.name(s), f.Reason),
				Subject:  onSide(s),
				Fields:   map[string]any{"frame": f.Frame},
				Evidence: []report.Evidence{{Side: sideOf(s), Frame: f.Frame, Note: f.Reason}},
			})
		}
	}
	return all
}

func noIKETraffic(j *judge) []report.Finding {
	if !j.c.TwoSided() || hasESP(j.c) {
		return nil // an established tunnel needs no IKE for hours
	}
	proof := ""
	for _, s := range pair.Both {
		if j.c.Story(s).Counts.IKE > 0 || facts.Unread(j.c.Story(s)) { // it may be in what is not read
			return nil
		}
		if j.c.Story(s).Counts.Packets == 0 {
			proof += fmt.Sprintf(" The capture of %s is empty, so nothing proves that it would have seen one.", j.name(s))
		}
	}
	f := report.Finding{
		Confidence: report.Certain,
		Explanation: "No capture holds an IKE message between the peers: nothing triggered the tunnel, " +
			"or IKE leaves by an interface that was not captured." + proof,
	}
	for _, s := range pair.Both {
		f.Actions = append(f.Actions, j.exec(s, "whether the tunnel is configured on this interface, and where the route to "+
			"the peer leads", j.toward(s, "show crypto session", "show crypto map", "show ip route %s")...))
	}
	return []report.Finding{f}
}

func hasESP(c *pair.Case) bool {
	for _, s := range pair.Both {
		if story := c.Story(s); story != nil && story.Counts.ESP+story.Counts.AH > 0 {
			return true
		}
	}
	return false
}
