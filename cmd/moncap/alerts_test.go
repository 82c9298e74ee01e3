//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moncap/moncap/capture/event"
	"github.com/moncap/moncap/capture/fleet"
	"github.com/moncap/moncap/capture/fleet/notify"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/simulator"
)

// toldServer takes messages of webhooks, and answers some of them with an error first.
type toldServer struct {
	*httptest.Server
	mu   sync.Mutex
	busy int // so many are refused; negative: all
	got  []notify.Message
	at   []time.Time
	seen int
}

func newToldServer(t *testing.T, busy int) *toldServer {
	t.Helper()
	s := &toldServer{busy: busy}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.seen++; s.busy < 0 || s.seen <= s.busy {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		var m notify.Message
		if err := json.Unmarshal(body, &m); err != nil {
			t.Errorf("%s: %v", body, err)
		}
		if bytes.Contains(body, []byte("192.168.")) || bytes.Contains(body, []byte("127.0.0.1")) {
			t.Errorf("an address is told: %s", body)
		}
		stamp := strings.TrimPrefix(strings.Split(r.Header.Get("X-Moncap-Signature"), ",")[0], "t=")
		var seconds int64
		fmt.Sscan(stamp, &seconds)
		if r.Header.Get("X-Moncap-Signature") != notify.Sign("shared-secret", time.Unix(seconds, 0), body) {
			t.Errorf("signature %q", r.Header.Get("X-Moncap-Signature"))
		}
		s.got, s.at = append(s.got, m), append(s.at, time.Now())
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *toldServer) messages() []notify.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]notify.Message{}, s.got...)
}

// relent takes what comes from now on.
func (s *toldServer) relent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = 0
}

func (s *toldServer) requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen
}

// newAlertLab is a fleet whose tunnel tells a webhook what is found.
func newAlertLab(t *testing.T, incident string, to *toldServer) *fleetLab {
	t.Helper()
	l := &fleetLab{testLab: newTestLab(t, incident)}
	l.state = filepath.Join(l.dir, "state")
	l.env = map[string]string{
		"XDG_STATE_HOME": l.state, "MONCAP_RUNS": filepath.Join(l.dir, "runs"), "PATH": os.Getenv("PATH"),
		"HOOK_SECRET": "shared-secret",
	}
	text, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(text), "duration: 60s}}", "duration: 60s}, notify: [hook]}", 1) +
		fmt.Sprintf("notify:\n  hook: {type: webhook, url: %q, secret: \"env:HOOK_SECRET\"}\n", to.URL+"/moncap")
	if changed == string(text) {
		t.Fatal("the inventory is not as expected")
	}
	if err := os.WriteFile(l.inventory, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return l
}

