package capture

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// showFaults are the ways in which a show fails.
func showFaults() map[string]*fault {
	return map[string]*fault{
		"too large": {before: errors.New("the output is too large")}, "lost": {before: lostError{}}, "hangs": {hang: true},
		"refused": refuse(iosxe.InvalidInput, "% Invalid input detected"),
	}
}

// TestNoShowCostsTheCapture lets every show of observe fail in every way.
func TestNoShowCostsTheCapture(t *testing.T) {
	settings := Settings{Debug: true, Until: Until{Kind: UntilEstablished}}
	ea, eb := endpoints()
	p, err := NewPlan("hq", ea, eb, settings, "20260102-abc123")
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range p.A.observeCommands() {
		for name, f := range showFaults() {
			t.Run(cmd.Name+"/"+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, settings)
					before := l.state()
					asked := 0
					var now atomic.Value
					l.opts.Events = func(e Event) { now.Store(e.Phase) }
					l.a.fault = func(_ int, c iosxe.Command) *fault {
						if now.Load() != PhaseObserve || c.Lines[0] != cmd.Lines[0] {
							return nil
						}
						asked++
						return f
					}
					result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
					if err != nil || result.Run.A.Source != bundle.SourceSCP || asked != 1 {
						t.Fatalf("%v, source %q, asked %d times", err, result.Run.A.Source, asked)
					}
					if !strings.Contains(strings.Join(result.Notes, "\n"), cmd.Name) &&
						!strings.Contains(strings.Join(result.Notes, "\n"), cmd.Lines[0]) {
						t.Errorf("it is not noted: %q", result.Notes)
					}
					if diff := cmp.Diff(before, l.state()); diff != "" {
						t.Error("routers changed:", diff)
					}
				})
			})
		}
	}
}

func TestARouterThatAnswersNoShowIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		asked := 0
		var now atomic.Value
		l.opts.Events = func(e Event) { now.Store(e.Phase) }
		l.a.fault = func(_ int, c iosxe.Command) *fault {
			if now.Load() == PhaseObserve && c.Name != "show-version" {
				asked++
				return &fault{before: lostError{}}
			}
			return nil
		}
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err != nil || asked != mostUnanswered || result.Run.A.Source != bundle.SourceSCP {
			t.Errorf("%v, asked %d times, notes %q", err, asked, result.Notes)
		}
	})
}

