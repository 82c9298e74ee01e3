package capture

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

func refuse(kind iosxe.RefusalKind, text string) *fault {
	return &fault{before: &iosxe.Refusal{Command: "it", Text: text, Kind: kind}}
}

// on strikes every command of that name.
func on(name string, f *fault) func(int, iosxe.Command) *fault {
	return func(_ int, c iosxe.Command) *fault {
		if c.Name == name {
			return f
		}
		return nil
	}
}

// frames reads back what WritePCAP wrote.
func frames(t *testing.T, path string) [][]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || len(data) < 24 {
		t.Fatalf("%s: %d bytes, %v", path, len(data), err)
	}
	var all [][]byte
	for data = data[24:]; len(data) >= 16; {
		n := int(data[8]) | int(data[9])<<8
		all = append(all, data[16:16+n])
		data = data[16+n:]
	}
	return all
}

func TestCaptureIsRebuiltFromTheDump(t *testing.T) {
	for _, tt := range []struct {
		name  string
		set   Settings
		spoil func(*fakeRouter)
		note  string
	}{
		{"server off", Settings{}, func(f *fakeRouter) { f.scpOff = true }, "Administratively disabled"},
		{"zero configuration", Settings{ZeroConfig: true}, func(f *fakeRouter) {}, "asked for without SCP"},
		{"export refused", Settings{}, func(f *fakeRouter) {
			f.fault = on("export-capture", refuse(iosxe.NoSpace, "No space left on device"))
		}, "No space left"},
		{"transfer impossible", Settings{}, func(f *fakeRouter) {
			f.fetchFault = func(int, []byte) ([]byte, error) { return nil, errors.New("scp: Privilege denied.") }
		}, "Privilege denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, tt.set)
				tt.spoil(l.a)
				before := l.state()
				result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(before, l.state()); diff != "" {
					t.Error("routers changed:", diff)
				}
				if result.Run.A.Source != bundle.SourceDump {
					t.Errorf("source %q", result.Run.A.Source)
				}
				for _, r := range []*bundle.Router{&result.Run.A, &result.Run.B} {
					if (r.TimesGoodToMS >= 1) != (r.Source == bundle.SourceDump) {
						t.Errorf("%s: the times of a file made from %s are good to %g ms", r.Peer, r.Source, r.TimesGoodToMS)
					}
				}
				if !strings.Contains(strings.Join(result.Notes, "\n"), tt.note) {
					t.Errorf("notes %q: want %q", result.Notes, tt.note)
				}
				if diff := cmp.Diff(l.a.frames, frames(t, l.bundle.Path("a.pcap"))); diff != "" {
					t.Error("packets:", diff)
				}
			})
		})
	}
}

func TestZeroConfigSendsOnlyWhatTheNarrowAccountMay(t *testing.T) {
	narrow := map[string]bool{}
	for _, d := range iosxe.AllCommands() {
		narrow[d.Name] = d.Narrow
	}
	for _, s := range []Settings{{}, {ControlPlane: true, BinaryTrace: true, Trigger: "ping 192.0.2.99"}} {
		s.ZeroConfig, s.Until = true, Until{Kind: UntilEstablished}
		calls := traceOf(t, s, "17.09.04a")
		for _, name := range calls {
			if !narrow[name] {
				t.Errorf("%s is not for the narrow account", name)
			}
		}
		if asked := slices.Contains(calls, "show-binary-trace"); asked != s.BinaryTrace ||
			slices.Contains(calls, "ping") != s.BinaryTrace {
			t.Errorf("%+v: sent %q", s, calls)
		}
	}
}

func TestAnEmptyBufferMakesAnEmptyFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		l.a.frames = nil
		l.a.fault = on("export-capture", refuse(iosxe.Unclassified, "Failed to Export"))
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err != nil || result.Run.A.Source != bundle.SourceEmpty || len(frames(t, l.bundle.Path("a.pcap"))) != 0 {
			t.Errorf("%v, source %q", err, result.Run.A.Source)
		}
	})
}

