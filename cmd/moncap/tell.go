package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/notify"
	"github.com/moncap/moncap/device/inventory"
)

// The codes of what is told that no finding is.
const (
	codeLeft   = "left-on-router"
	codeNotRun = "run-failed"
)

// tell decides what is told of a run, from the inventory that holds now.
func (c *crew) tell(v fleet.Verdict) []fleet.Notice { return noticesOf(c.inventory(), v) }

// noticesOf says what is told of a run that ended, to whom: first what is over, then what is wrong.
func noticesOf(inv *inventory.Inventory, v fleet.Verdict) []fleet.Notice {
	var all []fleet.Notice
	told := map[string]bool{} // targets that learn that it is over
	for _, o := range v.Open {
		t := inv.Notify[o.Target]
		if t == nil || !isOver(v.Run, o.About) {
			continue
		}
		n := resolving(v, o)
		n.Silent = !keepsOpen(t) && !slices.Contains(t.On, inventory.OnRecovered)
		told[o.Target] = true
		all = append(all, n)
	}
	m, ok := messageOf(v)
	for _, name := range targetsOf(inv, v.Run) {
		t := inv.Notify[name]
		switch {
		case t == nil:
		case ok && toTell(t, v):
			all = append(all, triggering(t, v, m))
		case !ok && !told[name] && recovered(v) && !keepsOpen(t) && slices.Contains(t.On, inventory.OnChanged):
			// It was told by nobody that something was wrong, but the verdict is another.
			before, _ := messageOf(fleet.Verdict{Run: *v.Before})
			text, _ := json.Marshal(before) // of strings and times
			all = append(all,
				resolving(v, fleet.OpenNotice{Target: name, About: before.Key, Message: string(text), Opened: v.Before.Ended}))
		}
	}
	return all
}

// keepsOpen says whether a target shows what it was told until it is told that it is over.
func keepsOpen(t *inventory.Notify) bool {
	return t.Type == inventory.TypePagerDuty || t.Type == inventory.TypeAlertmanager
}