// TestTheOnlyCopyStays lets the transfer fail for good. What holds the packets stays on the router,
// collect fetches it when the cause is gone, and clean throws it away.
func TestTheOnlyCopyStays(t *testing.T) {
	noSCP := func(int, []byte) ([]byte, error) { return nil, errors.New("scp: Privilege denied.") }
	noDump := func(f *fakeRouter, also ...string) {
		f.fault = func(_ int, c iosxe.Command) *fault {
			if c.Name == "show-capture-dump" || slices.Contains(also, c.Name) {
				return refuse(iosxe.Unauthorized, "Command authorization failed.")
			}
			return nil
		}
	}
	for _, tt := range []struct {
		name  string
		set   Settings
		spoil func(l *lab)
		left  []string
	}{
		{"no SCP, and too much for the dump", Settings{}, func(l *lab) {
			l.a.fetchFault = noSCP
			l.a.fault = on("show-capture-buffer", &fault{say: " buffer used (KB) : 30000\n packets in buf   : 2\n"})
		}, []string{"file bootflash:mcabc123.pcap"}},
		{"no SCP, and too much for the dump, control plane", Settings{ControlPlane: true}, func(l *lab) {
			l.a.fetchFault = noSCP
			l.a.fault = on("show-capture-buffer", &fault{say: " buffer used (KB) : 30000\n packets in buf   : 2\n"})
		}, []string{"file bootflash:mcabc123.pcap", "capture point mcabc123p at the control plane",
			"access list mcabc123"}},
		{"no SCP, no dump, --keep", Settings{Keep: true}, func(l *lab) { l.a.fetchFault = noSCP; noDump(l.a) },
			[]string{"file bootflash:mcabc123.pcap"}},
		{"no export, no dump", Settings{}, func(l *lab) { noDump(l.a, "export-capture") },
			[]string{"capture point mcabc123", "access list mcabc123"}},
		{"no export, no dump, control plane", Settings{ControlPlane: true}, func(l *lab) { noDump(l.a, "export-capture") },
			[]string{"capture point mcabc123p at the control plane", "capture point mcabc123", "access list mcabc123"}},
		{"no dump, zero configuration", Settings{ZeroConfig: true}, func(l *lab) { noDump(l.a) },
			[]string{"capture point mcabc123"}},
		{"the file lacks packets, no dump", Settings{}, func(l *lab) { noDump(l.a); l.a.wrote = cutFile(1) },
			[]string{"capture point mcabc123", "access list mcabc123"}},
		{"not stopped", Settings{}, func(l *lab) { l.a.fault = on("stop-capture", refuse(iosxe.Unauthorized, "no")) },
			[]string{"capture point mcabc123", "access list mcabc123"}},
	} {
		for _, how := range []string{"collect", "clean"} {
			t.Run(tt.name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLab(t, tt.set)
					before := l.state()
					tt.spoil(l)
					result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
					var dirty *DirtyError
					if !errors.As(err, &dirty) || !strings.Contains(dirty.Hint(), "moncap collect "+l.bundle.Dir()) ||
						!strings.Contains(err.Error(), "left on purpose") {
						t.Fatalf("%v", err)
					}
					var left []string
					for _, l := range result.Run.Left {
						if l.Side != A || l.Reason == ReasonOnlyCopy && !strings.Contains(l.Why, "only copy") ||
							l.Reason != ReasonOnlyCopy && !strings.HasPrefix(l.What, "running") {
							t.Errorf("%+v", l)
						}
						if l.Reason == ReasonOnlyCopy {
							left = append(left, l.What)
						}
					}
					if diff := cmp.Diff(tt.left, left); diff != "" || result.Run.Clean {
						t.Errorf("left, clean %v: %s", result.Run.Clean, diff)
					}
					l.a.fault, l.a.fetchFault, l.a.wrote = nil, nil, nil
					if how == "clean" {
						_, err = Clean(context.Background(), l.bundle, l.hosts(), l.opts)
					} else if result, err = Collect(t.Context(), l.bundle, l.hosts(), l.opts); err == nil {
						got := frames(t, l.bundle.Path("a.pcap"))
						if diff := cmp.Diff(l.a.frames, got); diff != "" || result.Run.A.Failed != "" || result.Run.Error != "" {
							t.Errorf("error %q, failed %q, packets: %s", result.Run.Error, result.Run.A.Failed, diff)
						}
						shows, err := l.bundle.Show(A)
						if _, read := shows["control-plane-show-capture-buffer"]; err != nil || read != tt.set.ControlPlane {
							t.Errorf("control plane read: %t, %v", read, err)
						}
					}
					if err != nil {
						t.Error(err)
					}
					if diff := cmp.Diff(before, l.state()); diff != "" && !(how == "collect" && tt.set.Keep) {
						t.Error("routers changed:", diff)
					}
				})
			})
		}
	}
}

