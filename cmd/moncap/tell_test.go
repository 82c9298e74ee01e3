package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/notify"
	"github.com/moncap/moncap/device/inventory"
)

const toldInventory = `version: 1
defaults: {username: u, password: "env:P", notify: [pd, chat]}
peers:
  a: {host: 192.0.2.1, wan: {interface: Gi1, address: 10.0.0.1}}
  b: {host: 192.0.2.2, wan: {interface: Gi1, address: 10.0.0.2}}
tunnels:
  t: {a: a, b: b}
  quiet: {a: a, b: b, notify: []}
schedules:
  nightly: {cron: "@daily", tunnels: [quiet], notify: [every]}
notify:
  pd: {type: pagerduty, key: "env:PD", on: [changed, dirty]}
  chat: {type: slack, url: "env:S"}
  every: {type: webhook, url: "https://h.example/", on: [failed, digest], details: true}
`

// tale is what a fleet tells of one run after another, as the database would have it.
type tale struct {
	t      *testing.T
	inv    *inventory.Inventory
	before map[string]*fleet.Run
	open   map[string]fleet.OpenNotice
	n      int
}

func newTale(t *testing.T) *tale {
	t.Helper()
	inv, err := inventory.Parse("inv.yaml", strings.NewReader(toldInventory))
	if err != nil {
		t.Fatal(err)
	}
	return &tale{t: t, inv: inv, before: map[string]*fleet.Run{}, open: map[string]fleet.OpenNotice{}}
}

// run tells of a run: "TARGET ACTION CODE" each, with an asterisk when it is not sent.
func (s *tale) run(r fleet.Run) string {
	s.t.Helper()
	s.n++
	if r.ID == "" {
		r.ID = fmt.Sprintf("20261129-120000-%06d", s.n)
	}
	r.Ended, r.Peers, r.Routers = time.Unix(int64(1_800_000_000+3600*s.n), 0), [2]string{"a", "b"},
		[2]string{"192.0.2.1:22", "192.0.2.2:22"}
	r.Headline = "10.0.0.1 never answered"
	v := fleet.Verdict{Run: r, Before: s.before[r.Tunnel]}
	for _, o := range s.open {
		if strings.HasPrefix(o.About, "moncap/"+r.Tunnel+"/") {
			v.Open = append(v.Open, o)
		}
	}
	var told []string
	for _, n := range noticesOf(s.inv, v) {
		var m notify.Message
		if err := json.Unmarshal([]byte(n.Message), &m); err != nil {
			s.t.Fatal(err)
		}
		if m.ID != n.ID || m.Key != n.About || string(m.Action) != n.Action || m.Schema != notify.Schema {
			s.t.Errorf("%+v\n%+v", n, m)
		}
		if address := strings.Contains(n.Message, "10.0.0.1") ||
			strings.Contains(n.Message, "192.0.2."); address != s.inv.Notify[n.Target].Details && n.Action == "trigger" ||
			address && n.Action != "trigger" {
			s.t.Errorf("addresses to %s: %s", n.Target, n.Message)
		}
		key := n.Target + " " + n.About
		switch n.Action {
		case fleet.NoticeOpens:
			if _, there := s.open[key]; !there {
				s.open[key] = fleet.OpenNotice{Target: n.Target, About: n.About, Opened: r.Ended, Message: n.Message}
			}
		case fleet.NoticeEnds:
			delete(s.open, key)
		}
		text := n.Target + " " + n.Action + " " + strings.TrimPrefix(n.About, "moncap/"+r.Tunnel+"/")
		if n.Silent {
			text += "*"
		}
		told = append(told, strings.TrimSuffix(text, "/"+r.ID))
	}
	if r.Outcome != "" && r.State != fleet.Interrupted && r.State != fleet.Cancelled {
		s.before[r.Tunnel] = &r
	}
	return strings.Join(told, ", ")
}

func verdict(outcome string, codes ...string) fleet.Run {
	r := fleet.Run{Tunnel: "t", State: fleet.Done, Outcome: outcome, Clean: true}
	for _, c := range codes {
		severity := "critical"
		if outcome == "degraded" {
			severity = "warning"
		}
		r.Findings = append(r.Findings, fleet.Finding{Code: c, Severity: severity})
	}
	return r
}

