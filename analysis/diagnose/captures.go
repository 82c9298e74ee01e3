package diagnose

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/moncap/moncap/analysis/exchange"
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
			"What the other side received or sent can only be concluded from what came back.", j.name(have)) +
			j.settings(have),
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
		f := report.Finding{
			Confidence: report.Certain,
			Subject:    onSide(s),
			Actions: []report.Action{j.exec(s, "interface, direction and filter of the capture, and which way the packets take",
				j.toward(s, "show monitor capture", "show ip cef %s", "show crypto session")...)},
		}
		if d := j.c.Story(s).Info.Damage; d != nil { // capture-damaged says what to do
			why = fmt.Sprintf("its file is damaged at byte %d, and nobody can read what stood behind that", d.Offset)
			f.Title, f.Actions = "Nothing of the tunnel can be read in one capture", nil
		}
		f.Explanation = fmt.Sprintf("The capture of %s holds no packet of the tunnel, while %s saw %s. Nothing proves "+
			"that it worked: %s.", j.name(s), j.name(s.Other()), plural(other, "packet", "packets"), why)
		all = append(all, f)
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

// captureOfOtherTunnel stands for all that is said of what passed between two sides: see mayJudge.
func captureOfOtherTunnel(j *judge) []report.Finding {
	if !j.apart {
		return nil
	}
	f := report.Finding{
		Confidence: report.Probable,
		Explanation: "Nothing shows that the two captures are of the same tunnel: no packet, no SPI and no pair of " +
			"addresses is in both.",
	}
	ofOther := [2]bool{facts.OfOther(j.c, pair.A), facts.OfOther(j.c, pair.B)}
	for _, s := range pair.Both {
		if ofOther[s] {
			f.Explanation = fmt.Sprintf("The capture of %s holds nothing of %s, which the other capture does. "+
				"What both hold is of another tunnel.", j.partyName(s), j.address(s))
		}
	}
	for _, s := range pair.Both {
		ends := "no whole packet of a tunnel"
		if from, to, frame, ok := facts.Ends(j.c.Story(s)); ok {
			ends = fmt.Sprintf("packets between %s and %s", from, to)
			f.Evidence = append(f.Evidence, report.Evidence{Side: sideOf(s), Frame: frame, Note: ends})
		}
		if !ofOther[s.Other()] { // else its first packet may be of either tunnel
			f.Explanation += fmt.Sprintf(" That of %s holds %s.", j.partyName(s), ends)
		}
		f.Actions = append(f.Actions, j.exec(s, "whether this is the file of the tunnel that is meant, and of the interface "+
			"that leads to the peer; each file alone can be analyzed, too", "show monitor capture", "show crypto session"))
	}
	f.Explanation += " Nothing was concluded from one about the other."
	return []report.Finding{f}
}

// refusals are the rules by which a side says in the packets of one capture that it refuses what
// the other one asks: they need no other capture.
var refusals = []string{"version-mismatch", "ike-proposal-mismatch", "ke-group-mismatch", "redirected", "auth-failed",
	"child-sa-refused", "psk-mismatch-v1", "user-authentication-failed", "quick-mode-refused", "invalid-spi",
	"error-notify"}