// TestAPointThatIsGoneIsNotLeftOnPurpose reloads a router at its export: no list names
// what is not there.
func TestAPointThatIsGoneIsNotLeftOnPurpose(t *testing.T) {
	for _, file := range []bool{false, true} { // whether the export was through, and SCP cannot be had
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t, Settings{})
			gone := false
			l.a.fetchFault = func(int, []byte) ([]byte, error) { return nil, errors.New("scp: Privilege denied.") }
			l.a.fault = func(_ int, c iosxe.Command) *fault {
				if !gone && (c.Name == "export-capture" && !file || c.Name == "verify-md5" && file) {
					gone = true
					delete(l.a.captures, "mcabc123")
					delete(l.a.acls, "mcabc123")
				}
				return nil
			}
			result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
			if err == nil || !strings.Contains(err.Error(), pointGone) || !gone {
				t.Fatalf("%v", err)
			}
			var left []string
			for _, l := range result.Run.Left {
				left = append(left, l.What)
			}
			var want []string
			if file {
				want = []string{"file bootflash:mcabc123.pcap"}
			}
			if diff := cmp.Diff(want, left); diff != "" || len(l.a.acls["mcabc123"]) > 0 {
				t.Error("left:", diff)
			}
		})
	}
}

// cutFile takes so many bytes from the end of a file; negative: all but so many.
func cutFile(n int) func([]byte) []byte {
	return func(data []byte) []byte {
		if n < 0 {
			return data[:-n-1]
		}
		return data[:len(data)-n]
	}
}

// TestAFileThatLacksPacketsIsNotBelieved has the router write files with less than its buffer,
// which the size and the MD5 of the file cannot tell. The buffer is read then.
func TestAFileThatLacksPacketsIsNotBelieved(t *testing.T) {
	for name, tt := range map[string]struct {
		wrote func([]byte) []byte
		note  string
	}{
		"cut":         {cutFile(1), "the router wrote a file with 1 whole packets, and its buffer has 2"},
		"header only": {cutFile(-25), "the router wrote a file with 0 whole packets, and its buffer has 2"},
		"empty":       {cutFile(-1), "the router wrote a file that is no capture file"},
		"other words": {func([]byte) []byte { return []byte("% Error writing, sorry about that, all of it") },
			"no capture file"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{})
				before := l.state()
				l.a.wrote = tt.wrote
				result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if err != nil || result.Run.A.Source != bundle.SourceDump ||
					!strings.Contains(strings.Join(result.Notes, "\n"), tt.note) {
					t.Fatalf("%v, source %q, notes %q", err, result.Run.A.Source, result.Notes)
				}
				if diff := cmp.Diff(l.a.frames, frames(t, l.bundle.Path("a.pcap"))); diff != "" || l.a.fetches != 1 {
					t.Errorf("%d transfers, packets: %s", l.a.fetches, diff)
				}
				if diff := cmp.Diff(before, l.state()); diff != "" {
					t.Error("routers changed:", diff)
				}
			})
		})
	}
}

func TestADiskThatIsFullHereLeavesTheFileThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		// The capture's place in the bundle is taken by a folder that is not empty,
		// which no file replaces.
		if err := os.MkdirAll(l.bundle.Path("a.pcap/taken"), 0o700); err != nil {
			t.Fatal(err)
		}
		_, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		var dirty *DirtyError
		if !errors.As(err, &dirty) || len(dirty.Left) != 1 ||
			!strings.Contains(dirty.Left[0].Fetch, "site-a:bootflash:mcabc123.pcap") {
			t.Fatalf("%v", err)
		}
		if !bytes.Equal(l.a.files["mcabc123.pcap"], l.a.pcap()) {
			t.Error("the file is gone")
		}
	})
}

