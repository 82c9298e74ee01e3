package main

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moncap/moncap/device/simulator"
)

// atControlPlane is the matrix's run with a capture at the control planes as well.
func (l *testLab) atControlPlane(out string) []string {
	return append(l.matrixRun(out), "--control-plane")
}

func TestControlPlaneIsCapturedAndTakenBack(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "bundle")
	r := program{}.run(t.Context(), l.atControlPlane(out)...)
	if dirty := l.dirty(); r.code > exitInconclusive || len(dirty) > 0 {
		t.Fatalf("exit %d, %v is not as it was\n%s", r.code, dirty, r.stderr)
	}
	for side, router := range l.routers {
		folder := filepath.Join(out, string(rune('a'+side)), "show")
		text, err := os.ReadFile(filepath.Join(folder, "control-plane-show-capture-dump.txt"))
		if err != nil || !strings.Contains(string(text), "  0000:  ") {
			t.Errorf("side %d: %v\n%.200s", side, err, text)
		}
		typed := strings.Join(router.Commands(), "\n")
		for _, want := range []string{
			`(?m)^monitor capture mc[0-9a-z]{6}p access-list mc[0-9a-z]{6} buffer size 1 control-plane both$`,
			`(?m)^monitor capture mc[0-9a-z]{6}p start$`, `(?m)^monitor capture mc[0-9a-z]{6}p stop$`,
			`(?m)^no monitor capture mc[0-9a-z]{6}p$`,
		} {
			if n := len(regexp.MustCompile(want).FindAllString(typed, -1)); n != 1 {
				t.Errorf("side %d: %q was typed %d times:\n%s", side, want, n, typed)
			}
		}
		own := regexp.MustCompile(`(?m)^monitor capture (mc[0-9a-z]{6}p?) (start|stop)$`).FindAllStringSubmatch(typed, -1)
		var order []string
		for _, m := range own {
			order = append(order, strings.TrimPrefix(m[1], m[1][:8])+m[2])
		}
		if got := strings.Join(order, " "); got != "pstart start stop pstop" {
			t.Errorf("side %d: the control plane is not captured around the interfaces: %s", side, got)
		}
	}
}

// Packets in hexadecimal name both gateways, and nothing can be replaced in them:
// they are left out.
func TestRedactedBundleHasNoPacketsOfTheControlPlane(t *testing.T) {
	l := newTestLab(t, "healthy")
	out, zipped := filepath.Join(l.dir, "bundle"), filepath.Join(l.dir, "case.zip")
	if r := (program{}).run(t.Context(), l.atControlPlane(out)...); r.code > exitInconclusive {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	for redacted, want := range map[bool]int{false: 2, true: 0} {
		args := []string{"bundle", out, "-o", zipped, "--force"}
		if redacted {
			args = append(args, "--redact")
		}
		if r := (program{}).run(t.Context(), args...); r.code != exitOK {
			t.Fatalf("exit %d\n%s", r.code, r.stderr)
		}
		z, err := zip.OpenReader(zipped)
		if err != nil {
			t.Fatal(err)
		}
		n, buffers := 0, 0
		for _, f := range z.File {
			if strings.HasSuffix(f.Name, "control-plane-show-capture-dump.txt") {
				n++
			}
			if strings.HasSuffix(f.Name, "control-plane-show-capture-buffer.txt") {
				buffers++
			}
			if redacted && strings.HasSuffix(f.Name, "transcript.log") && dumps(t, f) {
				t.Errorf("%s has bytes of packets", f.Name)
			}
		}
		_ = z.Close()
		if n != want || buffers != 2 {
			t.Errorf("redacted %t: %d dumps, want %d; %d counts of packets", redacted, n, want, buffers)
		}
	}
}

func dumps(t *testing.T, f *zip.File) bool {
	t.Helper()
	r, err := f.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil || !strings.Contains(string(text), "buffer dump") {
		t.Errorf("%s: %v, or no dump was asked for", f.Name, err)
	}
	return regexp.MustCompile(`(?m)\s[0-9A-F]{4}:\s+[0-9A-F]{8} [0-9A-F]{8}`).Match(text)
}

// A firewall inside the responder drops what its capture shows to arrive: none of it came to the
// control plane.
func TestControlPlaneTellsADropInside(t *testing.T) {
	for name, want := range map[string]struct {
		during uint64
		code   string
		says   string
	}{
		"dropped": {6, "control-plane-drop", "none of them came to its control plane"},
		"handed":  {0, "peer-not-answering", "Its control plane was handed every one of them"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLabThatDrops(t, want.during)
			r := program{}.run(t.Context(), "run", "demo", "-i", l.inventory, "--out", filepath.Join(l.dir, "bundle"),
				"--duration", "3s", "--control-plane")
			said := strings.Join(strings.Fields(r.stdout), " ")
			if !strings.Contains(said, want.code) || !strings.Contains(said, want.says) {
				t.Errorf("the report does not say %s, %q:\n%s%s", want.code, want.says, r.stdout, r.stderr)
			}
			if dirty := l.dirty(); len(dirty) > 0 {
				t.Errorf("%v is not as it was", dirty)
			}
		})
	}
}