func TestWhatIsToldOfOneRunAfterAnother(t *testing.T) {
	s := newTale(t)
	failed := fleet.Run{Tunnel: "t", State: fleet.Failed, Outcome: "not-run", Clean: true}
	dirty := verdict("established")
	dirty.ID, dirty.State, dirty.Clean = "20261129-120000-dddddd", fleet.Dirty, false
	cleaned := dirty
	cleaned.State, cleaned.Outcome, cleaned.Clean = fleet.Interrupted, "not-run", true
	cancelled := fleet.Run{Tunnel: "t", State: fleet.Interrupted, Outcome: "not-run", Clean: true}
	for i, step := range []struct {
		what string
		run  fleet.Run
		want string
	}{
		{"the first is well", verdict("established"), ""},
		{"it fails", verdict("failed", "path-blocked"), "chat trigger path-blocked, pd trigger path-blocked"},
		{"it still does", verdict("failed", "path-blocked"), ""},
		{"somebody cancels", cancelled, ""},
		{"it still does, which is no change", verdict("failed", "path-blocked"), ""},
		{"it fails otherwise", verdict("failed", "psk-mismatch"), "chat trigger psk-mismatch, pd trigger psk-mismatch"},
		{"the run fails", failed, "chat trigger run-failed, pd trigger run-failed"},
		{"a verdict again, the same as before", verdict("failed", "psk-mismatch"),
			"chat resolve run-failed, pd resolve run-failed, chat trigger psk-mismatch, pd trigger psk-mismatch"},
		{"it is established again", verdict("established"),
			"chat resolve path-blocked, chat resolve psk-mismatch, pd resolve path-blocked, pd resolve psk-mismatch"},
		{"it still is", verdict("established"), ""},
		{"with a warning", verdict("degraded", "clock-skew"), "chat trigger clock-skew, pd trigger clock-skew"},
		{"inconclusive", verdict("inconclusive"), "chat trigger inconclusive, pd trigger inconclusive"},
		{"another warning", verdict("degraded", "esp-loss"),
			"chat resolve clock-skew, chat resolve inconclusive, pd resolve clock-skew, pd resolve inconclusive, chat trigger " +
				"esp-loss, pd trigger esp-loss"},
		{"well", verdict("established"), "chat resolve esp-loss, pd resolve esp-loss"},
		{"something is left", dirty, "chat trigger left-on-router, pd trigger left-on-router"},
		{"another run is well", verdict("established"), ""},
		{"it is removed", cleaned, "chat resolve left-on-router, pd resolve left-on-router"},
	} {
		got := strings.Split(s.run(step.run), ", ")
		if a, b := sorted(got), sorted(strings.Split(step.want, ", ")); a != b {
			t.Errorf("%d, %s: told %s\nwant %s", i, step.what, a, b)
		}
	}
	if len(s.open) != 0 {
		t.Errorf("left open: %v", s.open)
	}
}

func sorted(all []string) string {
	seen := map[string]int{}
	for _, s := range all {
		seen[s]++
	}
	return fmt.Sprint(seen)
}

func TestWhoIsTold(t *testing.T) {
	s := newTale(t)
	r := verdict("failed", "path-blocked")
	r.Tunnel = "quiet"
	if got := s.run(r); got != "" {
		t.Errorf("a tunnel that tells nobody: %s", got)
	}
	r.Cause = "schedule nightly@2026-11-29T00:00:00Z"
	for range 2 { // every bad run
		if got := s.run(r); got != "every trigger path-blocked" {
			t.Errorf("of a schedule: %s", got)
		}
	}
	r = verdict("established")
	r.Tunnel, r.Cause = "quiet", "manual"
	if got := s.run(r); got != "every resolve path-blocked*" {
		t.Errorf("a target that does not want to know what is over: %s", got)
	}
	r = verdict("established")
	r.Tunnel = "gone"
	if got := s.run(r); got != "" {
		t.Errorf("a tunnel that is gone: %s", got)
	}
}

func TestAChangeForTheBetterIsToldToWhoKnewOfNothing(t *testing.T) {
	s := newTale(t)
	bad := verdict("failed", "path-blocked")
	s.before["t"] = &bad
	if got := s.run(verdict("established")); got != "chat resolve path-blocked" {
		t.Errorf("told %s", got)
	}
}

func TestDigest(t *testing.T) {
	s := newTale(t)
	at := time.Unix(1_800_000_000, 0)
	established, failed, left := verdict("established"), verdict("failed", "path-blocked"), verdict("established")
	left.State, left.Tunnel = fleet.Dirty, "t"
	for _, c := range []struct {
		last     map[string]fleet.Run
		title    string
		first    string
		severity string
	}{
		{map[string]fleet.Run{"t": established}, "1 of 1 tunnel established", "t established ", "info"},
		{map[string]fleet.Run{"t": failed}, "0 of 1 tunnel established, 1 to look at", "t failed path-blocked", "critical"},
		{map[string]fleet.Run{"t": left}, "0 of 1 tunnel established, 1 to look at", "t dirty left-on-router", "critical"},
		{nil, "0 of 1 tunnel established, 1 to look at", "t never run ", "warning"},
	} {
		m := digestOf(s.inv, s.inv.Notify["chat"], c.last, at)
		l := m.Tunnels[0]
		if got := l.Tunnel + " " + l.Outcome + " " + l.Code; m.Title != c.title || got != c.first ||
			m.Severity != c.severity {
			t.Errorf("%s, %s, %s; want %s, %s, %s", m.Title, got, m.Severity, c.title, c.first, c.severity)
		}
	}
	if m := digestOf(s.inv, s.inv.Notify["every"], nil, at); len(m.Tunnels) != 1 || m.Tunnels[0].Tunnel != "quiet" {
		t.Errorf("of a schedule's target: %+v", m.Tunnels)
	}
}