// targetsOf are the names of those that are told of a run: those of its tunnel, and of the schedule
// that made it.
func targetsOf(inv *inventory.Inventory, r fleet.Run) []string {
	var names []string
	if t := inv.Tunnels[r.Tunnel]; t != nil {
		names = slices.Clone(t.Notify)
	}
	if name, ok := strings.CutPrefix(r.Cause, "schedule "); ok {
		name, _, _ = strings.Cut(name, "@")
		if s := inv.Schedules[name]; s != nil {
			names = append(names, s.Notify...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// aboutOf is the key of what is told of a tunnel.
func aboutOf(tunnel, code string) string { return "moncap/" + tunnel + "/" + code }

// isOver says whether a run proves that what was told is over.
func isOver(r fleet.Run, about string) bool {
	code := strings.TrimPrefix(about, aboutOf(r.Tunnel, ""))
	if run, left := strings.CutPrefix(code, codeLeft+"/"); left { // only that run's own end says so
		return run == r.ID && r.Clean && r.State.Over() && r.State != fleet.Dirty
	}
	switch {
	case r.State != fleet.Done && r.State != fleet.Collected:
		return false
	case r.Outcome == string(report.Established):
		return true
	case code == codeNotRun:
		return hasVerdict(r)
	}
	return r.Outcome == string(report.Degraded) &&
		!slices.ContainsFunc(r.Findings, func(f fleet.Finding) bool { return f.Code == code })
}

func hasVerdict(r fleet.Run) bool { return r.Outcome != "" && r.Outcome != string(report.NotRun) }

// recovered says whether a tunnel is established that was not before.
func recovered(v fleet.Verdict) bool {
	return v.Before != nil && v.Before.State != fleet.Dirty && v.Run.State != fleet.Dirty &&
		v.Run.Outcome == string(report.Established) && isBad(*v.Before)
}

func isBad(r fleet.Run) bool { _, bad := messageOf(fleet.Verdict{Run: r}); return bad }

// toTell says whether a target is to be told of something that is wrong.
func toTell(t *inventory.Notify, v fleet.Verdict) bool {
	on := func(what string) bool { return slices.Contains(t.On, what) }
	switch {
	case v.Run.State == fleet.Dirty:
		return on(inventory.OnDirty) || on(inventory.OnFailed)
	case on(inventory.OnFailed) && (v.Run.Outcome == string(report.Failed) || !hasVerdict(v.Run)):
		return true
	}
	return on(inventory.OnChanged) && changed(v)
}

// changed says whether a verdict is another one than that before: its outcome, or which critical
// faults there are.
func changed(v fleet.Verdict) bool {
	return v.Before == nil || v.Before.Outcome != v.Run.Outcome || !slices.Equal(critical(*v.Before), critical(v.Run))
}

func critical(r fleet.Run) []string {
	var codes []string
	for _, f := range r.Findings {
		if f.Severity == string(report.Critical) {
			codes = append(codes, f.Code)
		}
	}
	slices.Sort(codes)
	return slices.Compact(codes)
}

// messageOf is what is wrong, in a message without details. ok is false when nothing is, or
// nobody's fault.
func messageOf(v fleet.Verdict) (m notify.Message, ok bool) {
	r := v.Run
	m = notify.Message{
		Action: notify.Trigger, At: r.Ended, Severity: "warning", Tunnel: r.Tunnel, Site: r.Site, Run: r.ID,
		Outcome: r.Outcome,
	}
	m.Cause, _, _ = strings.Cut(r.Cause, " of ") // a router's name is a detail
	if v.Before != nil && v.Before.Outcome != r.Outcome {
		m.Before = v.Before.Outcome
	}
	main := ""
	for _, f := range r.Findings {
		if f.Severity == string(report.Info) {
			continue
		}
		m.Findings = append(m.Findings, notify.Finding{Code: f.Code, Severity: f.Severity, Title: titleOf(f.Code)})
		if main == "" || f.Severity == string(report.Critical) && m.Severity != "critical" {
			main = f.Code
		}
		if f.Severity == string(report.Critical) {
			m.Severity = "critical"
		}
	}
	m.Code, m.Title = orDefault(main, r.Outcome), "the verdict is "+r.Outcome
	if main != "" {
		m.Title = titleOf(main)
	}
	switch {
	case r.State == fleet.Dirty:
		m.Code, m.Severity, m.Title = codeLeft, "critical",
			"a run left something on a router; moncap jobs says what removes it"
		m.Key = aboutOf(r.Tunnel, codeLeft+"/"+r.ID)
		return m, true
	case r.State == fleet.Failed, r.State == fleet.Done && !hasVerdict(r):
		m.Code, m.Title, m.Severity = codeNotRun, "the run failed, and its routers are clean", "warning"
	case r.State != fleet.Done && r.State != fleet.Collected:
		return m, false // somebody ended it
	case r.Outcome == string(report.Established), r.Outcome == "":
		return m, false
	case r.Outcome == string(report.Failed):
		m.Severity = "critical"
	}
	m.Key = aboutOf(r.Tunnel, m.Code)
	return m, true
}

// titleOf says what a finding means, in words that hold for all that have it.
func titleOf(code string) string {
	if e, ok := diagnose.Explain(code); ok {
		return e.Title
	}
	return code
}

func triggering(t *inventory.Notify, v fleet.Verdict, m notify.Message) fleet.Notice {
	m.Since = m.At
	for _, o := range v.Open {
		if o.Target == t.Name && o.About == m.Key {
			m.Since = o.Opened
		}
	}
	switch {
	case v.Run.State == fleet.Dirty:
		m.Why = inventory.OnDirty
	case changed(v):
		m.Why = inventory.OnChanged
	default:
		m.Why = inventory.OnFailed
	}
	if t.Details {
		m.Details = detailsOf(v.Run)
	}
	return noticeOf(t.Name, v.Run, m)
}

func detailsOf(r fleet.Run) *notify.Details {
	return &notify.Details{Headline: r.Headline, Peers: r.Peers[:], Routers: r.Routers[:], Remains: r.Remains}
}

// resolving tells that something is over, in the words in which it was told.
func resolving(v fleet.Verdict, o fleet.OpenNotice) fleet.Notice {
	var m notify.Message
	if err := json.Unmarshal([]byte(o.Message), &m); err != nil { // of a moncap that wrote others
		m = notify.Message{Tunnel: v.Run.Tunnel, Severity: "critical"}
	}
	m.Key, m.Action, m.Since, m.At, m.Run, m.Why = o.About, notify.Resolve, o.Opened, v.Run.Ended, v.Run.ID,
		inventory.OnRecovered
	m.Before, m.Outcome, m.Findings, m.Details = m.Outcome, v.Run.Outcome, nil, nil
	m.Title = "the verdict is " + v.Run.Outcome + " now"
	switch {
	case strings.HasPrefix(o.About, aboutOf(v.Run.Tunnel, codeLeft)):
		m.Title, m.Before = "the routers are clean again", ""
	case v.Run.Outcome == string(report.Established):
		m.Title = "the tunnel is established again"
	}
	return noticeOf(o.Target, v.Run, m)
}

func noticeOf(target string, r fleet.Run, m notify.Message) fleet.Notice {
	// A verdict that is written twice is told once.
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\n%d\n%s\n%s\n%s", r.ID, r.Fence, target, m.Key, m.Action))
	m.Schema, m.ID = notify.Schema, hex.EncodeToString(sum[:12])
	text, _ := json.Marshal(m) // of strings and times
	return fleet.Notice{
		ID: m.ID, Target: target, About: m.Key, Action: string(m.Action), Tunnel: m.Tunnel, Run: r.ID, Message: string(text),
	}
}

// maxDigest is how many tunnels a digest names.
const maxDigest = 100

// ranks order the outcomes of a digest, the worst first.
var ranks = []string{"dirty", string(report.Failed), codeNotRun, string(report.Inconclusive), string(report.Degraded),
	"never run", string(report.Established)}

// digestOf is the message of how the tunnels are that a target is told of: all of them, when it is
// told of none.
func digestOf(inv *inventory.Inventory, t *inventory.Notify, last map[string]fleet.Run, at time.Time) notify.Message {
	m := notify.Message{Action: notify.Digest, Key: "moncap/digest/" + t.Name, At: at, Severity: "info", Code: "digest"}
	good := 0
	for _, name := range digested(inv, t.Name) {
		l := notify.Line{Tunnel: name, Outcome: "never run"}
		if r, ok := last[name]; ok {
			l.Outcome, l.At = orDefault(r.Outcome, codeNotRun), r.Ended
			if trouble, bad := messageOf(fleet.Verdict{Run: r}); bad {
				l.Code = trouble.Code
			}
			switch {
			case r.State == fleet.Dirty:
				l.Outcome = "dirty"
			case !hasVerdict(r):
				l.Outcome = codeNotRun
			}
		}
		switch l.Outcome {
		case string(report.Established):
			good++
		case "dirty", string(report.Failed):
			m.Severity = "critical"
		default:
			if m.Severity == "info" {
				m.Severity = "warning"
			}
		}
		m.Tunnels = append(m.Tunnels, l)
	}
	slices.SortStableFunc(m.Tunnels, func(a, b notify.Line) int {
		return slices.Index(ranks, a.Outcome) - slices.Index(ranks, b.Outcome)
	})
	n := len(m.Tunnels)
	m.Title = fmt.Sprintf("%d of %s established", good, counted(n, "tunnel"))
	if good < n {
		m.Title += fmt.Sprintf(", %d to look at", n-good)
	}
	if n > maxDigest {
		m.Tunnels, m.Left = m.Tunnels[:maxDigest], n-maxDigest
	}
	return m
}

// digested are the tunnels that a target is told of.
func digested(inv *inventory.Inventory, target string) []string {
	var names []string
	for _, name := range inv.TunnelNames() {
		if slices.Contains(inv.Tunnels[name].Notify, target) {
			names = append(names, name)
		}
	}
	for _, s := range inv.Schedules {
		if slices.Contains(s.Notify, target) {
			names = append(names, s.Tunnels...)
		}
	}
	if len(names) == 0 {
		return inv.TunnelNames()
	}
	slices.Sort(names)
	return slices.Compact(names)
}