// TestControlPlaneIsWholeStepByStep: that stop ended the capture at the control plane is no reason
// to mistrust it when it is collected; that it had ended before is, whoever collects it.
func TestControlPlaneIsWholeStepByStep(t *testing.T) {
	for _, by := range []string{"stop", "itself"} {
		l := newTestLab(t, "healthy")
		out := filepath.Join(l.dir, "bundle")
		step := func(args ...string) result {
			t.Helper()
			r := program{}.run(t.Context(), append(args, "-i", l.inventory)...)
			if r.code > exitInconclusive {
				t.Fatalf("%v: exit %d\n%s", args, r.code, r.stderr)
			}
			return r
		}
		step("start", "demo", "--out", out, "--duration", "60s", "--control-plane")
		if by == "itself" {
			for _, router := range l.routers {
				router.AddFault(simulator.Fault{Match: regexp.MustCompile(`^monitor capture mc\S{6}p stop`),
					Action: simulator.ErrorText, Text: "Capture x is not active\n\nUnable to deactivate Capture.\n"})
			}
		}
		step("stop", out)
		said := step("collect", out).stdout
		said = strings.Join(strings.Fields(said), " ")
		lacks, ended := strings.Contains(said, "it may lack"), strings.Contains(said, "had ended already")
		if lacks != ended || lacks != (by == "itself") || !strings.Contains(said, "control plane captured as well") {
			t.Errorf("ended by %s:\n%s", by, said)
		}
		if dirty := l.dirty(); len(dirty) > 0 {
			t.Errorf("%v is not as it was", dirty)
		}
	}
}

// TestStatusTellsOfTheControlPlane: its capture goes on after that of the interfaces has ended by
// itself, and is on the router when that is gone.
func TestStatusTellsOfTheControlPlane(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "bundle")
	status := func() (string, *runStatus) {
		t.Helper()
		text, asJSON := moncap(t, "status", out, "-i", l.inventory), moncap(t, "status", out, "-i", l.inventory, "-f", "json")
		var doc struct{ Runs []*runStatus }
		if err := json.Unmarshal([]byte(asJSON.stdout), &doc); err != nil || len(doc.Runs) != 1 || text.code != exitOK {
			t.Fatalf("%v, exit %d\n%s%s", err, text.code, asJSON.stdout, text.stderr)
		}
		return strings.Join(strings.Fields(text.stdout), " "), doc.Runs[0]
	}
	const lasts = 30 * time.Second
	if r := moncap(t, "start", "demo", "--out", out, "--duration", lasts.String(), "--control-plane", "-i", l.inventory,
		"-f", "json"); r.code != exitOK || !strings.Contains(r.stdout, "control_plane_ends") {
		t.Fatalf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	text, run := status()
	if !strings.Contains(text, "; at the control plane: stops by itself at ") || run.ControlEnds == nil ||
		run.ControlEnds.Sub(*run.Ends) != 5*time.Minute || run.Sides[0].Control != "active" ||
		!strings.Contains(text, "CONTROL PLANE PACKETS A site-a active") {
		t.Errorf("both run: %s, %+v", text, run)
	}
	for _, ends := range []struct{ command, says string }{
		{"monitor capture %s stop", "stopped, but not at the control plane: moncap collect stops that"},
		{"no monitor capture %s", "stopped, but not at the control plane: moncap collect stops that"},
		{"monitor capture %sp stop", "stopped: moncap collect"},
		{"no monitor capture %sp", "over: its captures are on no router any more"},
	} {
		for _, router := range l.routers {
			router.Type(fmt.Sprintf(ends.command, "mc"+run.ID[len(run.ID)-6:]))
		}
		if text, _ := status(); !strings.Contains(text, ends.says) {
			t.Errorf("after %s: %s", ends.command, text)
		}
	}
	if r := moncap(t, "clean", out, "-i", l.inventory); r.code != exitOK || len(l.dirty()) > 0 {
		t.Errorf("exit %d, %v\n%s", r.code, l.dirty(), r.stderr)
	}
}

