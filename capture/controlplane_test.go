package capture

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

func TestPlanOfTheControlPlane(t *testing.T) {
	ea, eb := endpoints()
	for _, s := range []Settings{{}, {ZeroConfig: true}, {Name: "cap"}} {
		s.ControlPlane = true
		p, err := NewPlan("hq", ea, eb, s, "20260102-abc123")
		if err != nil {
			t.Fatal(err)
		}
		var typed []string
		for _, step := range p.Steps(A) {
			if !iosxe.Allowed(step.Command) {
				t.Errorf("%q may not be sent", step.Command.Lines)
			}
			typed = append(typed, step.Command.Lines...)
		}
		at := func(line string) int {
			return slices.IndexFunc(typed, func(l string) bool { return strings.HasPrefix(l, line) })
		}
		point, other := "monitor capture "+p.A.Name.String(), "monitor capture "+p.A.control.name.String()
		order := []int{at(other + " start"), at(point + " start"), at(point + " stop"), at(other + " stop"),
			at("show " + other + " buffer dump"), at("show " + point + " parameter"), at("no " + other)}
		if slices.Min(order) < 0 || !slices.IsSorted(order) {
			t.Errorf("%+v: the control plane is not captured around the interfaces: %v\n%s", s, order,
				strings.Join(typed, "\n"))
		}
	}
	for name, s := range map[string]Settings{
		"a name that leaves no room":    {Name: "abcdefghijklmno"},
		"a name that becomes a keyword": {Name: "sto"},
		"an armed run":                  {Armed: &Arming{On: []string{EventLost}, For: time.Hour}},
	} {
		s.ControlPlane = true
		if _, err := NewPlan("hq", ea, eb, s, "20260102-abc123"); err == nil {
			t.Errorf("%s is taken", name)
		}
		s.ControlPlane = false
		if _, err := NewPlan("hq", ea, eb, s, "20260102-abc123"); err != nil {
			t.Errorf("%s without it: %v", name, err)
		}
	}
}

// What bears the name is ours only when it is what the plan defines.
func TestWhoseTheCaptureAtTheControlPlaneIs(t *testing.T) {
	ea, eb := endpoints()
	p, err := NewPlan("hq", ea, eb, Settings{ControlPlane: true}, "20260102-abc123")
	if err != nil {
		t.Fatal(err)
	}
	ours := iosxe.Capture{Name: p.A.control.name.String(), ACL: p.A.ACL.String(), Active: true, BufferMB: 1,
		Interfaces: []iosxe.Attachment{{Interface: "Control Plane", Direction: "both"}},
		Packets:    iosxe.ControlPlanePackets, PacketLen: iosxe.ControlPlaneBytes, Duration: p.A.control.point.Duration}
	for name, tt := range map[string]struct {
		change func(*iosxe.Capture)
		want   presence
	}{
		"as defined":         {func(*iosxe.Capture) {}, whole},
		"not started yet":    {func(c *iosxe.Capture) { c.Active = false }, partial},
		"its limits missing": {func(c *iosxe.Capture) { c.Duration, c.Packets, c.PacketLen = 0, 0, 0 }, partial},
		"nothing but a name": {func(c *iosxe.Capture) { *c = iosxe.Capture{Name: c.Name} }, partial},
		"on an interface":    {func(c *iosxe.Capture) { c.Interfaces[0].Interface = "GigabitEthernet1" }, foreign},
		"another list":       {func(c *iosxe.Capture) { c.ACL = "other" }, foreign},
		"other limits":       {func(c *iosxe.Capture) { c.Packets = 7 }, foreign},
		"a larger buffer":    {func(c *iosxe.Capture) { c.BufferMB = 10 }, foreign},
	} {
		c := ours
		c.Interfaces = slices.Clone(ours.Interfaces)
		tt.change(&c)
		if got := p.A.compareControlPlane(&c); got != tt.want {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// The binary trace is asked of no older release, last of all, and costs nothing when it fails.
func TestBinaryTraceIsTheLastAndOptional(t *testing.T) {
	const row = "2026/05/08 08:16:35.0 {iosrp_R0-0}{1}: [ikev2] [6472]: (note): waits\n"
	some, much := strings.Repeat(row, 9000), strings.Repeat(row, 20_000)
	for name, tt := range map[string]struct {
		software string
		fault    *fault
		noted    string // empty: nothing is
	}{
		"as asked":         {"17.09.04a", nil, ""},
		"much":             {"17.09.04a", &fault{say: much, idle: true}, "from the middle are left out"},
		"breaks off":       {"17.09.04a", &fault{say: some, idle: true, after: lostError{}}, "not read to its end"},
		"refused":          {"17.09.04a", &fault{before: &iosxe.Refusal{Text: "% Invalid input"}}, "could not be read"},
		"hangs":            {"17.09.04a", &fault{hang: true}, "could not be read"},
		"an older release": {"16.12.06", nil, "that takes IOS XE 17"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{BinaryTrace: true})
				l.a.software, l.b.software = tt.software, tt.software
				var asked []string
				l.a.fault = func(_ int, c iosxe.Command) *fault {
					asked = append(asked, c.Name)
					if c.Name == "show-binary-trace" {
						return tt.fault
					}
					return nil
				}
				result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if err != nil || result.Run.A.Source != bundle.SourceSCP {
					t.Fatalf("%v, source %q", err, result.Run.A.Source)
				}
				var notes []string
				for _, n := range result.Notes {
					if strings.Contains(n, "binary trace") {
						notes = append(notes, n)
					}
				}
				if told := strings.Join(notes, "\n"); (tt.noted == "") != (told == "") || !strings.Contains(told, tt.noted) {
					t.Errorf("noted %q, want %q", told, tt.noted)
				}
				shows, err := l.bundle.Show(bundle.A)
				if shown := shows["show-binary-trace"]; tt.fault != nil && tt.fault.say != "" &&
					(!strings.HasPrefix(shown, row) || len(shown) < 500<<10) {
					t.Errorf("%d bytes are kept of a trace that was read, %v", len(shown), err)
				}
				n := slices.Index(asked, "show-binary-trace")
				if strings.HasPrefix(tt.software, "16.") {
					if n >= 0 {
						t.Errorf("IOS XE %s was asked", tt.software)
					}
					return
				}
				if n < 0 || asked[n-1] != "show-interface-acl" || !slices.Contains(asked[n:], "delete-file") {
					t.Errorf("asked at %d of %q, not between the counters and the clean-up", n, asked)
				}
			})
		})
	}
}

