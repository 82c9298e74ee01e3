package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

// Of IKEv1 a run waits for what becomes of phase 2, so that its captures have the packets that
// tell. The packets come as fast as they did.
func TestUntilPhaseTwoOfIKEv1(t *testing.T) {
	const session = `^show crypto session`
	published := publishedCommands(t)
	for _, tt := range []struct {
		incident string
		code     int
		refuses  [2]bool // the sessions
		narrow   bool    // the account
		from, to time.Duration
	}{
		{incident: "ikev1-main-mode", code: exitOK, to: 3 * time.Second},
		{incident: "ikev1-nat", code: exitOK, to: 4 * time.Second},
		{incident: "ikev1-main-mode", code: exitOK, refuses: [2]bool{true, true}, from: 10 * time.Second,
			to: 13 * time.Second},
		{incident: "ikev1-main-mode", code: exitOK, refuses: [2]bool{false, true}, from: 10 * time.Second,
			to: 13 * time.Second},
		{incident: "ikev1-main-mode", code: exitOK, narrow: true, to: 3 * time.Second},
		// The last packet comes after eleven seconds.
		{incident: "ikev1-quick-mode-lost", code: exitCritical, from: 22 * time.Second, to: 26 * time.Second},
		{incident: "ikev1-quick-mode-lost", code: exitCritical, refuses: [2]bool{true, false}, from: 22 * time.Second,
			to: 26 * time.Second},
		{incident: "ikev1-quick-mode-refused", code: exitCritical, from: 12 * time.Second, to: 16 * time.Second},
	} {
		name := tt.incident
		for i, side := range []string{" A", " B"} {
			if tt.refuses[i] {
				name += side + " refuses"
			}
		}
		if tt.narrow {
			name += " narrow"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				incident, err := testdata.Load(tt.incident)
				if err != nil {
					t.Fatal(err)
				}
				pair, err := simulator.NewPair(incident.A, incident.B, 1)
				if err != nil {
					t.Fatal(err)
				}
				sides := []simulator.Source{pair.A(), pair.B()}
				b := newBubbleOf(t, isGone, tt.incident, 0, func(c *simulator.Config) {
					c.Packets, sides = sides[0], sides[1:]
					if tt.narrow {
						c.View, c.Privilege = iosxe.NarrowCommands(), 1
					}
				})
				for i, r := range b.routers {
					if tt.refuses[i] {
						r.AddFault(simulator.Fault{Match: regexp.MustCompile(session), Action: simulator.OtherWords, Times: -1,
							Text: "% Authorization failed.\n\n"})
					}
				}
				var began, ended time.Time
				args := []string{"run", "demo", "-i", b.inventory, "--out", filepath.Join(b.dir, "bundle"), "--until",
					"decided", "--duration", "2m", "--format", "json"}
				if tt.narrow {
					args = append(args, "--zero-config")
				}
				r := b.moncap(t.Context(), func(e capture.Event) {
					switch {
					case e.Phase != capture.PhaseWait:
					case e.Kind == capture.Began:
						began = e.Time
					case e.Kind == capture.Ended:
						ended = e.Time
					}
				}, args...)
				if r.code != tt.code {
					t.Errorf("exit %d, want %d\n%s", r.code, tt.code, r.stderr)
				}
				if took := ended.Sub(began); took < tt.from || took > tt.to {
					t.Errorf("waited %s, want %s to %s", took, tt.from, tt.to)
				}
				expectTruth(t, tt.incident, r.stdout)
				if told := strings.Contains(r.stdout, "Quick Mode came to its end is not seen"); told !=
					(tt.refuses[0] || tt.refuses[1]) {
					t.Errorf("told of a refusal: %t\n%s", told, r.stdout)
				}
				for _, router := range b.routers {
					asked := false
					for _, line := range router.Commands() {
						asked = asked || regexp.MustCompile(session).MatchString(line)
						if !listed(published, line) {
							t.Errorf("%q was sent, and is not published", line)
						}
					}
					if !asked {
						t.Error("the session was not asked for")
					}
				}
				b.nothingLeft(t, r)
			})
		})
	}
}

// An armed run takes IKEv1 for up when phase 2 is done, and for failed when it is not.
func TestWatchWaitsForPhaseTwoOfIKEv1(t *testing.T) {
	for _, tt := range []struct {
		incident, on string
		within       time.Duration // 0: nothing is caught
	}{
		{"ikev1-main-mode", "sa-up", time.Minute},
		{"ikev1-quick-mode-lost", "sa-up", 0},
		{"ikev1-quick-mode-lost", "negotiation-failed", 5 * time.Minute},
	} {
		t.Run(tt.incident+" "+tt.on, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWatchOn(t, newBubbleOf(t, isGone, tt.incident, 40*time.Second), "--on", tt.on, "--for", "6m", "--after",
					"5s")
				began := time.Now()
				w.ends(10 * time.Minute)
				took := time.Since(began)
				if caught := strings.Contains(w.stdout.String(), "CAUGHT "+tt.on); caught != (tt.within > 0) ||
					caught && took > tt.within || !caught && took < 355*time.Second {
					t.Errorf("caught %t, after %s\n%s\n%s", caught, took, w.stdout.String(), w.stderr.String())
				}
				w.clean()
			})
		})
	}
}
