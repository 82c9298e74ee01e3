package inventory

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestService(t *testing.T) {
	file := filepath.Join(t.TempDir(), "serve.yaml")
	read := func(text string) (*Service, error) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return LoadService(file)
	}
	s, err := read(`db: sqlite:fleet.db
db_password: env:PGPASSWORD
sites: [emea, apac]
workers: 16
lease: 30s
drain: 5m
artifacts: {max_mb: 0}
retain: {runs: 100d, bundles: 7d, keep_last: 3, max_gb: 2}
syslog: [udp:0.0.0.0:5514, "tcp:[::1]:6514"]
events: {on: [sa-down, alert], relays: [192.0.2.200]}
hooks:
  alertmanager: {token: "env:AM"}
  generic: {hmac: "file:secret", tunnel: event.tags.tunnel, key: event.id}
`)
	if err != nil {
		t.Fatal(err)
	}
	if s.DB != "sqlite:"+filepath.Join(filepath.Dir(file), "fleet.db") || s.DBPassword.String() != "env:PGPASSWORD" ||
		len(s.Sites) != 2 || s.Workers != 16 || s.Lease != 30*time.Second || s.Drain != 5*time.Minute || s.MaxMB != 0 ||
		s.Retain != (Retain{100 * day, 7 * day, 3, 2}) {
		t.Errorf("%+v", s)
	}
	if len(s.Syslog) != 2 || len(s.Events.On) != 2 || len(s.Events.Relays) != 1 ||
		s.Hooks.Alertmanager.Label != "tunnel" ||
		s.Hooks.Alertmanager.Token.String() != "env:AM" || s.Hooks.Generic.Tunnel != "event.tags.tunnel" ||
		s.Hooks.Generic.HMAC.String() != "file:secret" {
		t.Errorf("%+v", s)
	}
	if s, err := read("workers: 2\n"); err != nil || s.Lease != 15*time.Second || s.Drain != 2*time.Minute ||
		s.MaxMB != 8 || s.Retain.Runs != 400*day {
		t.Errorf("what is not said: %+v, %v", s, err)
	}
	for text, want := range map[string]string{
		"": "serve.yaml:1: it is empty; want db, sites, workers",
		"workres: 2": "serve.yaml:1: workres: unknown key; want one of artifacts, db, " +
			"db_password, drain, events, hooks, lease, retain, sites, syslog, workers",
		"workers: 0":                      `serve.yaml:1: workers: "0": want a number from 1 to 256`,
		"workers: 1\nlease: 1s":           `serve.yaml:2: lease: "1s": want a duration from 5s to 5m0s`,
		"db_password: hunter2":            "serve.yaml:1: db_password: want where the secret is kept",
		"retain: {runs: 400}":             `serve.yaml:1: retain.runs: "400": want a number of days`,
		"retain: {bundles: 1h}":           `serve.yaml:1: retain.bundles: "1h": want a number of days`,
		"sites: emea":                     "serve.yaml:1: sites: want a list of names",
		"workers: 1\nworkers: 2":          "serve.yaml:2: workers: it stands on line 1 already",
		"artifacts: {max_mb: 9999999}":    "serve.yaml:1: artifacts.max_mb",
		"syslog: 514":                     `serve.yaml:1: syslog: "514": want udp:HOST:PORT`,
		"syslog: [udp::514, udp::514]":    `serve.yaml:1: syslog: "udp::514" stands there twice`,
		"events: {on: [SA]}":              `serve.yaml:1: events.on: "SA": want a kind of event`,
		"events: {relays: [log.example]}": `serve.yaml:1: events.relays: "log.example": want a list of addresses`,
		"hooks: {alertmanager: {}}":       "serve.yaml:1: hooks.alertmanager: nobody proves who tells",
		"hooks: {alertmanager: {token: hunter2}}": "serve.yaml:1: hooks.alertmanager.token: want where the " +
			"secret is kept",
		"hooks: {alertmanager: {token: ask}}": "serve.yaml:1: hooks.alertmanager.token: nobody is there to " +
			"type it",
		"hooks: {generic: {token: env:X}}":               "serve.yaml:1: hooks.generic: tunnel is missing",
		"hooks: {generic: {token: env:X, tunnel: a..b}}": `serve.yaml:1: hooks.generic.tunnel: "a..b": want where it is`,
		"[1, 2]":         "serve.yaml:1: want a mapping",
		"db: [sqlite:x]": "serve.yaml:1: db: want sqlite:PATH or postgres://HOST/NAME",
	} {
		if _, err := read(text); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v\nwant %s", text, err, want)
		}
	}
}
