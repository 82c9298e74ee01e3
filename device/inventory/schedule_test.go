package inventory

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/capture/schedule"
)

const scheduled = `version: 1
defaults: {username: u, password: "env:P"}
peers:
  a: {host: 192.0.2.1, site: emea, wan: {interface: Gi1, address: 10.0.0.1}}
  b: {host: 192.0.2.2, wan: {interface: Gi1, address: 10.0.0.2}}
  c: {host: 192.0.2.3, site: apac, wan: {interface: Gi1, address: 10.0.0.3}}
tunnels:
  hq-one: {a: a, b: b, tags: [prod]}
  hq-two: {a: b, b: c, approve: four-eyes}
  far: {a: a, b: c, site: emea}
schedules:
  nightly: {cron: "30 2 * * *", timezone: Europe/Berlin, tunnels: {tags: [prod], names: [far]}, spread: 30m,
    missed: skip, grace: 2h, attempts: 2, until: established, capture: {duration: 90s},
    blackout: [{cron: "0 0 24-26 12 *", for: 24h}], notify: [noc]}
  often: {cron: "@every 6h", tunnels: ["hq-*"]}
  whole: {cron: "@daily", tunnels: all}
notify:
  noc: {type: slack, url: "env:SLACK"}
`

func TestSchedules(t *testing.T) {
	inv, err := Parse("inv.yaml", strings.NewReader(scheduled))
	if err != nil {
		t.Fatal(err)
	}
	if got := inv.ScheduleNames(); !slices.Equal(got, []string{"nightly", "often", "whole"}) {
		t.Fatalf("schedules %q", got)
	}
	n := inv.Schedules["nightly"]
	if n.Plan.Times.String() != "30 2 * * *" || n.Plan.Times.Zone() != "Europe/Berlin" ||
		n.Plan.Spread != 30*time.Minute ||
		n.Plan.Missed != schedule.Skip || n.Plan.Grace != 2*time.Hour || len(n.Plan.Blackouts) != 1 || n.Attempts != 2 ||
		n.Until != "established" {
		t.Errorf("nightly: %+v", n)
	}
	for name, want := range map[string][]string{"nightly": {"far", "hq-one"}, "often": {"hq-one", "hq-two"},
		"whole": {"far", "hq-one", "hq-two"}} {
		if diff := cmp.Diff(want, inv.Schedules[name].Tunnels); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if o := inv.Schedules["often"]; o.Plan.Times.Zone() != "UTC" || o.Plan.Missed != schedule.Once ||
		o.Plan.Grace != time.Hour || o.Attempts != 1 || o.Until != "decided" {
		t.Errorf("what is not said: %+v", o)
	}
	for name, want := range map[string]string{"hq-one": "emea", "hq-two": "apac", "far": "emea"} {
		if got := inv.Tunnels[name].Site; got != want {
			t.Errorf("%s is at %q, want %s", name, got, want)
		}
	}
	if inv.Tunnels["hq-two"].Approve != ApproveFourEyes || inv.Tunnels["far"].Approve != ApproveNone {
		t.Error("approve is not as it was written")
	}
	again, err := Parse("other.yaml", strings.NewReader(scheduled))
	changed, err2 := Parse("inv.yaml", strings.NewReader(scheduled+"# changed\n"))
	if err != nil || err2 != nil || again.Digest != inv.Digest || changed.Digest == inv.Digest || len(inv.Digest) != 64 {
		t.Errorf("digests %s, %s, %s", inv.Digest, again.Digest, changed.Digest)
	}
}

func TestWhatIsWrongInSchedulesIsNamedWithItsLine(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"no cron", `{cron: "@daily", `, "{", "inv.yaml:16: schedules.whole: cron is missing"},
		{"no tunnels", ", tunnels: all", "", "inv.yaml:16: schedules.whole: tunnels is missing"},
		{"fields", `"30 2 * * *"`, `"30 2 * *"`, `inv.yaml:12: schedules.nightly.cron: "30 2 * *": `},
		{"never", `"30 2 * * *"`, `"30 2 31 4 *"`, "inv.yaml:12: schedules.nightly.cron: \"30 2 31 4 *\": it never comes"},
		{"zone", "Europe/Berlin", "Europe/Berln", `inv.yaml:12: schedules.nightly.timezone: "Europe/Berln" is no time zone`},
		{"zone of the machine", "Europe/Berlin", "Local", `inv.yaml:12: schedules.nightly.timezone: "Local" is no time zone`},
		{"zone inside", `"30 2 * * *"`, `"TZ=UTC 30 2 * * *"`, "inv.yaml:12: schedules.nightly.cron"},
		{"tag", "tags: [prod], names", "tags: [pord], names",
			`inv.yaml:12: schedules.nightly.tunnels.tags: no tunnel has the tag "pord"; there are prod`},
		{"tag where there is none", "hq-one: {a: a, b: b, tags: [prod]}", "hq-one: {a: a, b: b}",
			`no tunnel has the tag "prod"; no tunnel has one`},
		{"name", "names: [far]", "names: [fra]", `inv.yaml:12: schedules.nightly.tunnels.names: no tunnel is called "fra"`},
		{"pattern", `"hq-*"`, `"xx-*"`, `inv.yaml:15: schedules.often.tunnels: no tunnel is called "xx-*"`},
		{"no pattern", `"hq-*"`, `"hq-[a-"`, `inv.yaml:15: schedules.often.tunnels: "hq-[a-": want a list of names`},
		{"none", `["hq-*"]`, "[]", "inv.yaml:15: schedules.often.tunnels: want a list of names"},
		{"word", "tunnels: all", "tunnels: some", "inv.yaml:16: schedules.whole.tunnels: want all"},
		{"missed", "missed: skip", "missed: never", `inv.yaml:13: schedules.nightly.missed: "never": want once or skip`},
		{"attempts", "attempts: 2", "attempts: 99",
			`inv.yaml:13: schedules.nightly.attempts: "99": want a number from 1 to 5`},
		{"until", "until: established", "until: soon", `inv.yaml:13: schedules.nightly.until: "soon": want none`},
		{"capture", "duration: 90s", "duration: 90", `inv.yaml:13: schedules.nightly.capture.duration: "90"`},
		{"blackout without an end", ", for: 24h", "", "inv.yaml:14: schedules.nightly.blackout: want cron and for"},
		{"blackout of everything", `{cron: "0 0 24-26 12 *", for: 24h}`, `{cron: "0 0 * * *", for: 24h}`,
			"inv.yaml:14: schedules.nightly.blackout: it leaves the schedule no time"},
		{"blackout that is no list", `[{cron: "0 0 24-26 12 *", for: 24h}]`, "christmas",
			"inv.yaml:14: schedules.nightly.blackout: want a list"},
		{"unknown key", "spread: 30m", "sprad: 30m",
			"inv.yaml:12: schedules.nightly.sprad: unknown key; want one of attempts,"},
		{"name of a schedule", "  whole:", `  "who le":`, "inv.yaml:16: schedules.who le: want a name"},
		{"approve", "four-eyes", "two-eyes", `inv.yaml:9: tunnels.hq-two.approve: "two-eyes": want none or four-eyes`},
		{"site", "site: apac", `site: "a pac"`, `inv.yaml:6: peers.c.site: "a pac": want a site`},
		{"two sites", ", site: emea}", "}",
			"inv.yaml:10: tunnels.far: a is at site emea and c at site apac: say whose workers"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(scheduled, tt.old) {
				t.Fatalf("%q is not in the inventory", tt.old)
			}
			_, err := Parse("inv.yaml", strings.NewReader(strings.Replace(scheduled, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
		})
	}
}