// mayJudge says whether a rule is asked: of captures of two tunnels only what each of them says of
// itself holds; and what is refused in the one, where that is of the tunnel that is meant, and the
// other one is another gateway's.
func (j *judge) mayJudge(code string) bool {
	return !j.apart || aboutCapture(code) && code != "capture-filter-incomplete" || code == "transfer-host-key-changed" ||
		j.fits && slices.Contains(refusals, code)
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
			found.Confidence = cmp.Or(found.Confidence, report.Certain)
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
		used := "No packet before it can be read."
		if n := j.c.Story(s).Counts.Packets; n > 0 {
			used = fmt.Sprintf("The %s before it %s used.", plural(n, "packet", "packets"), was(n))
		}
		return &report.Finding{
			Explanation: fmt.Sprintf("The file of %s is damaged at byte %d: %s. %s", j.name(s), d.Offset, d.Reason, used),
			Fields:      map[string]any{"offset": d.Offset},
			Actions:     []report.Action{j.exec(s, "fetch the file again and compare size and checksum", "dir bootflash:")},
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
				"and find out what answers at the router's address", showSSH, "show crypto key mypubkey all")},
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
	ms, doubt := millis(c.Offset), j.c.TimesDoubt()
	low, high := j.c.OffsetBounds()
	f := report.Finding{
		Confidence: certainIf(low != nil && high != nil && doubt == 0),
		Severity:   report.Info,
		Fields:     map[string]any{"offset_ms": ms, "low_ms": bound(low, -1), "high_ms": bound(high, 1), "drift_ppm": nil},
	}
	if c.HasDrift {
		f.Fields["drift_ppm"] = c.Drift
	}
	j.sayOffset(&f, ms, low, high)
	if doubt > 0 {
		f.Explanation += fmt.Sprintf(" A capture was rebuilt, and when its first packet came is known to %s only; "+
			"packet by packet the two were aligned exactly.", duration(millis(doubt)))
	}
	for _, s := range pair.Both {
		if unit := j.c.Unit(s); unit > 0 {
			f.Explanation += fmt.Sprintf(" All times of the capture of %s are whole units of %s; what is closer together was "+
				"put in the order of its packets.", j.name(s), duration(millis(unit)))
		}
	}
	if len(c.Steps) > 0 {
		f.Title = "A clock was set during the capture"
		f.Explanation = "A router's clock was set during the capture, so no single offset holds for all of it." +
			j.settings(pair.A) + j.settings(pair.B)
		if c.Uneven() {
			f.Explanation += " Times before and after were aligned each by its own."
		}
		f.Explanation += " How long something took across that moment is not certain."
	}
	if math.Abs(ms)-millis(doubt+j.c.Coarse()) > 1000 ||
		slices.ContainsFunc(c.Steps, func(s pair.Step) bool { return math.Abs(millis(s.By)) > 1000 }) {
		f.Severity = report.Warning
		f.Actions = []report.Action{j.exec(pair.A,
			"both routers' clocks against a common source", "show ntp status", "show clock detail"),
			j.exec(pair.B, "both routers' clocks against a common source", "show ntp status", "show clock detail")}
	}
	return []report.Finding{f}
}

// mostSettings bounds how often it is told that a clock was set.
const mostSettings = 3

// settings tell of the steps of the clock of s.
func (j *judge) settings(s pair.Side) (text string) {
	all := j.c.Parties[s].Set
	for _, x := range all[:min(len(all), mostSettings)] {
		way, by, least := "ahead", float64(x.By), ""
		if x.By < 0 {
			way, by = "back", -by
		}
		if !x.Known {
			least = "at least "
		}
		switch {
		case x.Shown:
			text += fmt.Sprintf(" The clock of %s went %s by %s%s at frame %d.", j.name(s), way, least,
				duration(by/1e6), x.Frame)
		default: // the packets of both captures tell no more than that one of the two clocks did
			text += fmt.Sprintf(" From frame %d of %s on its clock is %s further %s, or the other one the other way.",
				x.Frame, j.name(s), duration(by/1e6), way)
		}
	}
	return text
}

// sayOffset puts what is known of the offset into words: an estimate where packets of both
// directions bound it and the captures have their routers' own times, else no more than a bound.
func (j *judge) sayOffset(f *report.Finding, ms float64, low, high *int64) {
	ahead, behind := pair.B, pair.A
	if ms < 0 {
		ahead, behind = pair.A, pair.B
	}
	const least = 0.01 // milliseconds: what no capture tells from nothing
	bounded := low != nil && high != nil
	var atLeast, within float64
	if bounded {
		l, h := math.Abs(float64(*low)/1e6), math.Abs(float64(*high)/1e6)
		within = max(l, h, least)
		if *low > 0 || *high < 0 {
			atLeast = min(l, h)
		}
	}
	switch {
	case bounded && atLeast < least:
		if within < 1000 {
			f.Title = "The routers' clocks agree"
		}
		f.Explanation = fmt.Sprintf("The routers' clocks agree to within %s.", durationBy(math.Ceil, within))
	case bounded && j.c.TimesDoubt() > 0:
		f.Explanation = fmt.Sprintf("The clock of %s is between %s and %s ahead of %s's.", j.name(ahead),
			durationBy(math.Floor, atLeast), durationBy(math.Ceil, within), j.name(behind))
	case bounded || low == nil && high == nil:
		f.Explanation = fmt.Sprintf("The clock of %s is %s ahead of %s's. All times were aligned with it.", j.name(ahead),
			duration(math.Abs(ms)), j.name(behind))
	default: // every packet from A says that B is no more ahead, every one from B the contrary
		x, word, round := millisOr(low, high), "at least", math.Floor
		if high != nil && x >= 0 || low != nil && x <= 0 {
			word, round = "at most", math.Ceil
		}
		if ahead, behind = pair.B, pair.A; x < 0 {
			ahead, behind = pair.A, pair.B
		}
		f.Title = "A bound of the offset between the routers' clocks"
		f.Explanation = fmt.Sprintf("The clock of %s is %s %s ahead of %s's, as packets of one direction tell: a bound, "+
			"and no estimate. All times were aligned with it.", j.name(ahead), word, durationBy(round, max(math.Abs(x), least)),
			j.name(behind))
	}
}