// TestSuccessIsWhatTheRouterSays answers in words that no release is known to use.
func TestSuccessIsWhatTheRouterSays(t *testing.T) {
	const odd = "Well, that went somehow."
	for _, tt := range []struct {
		command string
		done    bool
		source  string // empty: the run fails
		note    string
	}{
		{"start-capture", true, bundle.SourceSCP, "answered the start with \"" + odd},
		{"start-capture", false, "", "answered the start with \"" + odd},
		{"export-capture", true, bundle.SourceSCP, "answered the export with \"" + odd},
		{"export-capture", false, bundle.SourceDump, "answered the export with \"" + odd},
		{"stop-capture", true, bundle.SourceSCP, "answered the stop with \"" + odd},
		{"define-capture", true, bundle.SourceSCP, "answered the definition of the capture point with \"" + odd},
	} {
		t.Run(fmt.Sprintf("%s/%v", tt.command, tt.done), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{Duration: 30 * time.Second, Until: Until{UntilPackets, 2}})
				before := l.state()
				l.a.fault = on(tt.command, &fault{say: odd, idle: !tt.done})
				began := time.Now()
				result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if tt.source == "" {
					if err == nil || !strings.Contains(err.Error(), tt.note) || time.Since(began) > 5*time.Second {
						t.Errorf("after %s: %v", time.Since(began), err)
					}
				} else if err != nil || result.Run.A.Source != tt.source ||
					!strings.Contains(strings.Join(result.Notes, "\n"), tt.note) {
					t.Errorf("%v, source %q, notes %q", err, result.Run.A.Source, result.Notes)
				}
				if diff := cmp.Diff(before, l.state()); diff != "" {
					t.Error("routers changed:", diff)
				}
			})
		})
	}
}

func TestACaptureThatEndsAtOnceEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Duration: time.Hour})
		l.a.frames = nil
		l.a.fault = func(_ int, c iosxe.Command) *fault {
			if c.Name == "show-capture-buffer" {
				l.a.captures["mcabc123"].active = false
			}
			return nil
		}
		began := time.Now()
		_, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err == nil || !strings.Contains(err.Error(),
			"site-a (side A): wait: the capture is not active right after its start") || time.Since(began) > time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

func TestARowThatCannotBeReadIsNoMissingFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		l.a.fault = func(_ int, c iosxe.Command) *fault {
			if c.Name == "dir-file" && len(l.a.files["mcabc123.pcap"]) > 0 {
				return &fault{idle: true, say: "Directory of bootflash:/mcabc123.pcap\n\n   12  -rw-   1104  <no date>  " +
					"mcabc123.pcap\n\n1940303872 bytes total (1 bytes free)\n"}
			}
			return nil
		}
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err != nil || result.Run.A.Source != bundle.SourceSCP {
			t.Errorf("%v, source %q", err, result.Run.A.Source)
		}
	})
}

// TestTwoTornReadingsOfTheDumpAreOneWhole tears another packet of each reading, as a message of the
// router's does.
func TestTwoTornReadingsOfTheDumpAreOneWhole(t *testing.T) {
	without := func(text, line string) string {
		before, after, _ := strings.Cut(text, line)
		_, after, _ = strings.Cut(after, "\n")
		return before + "%SYS-5-CONFIG_I: Configured\n" + after
	}
	for _, tt := range []struct {
		name        string
		torn        [2]string // the line that is lost in each reading
		brief       bool
		wantRebuilt bool
	}{
		{"the middle of one, the index of the other", [2]string{"  0010:", "1\n"}, false, true},
		{"the end of one, the middle of the other", [2]string{"  0020:", "  0010:"}, false, false},
		{"the end of one alone", [2]string{"  0020:", "none"}, false, true},
		{"one packet twice", [2]string{"  0010:", "  0010:"}, false, false},
		{"a row of the listing", [2]string{"none", "none"}, true, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{ZeroConfig: true})
				n, briefs := 0, 0
				l.a.fault = func(_ int, c iosxe.Command) *fault {
					if c.Name == "show-capture-brief" && tt.brief {
						if briefs++; briefs == 1 {
							return &fault{idle: true, say: l.a.brief(l.a.frames[:1])}
						}
					}
					if c.Name != "show-capture-dump" || n == len(tt.torn) {
						return nil
					}
					n++
					return &fault{idle: true, say: without(dumpText(l.a.frames), tt.torn[n-1])}
				}
				_, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if (err == nil) != tt.wantRebuilt {
					t.Fatal(err)
				}
				if err == nil {
					if diff := cmp.Diff(l.a.frames, frames(t, l.bundle.Path("a.pcap"))); diff != "" {
						t.Error("packets:", diff)
					}
				}
			})
		})
	}
}
