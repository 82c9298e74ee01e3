package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/inventory"
)

func TestSchedulePrint(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.edit(t, "tunnels:\n", "tunnels:\n  Other_one: {a: site-b, b: site-a}\n")
	schedule := func(args ...string) result {
		return moncap(t, append([]string{"schedule", "print", "-i", l.inventory}, args...)...)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"demo"}, "want one of --systemd"},
		{[]string{"demo", "--cron", "--k8s"}, "want one of --systemd"},
		{[]string{"demo", "--cron", "--at", "25:00"}, "--at:"},
		{[]string{"demo", "--cron", "--timezone", "Europe/Nowhere"}, "--timezone:"},
		{[]string{"demo", "--cron", "--weekdays", "someday"}, "--weekdays:"},
		{[]string{"demo", "--cron", "--", "--bogus"}, "behind --"},
		{[]string{"--cron"}, "want the names of tunnels"},
	} {
		if r := schedule(tt.args...); r.code != exitUsage || !strings.Contains(r.stderr, tt.want) {
			t.Errorf("%v: exit %d, want %q\n%s", tt.args, r.code, tt.want, r.stderr)
		}
	}
	cron := schedule("--all", "--cron", "--at", "23:59", "--spread", "30m", "--weekdays", "sat", "--", "--trigger",
		"ping 192.168.2.1 100%")
	var lines []string
	for line := range strings.Lines(cron.stdout) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "CRON_TZ=UTC") &&
			!strings.HasPrefix(line, "MONCAP_RUNS=") {
			lines = append(lines, line)
		}
	}
	entry := regexp.MustCompile(
		`^\d{1,2} (23 \* \* 6|0 \* \* 0) /\S+ -i \S+ --no-input run \S+ --until decided .* '?--trigger'? 'ping 192.168.2.1 100\\%'\n$`)
	if len(lines) != 2 || !entry.MatchString(lines[0]) || !entry.MatchString(lines[1]) {
		t.Errorf("crontab: %q\n%s", lines, cron.stderr)
	}
	if again := schedule("--all", "--cron", "--at", "23:59", "--spread", "30m", "--weekdays", "sat", "--", "--trigger",
		"ping 192.168.2.1 100%"); again.stdout != cron.stdout {
		t.Error("the spread is not the same twice")
	}
	docs := yaml.NewDecoder(strings.NewReader(schedule("--all", "--k8s").stdout))
	for n := 0; ; n++ {
		var doc struct {
			Kind     string
			Metadata struct{ Name string }
			Spec     struct {
				ConcurrencyPolicy string `yaml:"concurrencyPolicy"`
				TimeZone          string `yaml:"timeZone"`
			}
		}
		if err := docs.Decode(&doc); errors.Is(err, io.EOF) && n == 2 {
			break
		} else if err != nil || doc.Kind != "CronJob" ||
			!regexp.MustCompile(`^moncap-(demo|other-one)$`).MatchString(doc.Metadata.Name) ||
			doc.Spec.ConcurrencyPolicy != "Forbid" || doc.Spec.TimeZone != "UTC" {
			t.Fatalf("document %d: %+v, %v", n, doc, err)
		}
	}
	if r := schedule("demo", "--nomad"); r.code != exitOK ||
		strings.Count(r.stdout, "{") != strings.Count(r.stdout, "}") ||
		!strings.Contains(r.stdout, "prohibit_overlap = true") {
		t.Errorf("nomad: exit %d\n%s", r.code, r.stdout)
	}
	verifyUnits(t, schedule("demo", "--systemd", "--timezone", "Europe/Berlin", "--weekdays", "mon,fri", "--user", "root",
		"--program", "/bin/true").stdout)
}

// verifyUnits has systemd judge the units.
func verifyUnits(t *testing.T, text string) {
	t.Helper()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not there to judge the units")
	}
	service, timer, ok := strings.Cut(text, "# /etc/systemd/system/moncap-demo.timer\n")
	if !ok {
		t.Fatalf("no timer in\n%s", text)
	}
	dir := t.TempDir()
	for name, unit := range map[string]string{"moncap-demo.service": service, "moncap-demo.timer": timer} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(unit), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "verify", "--man=no",
		filepath.Join(dir, "moncap-demo.service"), filepath.Join(dir, "moncap-demo.timer")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "moncap-demo") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// TestScheduleSaysWhatDiffers: what a schedule says of its captures holds against the tunnel, also
// where it wants less of a router; what it does not say is as the tunnel has it.
func TestScheduleSaysWhatDiffers(t *testing.T) {
	inv, err := inventory.Parse("inv.yaml", strings.NewReader(`version: 1
defaults:
  username: u
  agent: true
  capture: {packet_trace: 64, control_plane: true, binary_trace: true, circular: true, ike_only: true, packets: 700}
peers:
  a: {host: 192.0.2.10, wan: {interface: Gi1, address: 192.0.2.1}}
  b: {host: 192.0.2.20, wan: {interface: Gi1, address: 198.51.100.1}}
tunnels:
  t: {a: a, b: b, capture: {binary_trace: false}}
  untraced: {a: a, b: b, capture: {packet_trace: 0}}
schedules:
  n:
    cron: "30 2 * * *"
    tunnels: [t]
    capture: {packet_trace: 0, control_plane: false, circular: false, ike_only: false, duration: 2m}
  as-they-are: {cron: "30 2 * * *", tunnels: all}
`))
	if err != nil {
		t.Fatal(err)
	}
	a := newApp(t.Context(), environment{getenv: func(string) string { return "" }})
	defer a.interrupts.cancel(nil)
	settings := func(name string) map[string]capture.Settings {
		requests, err := a.scheduledRequests(inv, inv.Schedules[name], time.Now(), "x")
		if err != nil {
			t.Fatal(err)
		}
		all := map[string]capture.Settings{}
		for _, r := range requests {
			all[r.Plan.Tunnel] = r.Plan.Settings
		}
		return all
	}
	if s := settings("n")["t"]; s.PacketTrace != 0 || s.ControlPlane || s.BinaryTrace || s.Circular || s.IKEOnly ||
		s.Duration != 2*time.Minute || s.Packets != 700 {
		t.Errorf("%+v", s)
	}
	all := settings("as-they-are")
	if s := all["t"]; s.PacketTrace != 64 || !s.ControlPlane || s.BinaryTrace || !s.Circular || !s.IKEOnly {
		t.Errorf("%+v", s)
	}
	if s := all["untraced"]; s.PacketTrace != 0 || !s.ControlPlane || !s.BinaryTrace {
		t.Errorf("%+v", s)
	}
}