// millisOr is the one of two bounds that there is, in milliseconds.
func millisOr(low, high *int64) float64 {
	if low != nil {
		return float64(*low) / 1e6
	}
	return float64(*high) / 1e6
}

// bound is a bound in milliseconds, rounded to the microsecond outwards: -1 for a lower one, 1 for
// an upper one.
func bound(n *int64, outwards int64) any {
	if n == nil {
		return nil
	}
	const micro = 1000
	ms := millis(*n)
	if cut := *n % micro; cut*outwards > 0 { // what is cut off lies outwards
		ms = millis(*n + outwards*micro)
	}
	return ms
}

// scale is how durations below so many milliseconds are printed: in steps of the last digit, in a
// unit, both in milliseconds.
type scale struct {
	below, step, unit float64
	format            string
}

func scaleOf(ms float64) scale {
	const second, minute, hour, day = 1e3, 60e3, 3600e3, 86400e3
	scales := [...]scale{
		{10, 0.01, 1, "%.2f ms"}, {second, 1, 1, "%.0f ms"}, {2 * minute, second / 10, second, "%.1f s"},
		{2 * hour, minute, minute, "%.0f min"}, {3 * day, hour / 10, hour, "%.1f h"},
	}
	for _, s := range scales {
		if ms < s.below {
			return s
		}
	}
	return scale{math.Inf(1), day / 10, day, "%.1f days"}
}

// durationBy is duration, rounded so that a bound stays one: an upper one up, a lower one down.
func durationBy(round func(float64) float64, ms float64) string {
	const noise = 1e-6 // of floating point, and no part of a step
	step := scaleOf(ms).step
	steps := ms / step
	if near := math.Round(steps); math.Abs(steps-near) < noise {
		steps = near
	}
	return duration(round(steps) * step)
}

// duration prints milliseconds in the unit that suits them.
func duration(ms float64) string {
	s := scaleOf(ms)
	return fmt.Sprintf(s.format, ms/s.unit)
}

func malformedMessage(j *judge) []report.Finding {
	const most = 20
	var all []report.Finding
	for m := range j.c.MessagesWhere((*pair.Conversation).Faulty) {
		if !m.Conversation.Spoken() {
			continue // how such a message is to be read nobody knows
		}
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

// cutTCP says whether a capture holds TCP and cut packets short: IKE and ESP in TCP (RFC 9329) show
// in whole segments alone.
func cutTCP(s *exchange.Story) bool {
	const tcp = 6
	return s.Counts.Truncated > 0 && slices.ContainsFunc(s.Others, func(o *exchange.Stream) bool { return o.Proto == tcp })
}

func noIKETraffic(j *judge) []report.Finding {
	if !j.c.TwoSided() || hasESP(j.c) {
		return nil // an established tunnel needs no IKE for hours
	}
	proof, confidence := "", report.Certain
	for _, s := range pair.Both {
		if j.c.Story(s).Counts.IKE > 0 || facts.Unread(j.c.Story(s)) { // it may be in what is not read
			return nil
		}
		if j.c.Story(s).Counts.Packets == 0 {
			proof += fmt.Sprintf(" The capture of %s is empty, so nothing proves that it would have seen one.", j.name(s))
		}
		if cutTCP(j.c.Story(s)) {
			confidence = report.Probable
			proof += fmt.Sprintf(" The capture of %s cut TCP segments short: IKE in TCP is read from whole ones.", j.name(s))
		}
	}
	f := report.Finding{
		Confidence: confidence,
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