// A router that hangs, breaks or refuses at the capture at its control plane is captured without
// it, and nothing of it stays.
func TestControlPlaneNeverCostsTheCapture(t *testing.T) {
	for name, tt := range map[string]struct {
		line  string
		fault fault
		noted string
	}{
		"hangs when it is defined": {"control-plane both", fault{hang: true},
			"there is no capture at its control plane"},
		"hangs when it is started": {"p start", fault{hang: true}, "there is no capture at its control plane"},
		"breaks at the definition": {"control-plane both", fault{before: lostError{}}, "looked at, and made again"},
		"refuses the start": {"p start", fault{before: &iosxe.Refusal{Text: "% no"}},
			"there is no capture at its control"},
		"hangs when it is stopped":        {"p stop", fault{hang: true}, "goes on until the clean-up"},
		"always hangs when it is stopped": {"p stop", fault{hang: true}, "goes on until the clean-up"},
		"had ended already": {"p stop", fault{before: &iosxe.Refusal{Text: "Capture is not active", Kind: iosxe.NotActive}},
			"had ended already"},
		"hangs at its dump": {"p buffer dump", fault{hang: true}, "could not be read"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{ControlPlane: true})
				struck, always := 0, strings.HasPrefix(name, "always")
				l.a.fault = func(_ int, c iosxe.Command) *fault {
					if strings.HasSuffix(c.Lines[0], tt.line) {
						struck++
						if f := tt.fault; struck == 1 || always {
							return &f
						}
					}
					return nil
				}
				result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if always {
					err = nil // its words are looked at below
				}
				if err != nil || result.Run.A.Source != bundle.SourceSCP || result.Run.B.Source != bundle.SourceSCP {
					t.Fatalf("%v, sources %q and %q\n%q", err, result.Run.A.Source, result.Run.B.Source, result.Notes)
				}
				if notes := strings.Join(result.Notes, "\n"); struck == 0 || !strings.Contains(notes, tt.noted) {
					t.Errorf("struck %d times, not noted: %q", struck, notes)
				}
				left := l.ownCaptures()
				if !always && len(left)+len(result.Run.Left) > 0 || always &&
					(!slices.Equal(left, []string{l.plan.A.control.name.String()}) || len(result.Run.Left) != 1) {
					t.Errorf("left: %q, told: %v", left, result.Run.Left)
				}
			})
		})
	}
}

// ownCaptures are the run's capture points that are on the routers.
func (l *lab) ownCaptures() []string {
	names := slices.Concat(slices.Collect(maps.Keys(l.a.captures)), slices.Collect(maps.Keys(l.b.captures)))
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, l.plan.A.Name.String()) })
}

// brokenBooks cannot be written when one kind of change is announced.
type brokenBooks struct {
	slowBooks
	kind string
}

func (b brokenBooks) Intend(_ context.Context, e bundle.Entry) error {
	if e.Kind == b.kind {
		return errors.New("the disk is full")
	}
	return nil
}

// What is at fault on this machine is not the router's refusal: nothing is made that is not in the
// books, and the run ends.
func TestControlPlaneIsNotGoneWithoutForWantOfBooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{ControlPlane: true})
		l.opts.Ledger = brokenBooks{kind: kindControlPlane}
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err == nil || !strings.Contains(err.Error(), "the disk is full") {
			t.Errorf("%v, notes %q", err, result.Notes)
		}
		if left := l.ownCaptures(); len(left) != 0 {
			t.Errorf("left: %q", left)
		}
	})
}
