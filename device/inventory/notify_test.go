package inventory

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const notified = `version: 1
defaults: {username: u, password: "env:P", notify: [noc]}
peers:
  a: {host: 192.0.2.1, wan: {interface: Gi1, address: 10.0.0.1}, log_sources: [192.0.2.99, 127.0.0.1]}
  b: {host: 192.0.2.2, wan: {interface: Gi1, address: 10.0.0.2}}
tunnels:
  one: {a: a, b: b}
  two: {a: a, b: b, notify: [chat, mail], interfaces: {a: Tunnel46}}
  three: {a: a, b: b, notify: []}
notify:
  noc: {type: pagerduty, key: "env:PD"}
  chat: {type: slack, url: "env:SLACK", on: [digest, failed], digest: {cron: "30 6 * * 1-5", timezone: Europe/Berlin}}
  team: {type: teams, url: "file:teams-url", details: true}
  am: {type: alertmanager, url: "https://am.example", token: "env:T", ca: ca.pem}
  hook: {type: webhook, url: "http://127.0.0.1:9000/x", secret: "env:S"}
  phone: {type: ntfy, url: "https://ntfy.example/vpn"}
  mail: {type: smtp, url: "smtp://mail.example:587", from: m@example.net, to: noc@example.net, username: m, password: "env:M"}
`

func TestNotifyTargets(t *testing.T) {
	inv, err := Parse("inv.yaml", strings.NewReader(notified))
	if err != nil {
		t.Fatal(err)
	}
	if got := inv.NotifyNames(); len(got) != 7 {
		t.Fatalf("targets %q", got)
	}
	for tunnel, want := range map[string][]string{"one": {"noc"}, "two": {"chat", "mail"}, "three": nil} {
		if got := inv.Tunnels[tunnel].Notify; !slices.Equal(got, want) {
			t.Errorf("%s tells %q, want %q", tunnel, got, want)
		}
	}
	noc, chat := inv.Notify["noc"], inv.Notify["chat"]
	if noc.Address != "https://events.pagerduty.com/v2/enqueue" || noc.Key.String() != "env:PD" || noc.Details ||
		!slices.Equal(noc.On, []string{OnChanged, OnDirty, OnRecovered}) {
		t.Errorf("%+v", noc)
	}
	if at := chat.Digest.Next(time.Date(2026, 11, 28, 12, 0, 0, 0,
		time.UTC)); at.UTC().Format(time.DateTime) != "2026-11-30 05:30:00" {
		t.Errorf("the digest comes at %s", at)
	}
	if at := noc.Digest.Next(time.Date(2026, 11, 28, 12, 0, 0, 0,
		time.UTC)); at.UTC().Format(time.DateTime) != "2026-11-29 07:00:00" {
		t.Errorf("a digest that nobody timed comes at %s", at)
	}
	if inv.Notify["team"].URL.String() != "file:teams-url" || !inv.Notify["team"].Details ||
		!strings.HasSuffix(inv.Notify["am"].CA, "ca.pem") {
		t.Errorf("%+v, %+v", inv.Notify["team"], inv.Notify["am"])
	}
	if inv.Tunnels["two"].Interfaces != [2]string{"Tunnel46", ""} || len(inv.Peers["a"].LogSources) != 2 {
		t.Errorf("%+v, %+v", inv.Tunnels["two"], inv.Peers["a"])
	}
}

func TestWhatIsWrongInNotifyIsNamedWithItsLine(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"notify: [noc]}", "notify: [nco]}",
			`inv.yaml:2: defaults.notify: there is no target "nco" under notify; want am, chat,`},
		{"notify: [chat, mail]", "notify: [chat, fax]", `inv.yaml:8: tunnels.two.notify: there is no target "fax"`},
		{"notify: []", "notify: noc", `inv.yaml:9: tunnels.three.notify: want a list of names`},
		{"type: pagerduty, ", "", `inv.yaml:11: notify.noc: type is missing`},
		{"type: pagerduty", "type: pager", `inv.yaml:11: notify.noc.type: "pager": want one of alertmanager, ntfy,`},
		{`, key: "env:PD"`, "", `inv.yaml:11: notify.noc: key is missing`},
		{`"env:PD"`, "R0123456789ABCDEF", `inv.yaml:11: notify.noc.key: want where the secret is kept`},
		{`"env:PD"`, "ask", `inv.yaml:11: notify.noc.key: nobody is there to type it`},
		{`"env:SLACK"`, `"https://hooks.slack.com/services/T0/B0/hunter2"`,
			`inv.yaml:12: notify.chat.url: whoever has the URL can post`},
		{"on: [digest, failed]", "on: [digest, faild]", `inv.yaml:12: notify.chat.on: want a list of changed, failed,`},
		{`key: "env:PD"`, `key: "env:PD", on: [digest]`, `inv.yaml:11: notify.noc: a target of type pagerduty keeps open`},
		{"on: [digest, failed]", "on: [digest, digest]", `inv.yaml:12: notify.chat.on: "digest" stands there twice`},
		{`"30 6 * * 1-5"`, `"30 26 * * *"`, `inv.yaml:12: notify.chat.digest.cron: "30 26 * * *"`},
		{"timezone: Europe/Berlin", "timezone: Berlin", `inv.yaml:12: notify.chat.digest.timezone: "Berlin" is no time zone`},
		{`{cron: "30 6 * * 1-5", timezone`, `{timezone`, `inv.yaml:12: notify.chat.digest: cron is missing`},
		{"details: true", "details: some", `inv.yaml:13: notify.team.details: "some": want true or false`},
		{"https://am.example", "https://u:hunter2@am.example", `inv.yaml:14: notify.am.url: it may hold a secret`},
		{"https://am.example", "https://am.example/?key=hunter2", `inv.yaml:14: notify.am.url: it may hold a secret`},
		{"https://am.example", "ftp://am.example", `inv.yaml:14: notify.am.url: want https:// or http://`},
		{"https://am.example", "https:///x", `inv.yaml:14: notify.am.url: it is no URL`},
		{`secret: "env:S"`, `secrt: "env:S"`, `inv.yaml:15: notify.hook.secrt: unknown key`},
		{`secret: "env:S"`, `key: "env:S"`,
			`inv.yaml:15: notify.hook.key: a target of type webhook has no key; want url, secret, token, ca`},
		{"smtp://mail", "https://mail", `inv.yaml:17: notify.mail.url: want smtp:// or smtps://`},
		{"from: m@example.net", `from: "M <m@example.net>"`,
			`inv.yaml:17: notify.mail.from: "M <m@example.net>": want an address`},
		{"to: noc@example.net", `to: [noc]`, `inv.yaml:17: notify.mail.to: "noc": want an address`},
		{"username: m, ", "", `inv.yaml:17: notify.mail: username and password go together`},
		{"interfaces: {a: Tunnel46}", "interfaces: {a: Tu46}",
			`inv.yaml:8: tunnels.two.interfaces.a: "Tu46": want a tunnel interface`},
		{"192.0.2.99", "log.example", `inv.yaml:4: peers.a.log_sources: "log.example": want a list of addresses`},
	} {
		if !strings.Contains(notified, tt.old) {
			t.Fatalf("%q is not in the inventory", tt.old)
		}
		_, err := Parse("inv.yaml", strings.NewReader(strings.Replace(notified, tt.old, tt.new, 1)))
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "\n") ||
			strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v\nwant %s", tt.new, err, tt.want)
		}
	}
}