// A router that has no such target is captured as without it, and nothing of it stays.
func TestControlPlaneThatIsRefused(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.routers[0].AddFault(simulator.Fault{Match: regexp.MustCompile(` control-plane both`), Action: simulator.ErrorText,
		Text: "                     ^\n% Invalid input detected at '^' marker.\n", Times: -1})
	out := filepath.Join(l.dir, "bundle")
	r := program{}.run(t.Context(), l.atControlPlane(out)...)
	if dirty := l.dirty(); r.code > exitInconclusive || len(dirty) > 0 {
		t.Fatalf("exit %d, %v is not as it was\n%s", r.code, dirty, r.stderr)
	}
	run, err := os.ReadFile(filepath.Join(out, "run.json"))
	if err != nil || !strings.Contains(string(run), "there is no capture at its control plane") {
		t.Errorf("it is not said: %v\n%s", err, run)
	}
	if _, err := os.Stat(filepath.Join(out, "a", "show", "control-plane-show-capture-buffer.txt")); err == nil {
		t.Error("what does not exist was read")
	}
}

// Where no router has such a capture, none is said to end.
func TestStatusWithoutTheControlPlaneThatWasAskedFor(t *testing.T) {
	l := newTestLab(t, "healthy")
	for _, router := range l.routers {
		router.AddFault(simulator.Fault{Match: regexp.MustCompile(` control-plane both`), Action: simulator.ErrorText,
			Text: "                     ^\n% Invalid input detected at '^' marker.\n", Times: -1})
	}
	out := filepath.Join(l.dir, "bundle")
	started := moncap(t, "start", "demo", "--out", out, "--duration", "60s", "--control-plane", "-i", l.inventory, "-f",
		"json")
	told := moncap(t, "status", out, "-i", l.inventory, "-f", "json")
	for _, r := range []result{started, told} {
		if r.code != exitOK || !strings.Contains(r.stdout, `"ends"`) || strings.Contains(r.stdout, "control_plane") {
			t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
		}
	}
	if r := moncap(t, "clean", out, "-i", l.inventory); r.code != exitOK || len(l.dirty()) > 0 {
		t.Errorf("exit %d, %v\n%s", r.code, l.dirty(), r.stderr)
	}
}

// controlPlaneCommands are all that a capture at the control plane types.
var controlPlaneCommands = map[string]string{
	"define": `^monitor capture \S+ .*control-plane both`,
	"start":  `^monitor capture mc\S{6}p start`,
	"stop":   `^monitor capture mc\S{6}p stop`,
	"dump":   `^show monitor capture mc\S{6}p buffer dump`,
	"remove": `^no monitor capture mc\S{6}p`,
}

// TestControlPlaneSurvivesEveryFault is the matrix of faults at each of its commands.
func TestControlPlaneSurvivesEveryFault(t *testing.T) {
	survivesEveryFault(t, controlPlaneCommands, (*testLab).atControlPlane, syscall.SIGKILL)
}

// What a capture at the control plane says stands in the redacted report as well.
func TestRedactedBundleKeepsTheDropInside(t *testing.T) {
	t.Parallel()
	l := newLabThatDrops(t, 6)
	out, zipped := filepath.Join(l.dir, "bundle"), filepath.Join(l.dir, "case.zip")
	program{}.run(t.Context(), "run", "demo", "-i", l.inventory, "--out", out, "--duration", "3s", "--control-plane")
	r := program{}.run(t.Context(), "bundle", out, "-o", zipped, "--redact")
	if r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	z, err := zip.OpenReader(zipped)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	at := slices.IndexFunc(z.File, func(f *zip.File) bool { return strings.HasSuffix(f.Name, "report.json") })
	if at < 0 {
		t.Fatal("there is no report")
	}
	f, err := z.File[at].Open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if text, err := io.ReadAll(f); err != nil || !strings.Contains(string(text), `"came": 0`) {
		t.Errorf("%v: it does not stand there:\n%.4000s", err, text)
	}
}