// A router logs that its SA is gone, and goes on logging: one run is made of it, its verdict is
// told at the first try, and all that over real sockets with a worker that is a process of its own.
func TestALogLineStartsARunWhoseVerdictIsTold(t *testing.T) {
	t.Parallel()
	told := newToldServer(t, 0)
	l := newAlertLab(t, "psk-mismatch", told)
	w := l.serve(t, "--syslog", "udp:127.0.0.1:0", "--workers", "4")
	c, err := net.Dial("udp", w.at(t, "listens for log lines at udp:"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const lines = 2000
	sent := 0
	storm := func(more int) {
		for range more {
			fmt.Fprintf(c, "<189>%d: *Mar  1 00:00:00.000: %%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is DOWN.  Peer "+
				"192.168.2.1:500       Id: 192.168.2.1", sent)
			if sent++; sent%20 == 0 {
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	storm(lines)
	eventually(t, "the run is over", func() bool {
		h := l.history(t)
		return len(h) == 1 && len(l.jobs(t)) == 0
	})
	eventually(t, "its verdict is told", func() bool { return len(told.messages()) > 0 })
	h, m := l.history(t), told.messages()
	if len(h) != 1 || !strings.HasPrefix(h[0].Cause, "event sa-down from syslog") || h[0].Outcome != "failed" {
		t.Fatalf("history %+v\n%s", h, w.said.String())
	}
	if len(m) != 1 || m[0].Run != h[0].ID || m[0].Action != notify.Trigger || m[0].Tunnel != "demo" || m[0].Code == "" ||
		m[0].Outcome != "failed" {
		t.Errorf("told %+v", m)
	}
	told.mu.Lock()
	late := told.at[0].Sub(m[0].At)
	told.mu.Unlock()
	if n := told.requests(); n != 1 || late > patience*time.Minute { // at the first try
		t.Errorf("told %s after the verdict, by %d tries", late, n)
	}
	t.Logf("told %s after the verdict", late)
	var listed struct{ Events []listedEvent }
	eventually(t, "the others are counted", func() bool {
		if err := json.Unmarshal([]byte(l.must(t, "events", "tail", "-f", "json")), &listed); err != nil {
			t.Fatal(err)
		}
		if len(listed.Events) == 1 && listed.Events[0].More > lines/2 {
			return true
		}
		storm(lines / 20) // UDP loses lines where the worker is too slow to take them: the router goes on
		return false
	})
	if e := listed.Events[0]; e.Outcome != "started" || e.Run != h[0].ID || e.More >= sent || e.Kind != "sa-down" {
		t.Errorf("events %+v", listed)
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("left on %v", dirty)
	}
	if code := w.stop(t); code != exitOK || strings.Contains(w.said.String(), "shared-secret") {
		t.Errorf("exit %d\n%s", code, w.said.String())
	}
}

// What is to be told is told though the worker that found it is killed, and by one alone.
func TestANoticeSurvivesItsWorker(t *testing.T) {
	t.Parallel()
	told := newToldServer(t, -1)
	l := newAlertLab(t, "psk-mismatch", told)
	w := l.serve(t)
	l.run(t, "submit", "demo", "--until", "decided", "--wait")
	notices := func() (all []listedNotice) {
		var listed struct{ Notices []listedNotice }
		if err := json.Unmarshal([]byte(l.must(t, "notify", "list", "-f", "json")), &listed); err != nil {
			t.Fatal(err)
		}
		return listed.Notices
	}
	// What it came to is written: a worker that dies before has the notice to itself for minutes.
	eventually(t, "it is tried", func() bool {
		all := notices()
		return told.requests() > 0 && len(all) == 1 && all[0].Error != ""
	})
	if err := w.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-w.over
	told.relent()
	one, two := l.serve(t), l.serve(t)
	eventually(t, "it is told", func() bool { return len(told.messages()) == 1 })
	var all []listedNotice
	eventually(t, "that is written", func() bool {
		all = notices()
		return len(all) == 1 && all[0].State == fleet.NoticeSent
	})
	if n := all[0]; n.Tries < 2 || n.Target != "hook" || n.ID != told.messages()[0].ID {
		t.Errorf("%+v", n)
	}
	if one.stop(t)+two.stop(t) != exitOK || len(told.messages()) != 1 {
		t.Errorf("told %+v", told.messages())
	}
}

// openIntake is what takes events, on a database of its own without workers.
func openIntake(t *testing.T, text string, s *inventory.Service) (*alerts, *fleet.Store) {
	t.Helper()
	inv, err := inventory.Parse("inv.yaml", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	store, err := fleet.Open(t.Context(), fleet.Options{State: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	a := newApp(t.Context(),
		environment{stderr: io.Discard, stdout: io.Discard, getenv: func(string) string { return "" }})
	l, err := a.openAlerts(t.Context(), store, newCrew(a, store, inv), s)
	if err != nil {
		t.Fatal(err)
	}
	return l, store
}

const hookedInventory = `version: 1
defaults: {username: u, password: "env:P"}
peers:
  a: {host: 192.0.2.1, wan: {interface: GigabitEthernet1, address: 10.0.0.1}}
  b: {host: 192.0.2.2, wan: {interface: GigabitEthernet1, address: 10.0.0.2}}
  c: {host: 192.0.2.3, wan: {interface: GigabitEthernet1, address: 10.0.0.3}}
  d: {host: 192.0.2.4, wan: {interface: GigabitEthernet1, address: 10.0.0.4}}
tunnels:
  open: {a: a, b: b}
  eyes: {a: a, b: c, approve: four-eyes}
  dark: {a: b, b: d}
schedules:
  nightly: {cron: "RUN", tunnels: [dark], blackout: [{cron: "DARK", for: 1h}]}
`

// Approvals and blackouts hold for events; an alert that is told again starts nothing.
func TestWhatHoldsForEverybodyHoldsForEvents(t *testing.T) {
	t.Setenv("AM_TOKEN", "the-token")
	token, err := inventory.ParseSecretRef("env:AM_TOKEN")
	if err != nil {
		t.Fatal(err)
	}
	daily := func(d time.Duration) string { return time.Now().UTC().Add(d).Format("4 15 * * *") }
	text := strings.NewReplacer("RUN", daily(12*time.Hour), "DARK", daily(-5*time.Minute)).Replace(hookedInventory)
	l, store := openIntake(t, text,
		&inventory.Service{Hooks: inventory.Hooks{Alertmanager: &inventory.Hook{Token: token, Label: "tunnel"}}})
	mux := http.NewServeMux()
	l.hooks(mux)
	post := func(tunnel, fingerprint string) event.Taken {
		t.Helper()
		body := fmt.Sprintf(
			`{"version":"4","alerts":[{"status":"firing","labels":{"alertname":"Down","tunnel":%q},"startsAt":"2026-11-29T11:00:00Z","fingerprint":%q}]}`, tunnel, fingerprint)
		r := httptest.NewRequest(http.MethodPost, "/api/v1/hooks/alertmanager", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer the-token")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		var got struct{ Events []event.Taken }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != http.StatusAccepted || len(got.Events) != 1 {
			t.Fatalf("%d %s: %v", w.Code, w.Body, err)
		}
		return got.Events[0]
	}
	first := post("open", "f1")
	if first.Outcome != "started" || first.Run == "" {
		t.Fatalf("%+v", first)
	}
	r, err := store.Run(t.Context(), first.Run)
	if err != nil || r.Cause != "event alert from alertmanager" || r.State != fleet.Waiting || r.Approval != "" {
		t.Errorf("%+v, %v", r, err)
	}
	if again := post("open", "f2"); again.Outcome != "held" || again.Run != "" {
		t.Errorf("%+v", again)
	}
	eyes := post("eyes", "f1x")
	if r, err := store.Run(t.Context(), eyes.Run); err != nil || r.Approval != "wanted" {
		t.Errorf("a tunnel that wants approval: %+v, %v", r, err)
	}
	if dark := post("dark", "f3"); dark.Outcome != "held" || !strings.Contains(dark.Why, "blackout of schedule nightly") {
		t.Errorf("%+v", dark)
	}
	if nowhere := post("nowhere", "f4"); nowhere.Outcome != "ignored" {
		t.Errorf("%+v", nowhere)
	}
	// A worker that starts anew remembers by the database.
	l.in.brake = event.Brake{}
	if again := post("open", "f1"); again.Outcome != "held" || again.Why != "it started a run before" {
		t.Errorf("%+v", again)
	}
	l.in.brake = event.Brake{}
	if again := post("open", "f9"); again.Outcome != "held" || !strings.Contains(again.Why, "ago") {
		t.Errorf("%+v", again)
	}
	if runs, err := store.Runs(t.Context(), fleet.RunFilter{}); err != nil || len(runs) != 2 {
		t.Errorf("%d runs, %v", len(runs), err)
	}
	c := newCrew(l.in.app, store, l.in.inventory())
	q, err := requestOf(l.in.inventory().Tunnels["dark"], &captureFlags{until: "decided"}, newRunID(time.Now()))
	if err != nil {
		t.Fatal(err)
	}
	if until, why := c.hold(q.Plan, "event alert from alertmanager"); until.IsZero() ||
		!strings.Contains(why, "blackout") {
		t.Errorf("a run that an event started begins in a blackout: %s %s", until, why)
	}
}

// A worker that cannot listen where it is told to ends, and says so.
func TestServeSaysWhereItCannotListen(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	c, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	at := c.LocalAddr().String()
	for _, tt := range []struct {
		at   string
		code int
		want string
	}{{"udp:" + at, exitFailed, "address already in use"}, {"514", exitUsage, "want udp:HOST:PORT or tcp:HOST:PORT"}} {
		if r := l.run(t, "serve", "--syslog", tt.at); r.code != tt.code || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%s: exit %d\n%s", tt.at, r.code, r.stderr)
		}
	}
	if err := os.WriteFile(filepath.Join(l.dir, "serve.yaml"), []byte("events: {on: [sa-dwn]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := l.run(t, "serve"); r.code != exitUsage || !strings.Contains(r.stderr, `event "sa-dwn": want one of sa-down,`) {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
}

func TestEventsAndNotifyCommands(t *testing.T) {
	t.Parallel()
	told := newToldServer(t, 0)
	l := newAlertLab(t, "healthy", told)
	for _, tt := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"events", "rules"}, "%LINEPROTO-n-UPDOWN", exitOK},
		{[]string{"events", "test", "--from", "site-a",
			"%CRYPTO-5-SESSION_STATUS: Crypto tunnel is DOWN.  Peer 192.168.2.1:500 Id: x"}, "demo", exitOK},
		{[]string{"events", "test", "--from", "198.51.100.7",
			"%CRYPTO-5-SESSION_STATUS: Crypto tunnel is DOWN.  Peer 192.168.2.1:500 Id: x"}, "no peer's", exitOK},
		{[]string{"events", "test", "%SYS-5-CONFIG_I: x"}, "no rule takes it", exitOK},
		{[]string{"events", "test", "hello"}, "MNEMONIC", exitUsage},
		{[]string{"events", "test", "--from", "site-x", "%IKEV2-5-SA_DOWN: SA DOWN"}, "want an address, or a peer",
			exitUsage},
		{[]string{"events", "tail"}, "there is no database yet", exitUsage},
		{[]string{"notify", "list"}, "webhook", exitOK},
		{[]string{"notify", "test", "nobody"}, `no target "nobody"`, exitUsage},
	} {
		if r := l.run(t, tt.args...); r.code != tt.code || !strings.Contains(r.stdout+r.stderr, tt.want) {
			t.Errorf("%v: exit %d\n%s%s", tt.args, r.code, r.stdout, r.stderr)
		}
	}
	if r := l.run(t, "notify", "test", "hook"); r.code != exitFailed || !strings.Contains(r.stderr, "env:HOOK_SECRET") {
		t.Errorf("without its secret: exit %d\n%s", r.code, r.stderr)
	}
	w := l.start(t, "notify", "test", "hook")
	<-w.over
	if m := told.messages(); w.ProcessState.ExitCode() != exitOK || len(m) != 1 || m[0].Action != notify.Test {
		t.Errorf("%s: told %+v", w.said.String(), m)
	}
}

// The routers themselves log that the SA between them is gone, both of them, to a worker that
// listens: one run is made.
func TestRoutersThatLoseTheirSAHaveARunMade(t *testing.T) {
	t.Parallel()
	var collector atomic.Pointer[net.UDPConn]
	l := &fleetLab{testLab: newLabWith(t, "healthy", func(o *simulator.Config) {
		o.Logged = func(line []byte) {
			if c := collector.Load(); c != nil { // a line that nobody listens for is lost, as a router's is
				_, _ = c.Write(line)
			}
		}
	})}
	l.state = filepath.Join(l.dir, "state")
	l.env = map[string]string{"XDG_STATE_HOME": l.state, "MONCAP_RUNS": filepath.Join(l.dir, "runs"),
		"PATH": os.Getenv("PATH")}
	if err := os.WriteFile(filepath.Join(l.dir, "serve.yaml"), []byte("syslog: udp:127.0.0.1:0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := l.serve(t)
	at := net.UDPAddrFromAddrPort(netip.MustParseAddrPort(w.at(t, "listens for log lines at udp:")))
	c, err := net.DialUDP("udp", nil, at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	collector.Store(c)
	first := l.submitted(t, "demo", "--until", "none", "--duration", "1h")[0]
	for _, r := range l.routers {
		eventually(t, "the SA is up", func() bool { return strings.Contains(r.Type("show crypto ikev2 sa"), "READY") })
	}
	for _, r := range l.routers {
		r.LoseSAs()
	}
	eventually(t, "a run waits for the routers", func() bool {
		jobs := l.jobs(t, "--state", "waiting")
		return len(jobs) == 1 && jobs[0].ID != first
	})
	l.must(t, "cancel", first)
	eventually(t, "a run was made of it", func() bool { return len(l.history(t)) == 2 && len(l.jobs(t)) == 0 })
	if h := l.history(t); h[1].ID != first || h[0].Cause != "event sa-down from syslog of site-a" &&
		h[0].Cause != "event sa-down from syslog of site-b" {
		t.Errorf("history %+v", h)
	}
	if code := w.stop(t); code != exitOK {
		t.Errorf("exit %d\n%s", code, w.said.String())
	}
}

// Alertmanager posts to a worker's page: a token lets it in, and a page's login does not.
func TestAlertmanagerStartsARunOverThePage(t *testing.T) {
	t.Parallel()
	l := newFleetLab(t)
	l.env["AM_TOKEN"] = "am-token-of-the-test"
	const settings = "hooks: {alertmanager: {token: \"env:AM_TOKEN\"}}\n"
	if err := os.WriteFile(filepath.Join(l.dir, "serve.yaml"), []byte(settings), 0o600); err != nil {
		t.Fatal(err)
	}
	w := l.serve(t, "--listen", "127.0.0.1:0")
	at := w.at(t, "the page is at http://")
	post := func(token string) (int, string) {
		t.Helper()
		const body = `{"version":"4","status":"firing","receiver":"moncap","alerts":[{"status":"firing","labels":{"alertname":"TunnelDown","tunnel":"demo"},
			"annotations":{"summary":"no traffic"},"startsAt":"2026-11-29T11:00:00Z","endsAt":"0001-01-01T00:00:00Z","fingerprint":"e2e0ff"}]}`
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+at+"/api/v1/hooks/alertmanager",
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(b)
	}
	if code, text := post("wrong"); code != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d %s", code, text)
	}
	code, text := post("am-token-of-the-test")
	if code != http.StatusAccepted || !strings.Contains(text, `"outcome":"started"`) {
		t.Fatalf("%d %s", code, text)
	}
	if code, text := post("am-token-of-the-test"); code != http.StatusAccepted ||
		!strings.Contains(text, `"outcome":"held"`) {
		t.Errorf("again: %d %s", code, text)
	}
	eventually(t, "the run is over", func() bool { return len(l.history(t)) == 1 && len(l.jobs(t)) == 0 })
	if h := l.history(t); h[0].Cause != "event alert from alertmanager" || h[0].Outcome != "established" {
		t.Errorf("%+v", h)
	}
	if code := w.stop(t); code != exitOK || strings.Contains(w.said.String(), "am-token") {
		t.Errorf("exit %d\n%s", code, w.said.String())
	}
}