func TestTransferIsVerified(t *testing.T) {
	flip := func(data []byte) []byte {
		data = bytes.Clone(data)
		data[len(data)-1] ^= 1
		return data
	}
	for _, tt := range []struct {
		name   string
		spoil  func(n int, data []byte) ([]byte, error)
		source string
		tries  int
	}{
		{"one bit wrong once", func(n int, d []byte) ([]byte, error) {
			if n == 1 {
				return flip(d), nil
			}
			return d, nil
		}, bundle.SourceSCP, 2},
		{"one bit wrong always", func(n int, d []byte) ([]byte, error) { return flip(d), nil }, bundle.SourceDump, 2},
		{"short", func(n int, d []byte) ([]byte, error) { return d[:30], nil }, bundle.SourceDump, 2},
		{"endless", func(n int, d []byte) ([]byte, error) { return append(bytes.Clone(d), 0), nil }, bundle.SourceDump, 2},
		{"broken off once", func(n int, d []byte) ([]byte, error) {
			if n == 1 {
				return d[:30], lostError{}
			}
			return d, nil
		}, bundle.SourceSCP, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t, Settings{})
				l.a.fetchFault = tt.spoil
				result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
				if err != nil || result.Run.A.Source != tt.source || l.a.fetches != tt.tries {
					t.Errorf("%v, source %q, %d tries", err, result.Run.A.Source, l.a.fetches)
				}
				if diff := cmp.Diff(l.a.frames, frames(t, l.bundle.Path("a.pcap"))); diff != "" {
					t.Error("packets:", diff)
				}
			})
		})
	}
}

func TestAFullDiskHereIsNotWorkedAround(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("no space left on device")
		in := &intake{w: writerFunc(func([]byte) (int, error) { return 0, full }), md5: discardHash{}, sha: discardHash{}}
		_, err := io.Copy(in, strings.NewReader("data"))
		var local *localError
		if !errors.As(err, &local) || !errors.Is(err, full) {
			t.Errorf("%v", err)
		}
	})
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

type discardHash struct{}

func (discardHash) Write(p []byte) (int, error) { return len(p), nil }
func (discardHash) Sum(b []byte) []byte         { return b }
func (discardHash) Reset()                      {}
func (discardHash) Size() int                   { return 0 }
func (discardHash) BlockSize() int              { return 1 }

func TestOneDeadSideDoesNotCostTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		l.a.fault = func(n int, c iosxe.Command) *fault {
			if c.Name == "stop-capture" {
				return &fault{dead: true}
			}
			return nil
		}
		before := l.b.state()
		_, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		var dirty *DirtyError
		if !errors.As(err, &dirty) || !strings.Contains(err.Error(), "site-a (side A): stop") {
			t.Fatalf("%v", err)
		}
		for _, l := range dirty.Left {
			if l.Side != A {
				t.Errorf("left on the living side: %v", l)
			}
		}
		pathA, pathB := l.bundle.Captures()
		if pathA != "" || pathB == "" {
			t.Errorf("captures %q and %q", pathA, pathB)
		}
		if diff := cmp.Diff(before, l.b.state()); diff != "" {
			t.Error("side B changed:", diff)
		}
	})
}

func TestKeepLeavesTheThingsAndCleanTakesThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Keep: true, Debug: true})
		before := l.state()
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err != nil {
			t.Fatal(err)
		}
		var what []string
		for _, k := range result.Kept {
			what = append(what, string(k.Side)+" "+k.What)
		}
		want := []string{"A access list mcabc123", "A capture point mcabc123", "A file bootflash:mcabc123.pcap",
			"B access list mcabc123", "B capture point mcabc123", "B file bootflash:mcabc123.pcap"}
		if diff := cmp.Diff(want, what); diff != "" || result.Run.Clean || !result.Run.Kept {
			t.Errorf("clean %v, kept %v: %s", result.Run.Clean, result.Run.Kept, diff)
		}
		if len(l.a.debugs)+len(l.b.debugs) > 0 {
			t.Error("a debug was left on")
		}
		listed, err := Clean(t.Context(), l.bundle, l.hosts(), Options{DryRun: true})
		if err != nil || len(listed.Kept) != 6 || l.state() == before {
			t.Errorf("dry run: %v, %d things", err, len(listed.Kept))
		}
		if _, err := Clean(t.Context(), l.bundle, l.hosts(), l.opts); err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(before, l.state()); diff != "" {
			t.Error("routers changed:", diff)
		}
	})
}

func TestStepsOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Duration: time.Minute})
		before := l.state()
		ctx := t.Context()
		if _, err := Start(ctx, l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		states, err := Status(ctx, l.bundle, l.hosts(), l.opts)
		if err != nil || !states[0].Active || !states[1].Active || states[0].Packets != 2 {
			t.Errorf("%v, %+v", err, states)
		}
		if _, err := Stop(ctx, l.bundle, l.hosts(), l.opts); err != nil {
			t.Error(err)
		}
		if states, _ = Status(ctx, l.bundle, l.hosts(), l.opts); states[0].Active || !states[0].Exists {
			t.Errorf("%+v", states)
		}
		l.a.fetchFault = func(int, []byte) ([]byte, error) { return nil, errors.New("scp: reset") }
		l.a.fault = on("show-capture-dump", refuse(iosxe.Unclassified, "% no"))
		var dirty *DirtyError
		if _, err := Collect(ctx, l.bundle, l.hosts(), l.opts); !errors.As(err, &dirty) || len(dirty.Left) != 1 ||
			dirty.Left[0].Reason != ReasonOnlyCopy {
			t.Fatalf("collect that cannot fetch: %v", err)
		}
		l.a.fetchFault, l.a.fault = nil, nil
		result, err := Collect(ctx, l.bundle, l.hosts(), l.opts)
		if err != nil || !result.Run.Clean || result.Run.A.Source != bundle.SourceSCP || result.Run.A.Failed != "" {
			t.Errorf("collect again: %v, %+v", err, result.Run.A)
		}
		if diff := cmp.Diff(before, l.state()); diff != "" {
			t.Error("routers changed:", diff)
		}
		if _, err := Stop(ctx, l.bundle, l.hosts(), l.opts); !errors.Is(err, ErrNothing) {
			t.Errorf("stop after the end: %v", err)
		}
	})
}

func TestExportDoesNotOverwriteAForeignFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		l.a.fault = func(_ int, c iosxe.Command) *fault {
			if c.Name == "stop-capture" {
				l.a.files["mcabc123.pcap"] = []byte("somebody else's")
			}
			return nil
		}
		result, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		if err != nil || result.Run.A.Source != bundle.SourceDump ||
			!strings.Contains(strings.Join(result.Notes, "\n"), "not overwritten") {
			t.Errorf("%v, source %q, notes %q", err, result.Run.A.Source, result.Notes)
		}
		if string(l.a.files["mcabc123.pcap"]) != "somebody else's" {
			t.Error("the file was touched")
		}
	})
}

func TestAForeignAccessListIsNotRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		l.a.fault = func(_ int, c iosxe.Command) *fault {
			if c.Name == "define-acl" {
				l.a.acls["mcabc123"] = []string{"permit tcp any any"}
				return &fault{before: lostError{}}
			}
			return nil
		}
		_, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts)
		var dirty *DirtyError
		if !errors.As(err, &dirty) || len(l.a.acls["mcabc123"]) != 1 {
			t.Errorf("%v, %v", err, l.a.acls)
		}
	})
}

func TestDebugIsCollectedAndTurnedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Debug: true})
		if _, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		got, err := l.bundle.Debug(bundle.A)
		want := "*Apr  3 08:17:36.001: IKEv2:(SESSION ID = 7,SA ID = 1):Verify peer's policy\nPayload contents:\n"
		if err != nil || got != want {
			t.Errorf("%v, %q", err, got)
		}
		condition, debug := slices.Index(l.a.calls, "debug-condition"), slices.Index(l.a.calls, "debug-ikev2")
		if condition < 0 || debug < condition {
			t.Errorf("the condition must come first: %v", l.a.calls)
		}
	})
}

func TestEventsComeOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		inside, kinds := 0, map[EventKind]int{}
		l.opts.Events = func(e Event) {
			inside++
			kinds[e.Kind]++
			if inside != 1 || e.Time.IsZero() {
				t.Errorf("%d events at the same time, %+v", inside, e)
			}
			inside--
		}
		if _, err := Run(context.Background(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		if kinds[Began] == 0 || kinds[Began] != kinds[Ended] || kinds[Packets] == 0 || kinds[Progress] == 0 {
			t.Errorf("%v", kinds)
		}
	})
}

// TestStartGapOfARunThatWasKilled: a process that dies while it captures has written when the
// captures began, and the next one tells how far they were apart.
func TestStartGapOfARunThatWasKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		if _, err := Start(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		run, err := l.bundle.Run()
		if err != nil {
			t.Fatal(err)
		}
		run.StartGapMS, run.B.StartSent = 0, run.B.StartSent.Add(4*time.Millisecond)
		if err := l.bundle.SaveRun(run); err != nil {
			t.Fatal(err)
		}
		result, err := Collect(t.Context(), l.bundle, l.hosts(), l.opts)
		if err != nil || result.StartGap != 2*time.Millisecond {
			t.Errorf("start gap %s, %v", result.StartGap, err)
		}
	})
}
