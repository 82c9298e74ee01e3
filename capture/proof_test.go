package capture

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// clone copies what a run changes of a router.
func (f *fakeRouter) clone() *fakeRouter {
	c := *f
	c.acls, c.files, c.debugs = maps.Clone(f.acls), maps.Clone(f.files), maps.Clone(f.debugs)
	c.captures = map[string]*fakeCapture{}
	for name, point := range f.captures {
		p := *point
		c.captures[name] = &p
	}
	c.calls = nil
	return &c
}

// started is a lab whose captures run, as start leaves it, and the state before.
func started(t *testing.T, s Settings) (l *lab, before string) {
	t.Helper()
	s.Duration = time.Hour
	l = newLab(t, s)
	before = l.state()
	if _, err := Start(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
		t.Fatal(err)
	}
	return l, before
}

// copyOf makes another bundle of a run, with another journal; nil: none.
func (l *lab) copyOf(t *testing.T, journal []byte) *bundle.Bundle {
	t.Helper()
	dir := snapshot(t, l.bundle.Dir())
	name := filepath.Join(dir, "journal.jsonl")
	err := os.WriteFile(name, journal, 0o600)
	if journal == nil {
		err = os.Remove(name)
	}
	if err != nil {
		t.Fatal(err)
	}
	return reopen(t, dir)
}

func reopen(t *testing.T, dir string) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Resume(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func journalOf(t *testing.T, b *bundle.Bundle) []byte {
	t.Helper()
	data, err := os.ReadFile(b.Path("journal.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// honest holds a clean against the one thing that must never be: no error, and something of the run
// on a router.
func honest(t *testing.T, what, before string, l *lab, b *bundle.Bundle, o Options) error {
	t.Helper()
	result, err := Clean(t.Context(), b, l.hosts(), o)
	var dirty *DirtyError
	switch diff := cmp.Diff(before, l.state()); {
	case err == nil && diff != "":
		t.Errorf("%s: clean was content, and the routers are not as they were: %s", what, diff)
	case err == nil && !result.Run.Clean:
		t.Errorf("%s: clean was content, and run.json says that it is not clean", what)
	case err != nil && !errors.As(err, &dirty):
		t.Errorf("%s: %v", what, err)
	}
	return err
}

// TestCleanBelievesNoDamagedJournal damages the journal at every byte of every line,
// and cuts it there.
func TestCleanBelievesNoDamagedJournal(t *testing.T) {
	for _, damage := range []struct {
		name  string
		every int
		do    func(journal []byte, at int) []byte
	}{
		{"flipped", 1, func(j []byte, at int) []byte { j[at] ^= 1; return j }},
		{"cut", 1, func(j []byte, at int) []byte { return j[:at] }},
		{"zeroed", 7, func(j []byte, at int) []byte { j[at] = 0; return j }},
		{"taken out", 7, func(j []byte, at int) []byte { return slices.Delete(j, at, at+1) }},
	} {
		t.Run(damage.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				l, before := started(t, Settings{})
				whole := journalOf(t, l.bundle)
				dir := snapshot(t, l.bundle.Dir())
				run, err := os.ReadFile(filepath.Join(dir, "run.json"))
				if err != nil {
					t.Fatal(err)
				}
				a, b := l.a, l.b
				for at := 0; at < len(whole); at += damage.every {
					for name, data := range map[string][]byte{"run.json": run, "journal.jsonl": damage.do(slices.Clone(whole), at)} {
						if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
							t.Fatal(err)
						}
					}
					again, err := bundle.Resume(dir)
					if err != nil {
						t.Fatal(err)
					}
					l.a, l.b = a.clone(), b.clone()
					if err := honest(t, fmt.Sprintf("byte %d", at), before, l, again, l.opts); err != nil {
						t.Errorf("byte %d: %v", at, err)
					}
					if err := again.Close(); err != nil || t.Failed() {
						t.Fatal(err)
					}
				}
			})
		})
	}
}

// TestCleanWithoutAJournalLooks has no journal, one of zeros, one that nobody may read, and one
// that leads elsewhere.
func TestCleanWithoutAJournalLooks(t *testing.T) {
	for name, spoil := range map[string]func(journal string) error{
		"missing": os.Remove,
		"zeros":   func(j string) error { return os.WriteFile(j, make([]byte, 4096), 0o600) },
		"a folder": func(j string) error {
			return errors.Join(os.Remove(j), os.Mkdir(j, 0o700))
		},
		"a link": func(j string) error {
			return errors.Join(os.Rename(j, j+".elsewhere"), os.Symlink(j+".elsewhere", j))
		},
		"empty": func(j string) error { return os.Truncate(j, 0) },
		// as the folder was when the run began, and as a backup may bring it back
		"missing, and run.json of the beginning": func(j string) error {
			run := filepath.Join(filepath.Dir(j), "run.json")
			text, err := os.ReadFile(run)
			var r bundle.Run
			if err == nil {
				err = json.Unmarshal(text, &r)
			}
			r = bundle.Run{Schema: r.Schema, ID: r.ID, Tunnel: r.Tunnel, Tool: r.Tool, Started: r.Started, Plan: r.Plan, A: r.A,
				B: r.B}
			if err == nil {
				text, err = json.Marshal(&r)
			}
			return errors.Join(err, os.WriteFile(run, text, 0o600), os.Remove(j))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, before := started(t, Settings{})
				b := l.copyOf(t, journalOf(t, l.bundle))
				if err := spoil(b.Path("journal.jsonl")); err != nil {
					t.Skip(err)
				}
				open, proven, err := Outstanding(b, "")
				if err != nil || proven || len(open) != 6 {
					t.Errorf("outstanding: %v, proven %v, %d things", err, proven, len(open))
				}
				if err := honest(t, name, before, l, b, l.opts); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestACleanRunProvesIt: what was proven is not asked again, and a journal that changed since
// proves nothing.
func TestACleanRunProvesIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		before := l.state()
		if _, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		l.a.calls = nil
		if err := honest(t, "proven", before, l, l.copyOf(t, journalOf(t, l.bundle)), l.opts); err != nil ||
			len(l.a.calls) > 0 {
			t.Errorf("%v, asked %v", err, l.a.calls)
		}
		half := journalOf(t, l.bundle)
		if err := honest(t, "cut", before, l, l.copyOf(t, half[:len(half)/2]), l.opts); err != nil || len(l.a.calls) == 0 {
			t.Errorf("%v, asked %v", err, l.a.calls)
		}
		l.a.calls = nil
		if err := honest(t, "missing", before, l, l.copyOf(t, nil), l.opts); err != nil || len(l.a.calls) == 0 {
			t.Errorf("%v, asked %v", err, l.a.calls)
		}
	})
}

// TestForeignThingsAreNotTouched puts in the place of what a run made what another hand made since.
func TestForeignThingsAreNotTouched(t *testing.T) {
	for _, settings := range []Settings{{}, {Name: "cap"}} {
		for name, replace := range map[string]func(f *fakeRouter, name string){
			"access list": func(f *fakeRouter, name string) { f.acls[name] = []string{"permit tcp host 10.9.9.9 any"} },
			"longer access list": func(f *fakeRouter, name string) {
				f.acls[name] = append(f.acls[name], "permit tcp host 10.9.9.9 any")
			},
			"capture point": func(f *fakeRouter, name string) {
				f.captures[name] = &fakeCapture{filter: "Access-list: " + name, iface: "GigabitEthernet1", mb: 10, sec: 77,
					packets: 1, active: true, started: true, until: time.Now().Add(time.Hour)}
			},
			"capture point elsewhere": func(f *fakeRouter, name string) { f.captures[name].iface = "GigabitEthernet7" },
			"other filter":            func(f *fakeRouter, name string) { f.captures[name].filter = "Access-list: VTY-IN" },
		} {
			t.Run(name+settings.Name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l, _ := started(t, settings)
					replace(l.a, l.plan.A.Name.String())
					foreign := l.a.clone()
					o := l.opts
					o.Name = settings.Name
					_, err := Clean(t.Context(), l.bundle, l.hosts(), o)
					var dirty *DirtyError
					if !errors.As(err, &dirty) || dirty.Left[0].Reason != ReasonForeign || dirty.Left[0].Peer != "site-a" {
						t.Errorf("%v", err)
					}
					own := l.plan.A.Name.String()
					if strings.Contains(name, "access list") && cmp.Diff(foreign.acls, l.a.acls) != "" ||
						!strings.Contains(name, "access list") &&
							(l.a.captures[own] == nil || *l.a.captures[own] != *foreign.captures[own]) {
						t.Errorf("it was touched: %s", l.a.state())
					}
					for _, cmd := range []func() error{
						func() error { _, err := Stop(t.Context(), l.bundle, l.hosts(), o); return err },
						func() error { _, err := Collect(t.Context(), l.bundle, l.hosts(), o); return err },
					} {
						if err := cmd(); !errors.As(err, &dirty) {
							t.Errorf("%v", err)
						}
					}
					if !strings.Contains(name, "access list") && *l.a.captures[own] != *foreign.captures[own] {
						t.Errorf("stop or collect touched it: %s", l.a.state())
					}
				})
			})
		}
	}
}

// TestABundleFromElsewhereNamesNothing has a plan with a name that is not the run's: that of what
// somebody else needs.
func TestABundleFromElsewhereNamesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := started(t, Settings{})
		data, err := os.ReadFile(l.bundle.Path("run.json"))
		if err != nil {
			t.Fatal(err)
		}
		evil := strings.Replace(string(data), `"settings": {`, `"settings": {"name": "KEEP",`, 1)
		if err := l.bundle.WriteFile("run.json", []byte(evil)); err != nil {
			t.Fatal(err)
		}
		journal := strings.ReplaceAll(`{"seq":1,"side":"A","peer":"site-a","kind":"acl","name":"KEEP","state":"made"}`, "\n",
			"") + "\n"
		b := l.copyOf(t, []byte(journal))
		before := l.state()
		for _, name := range []string{"", "other", "KEEP"} {
			o := l.opts
			o.Name = name
			_, err := Clean(t.Context(), b, l.hosts(), o)
			var dirty *DirtyError
			var unasked *NameError
			if !errors.As(err, &dirty) || errors.As(err, &unasked) != (name != "KEEP") {
				t.Errorf("name %q: %v", name, err)
			}
			if diff := cmp.Diff(before, l.state()); diff != "" {
				t.Errorf("name %q: the routers changed: %s", name, diff)
			}
		}
	})
}

// TestWordsThatNobodyCanReadProveNothing: the router says something else than that there is none,
// and takes back nothing.
func TestWordsThatNobodyCanReadProveNothing(t *testing.T) {
	for _, show := range []string{"show-acl", "show-capture", "dir-file", "show-version"} {
		t.Run(show, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, before := started(t, Settings{})
				l.a.odd = map[string]string{show: "Resource temporarily not available, try again\n"}
				if err := honest(t, show, before, l, l.copyOf(t, nil), l.opts); err == nil && show != "show-version" {
					t.Error("clean was content")
				}
				l.a.odd = nil
				if err := honest(t, "later", before, l, l.copyOf(t, nil), l.opts); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestWhatIsGoneAlreadyWasNotRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, before := started(t, Settings{})
		delete(l.a.captures, "mcabc123")
		delete(l.a.acls, "mcabc123")
		result, err := Clean(t.Context(), l.bundle, l.hosts(), l.opts)
		if err != nil || l.state() != before {
			t.Errorf("%v", err)
		}
		for _, r := range result.Removed {
			if r.Side == A {
				t.Errorf("said to be removed: %s", r.What)
			}
		}
		if len(result.Removed) != 2 {
			t.Errorf("%v", result.Removed)
		}
	})
}

// TestOneRunOfTwoIsCleaned: another run's things are not this one's, however alike, and a copy of a
// bundle finds nothing.
func TestOneRunOfTwoIsCleaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, _ := started(t, Settings{})
		ea, eb := endpoints()
		other, err := NewPlan("hq-branch", ea, eb, Settings{Duration: time.Hour}, "20260102-def456")
		if err != nil {
			t.Fatal(err)
		}
		first := l.state()
		second, err := bundle.Create(filepath.Join(scratch(t), "second"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = second.Close() })
		if _, err := Start(t.Context(), other, l.hosts(), second, l.opts); err != nil {
			t.Fatal(err)
		}
		twin := reopen(t, snapshot(t, second.Dir()))
		for range 2 {
			for _, b := range []*bundle.Bundle{second, twin} {
				if err := honest(t, b.Dir(), first, l, b, l.opts); err != nil {
					t.Error(err)
				}
			}
		}
	})
}

func TestARunOfBeforeIdentitiesIsCleaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, before := started(t, Settings{})
		run, err := l.bundle.Run()
		if err != nil {
			t.Fatal(err)
		}
		run.A.Hostname, run.A.Serial, run.A.HostKey = "", "", ""
		if err := l.bundle.SaveRun(run); err != nil {
			t.Fatal(err)
		}
		var plain []string // as journals were written before they had checksums
		for line := range strings.Lines(string(journalOf(t, l.bundle))) {
			plain = append(plain, line[:strings.LastIndex(line, `,"crc32"`)]+"}\n")
		}
		if err := honest(t, "old", before, l, l.copyOf(t, []byte(strings.Join(plain, ""))), l.opts); err != nil {
			t.Error(err)
		}
	})
}

func TestACaptureWithoutLimitsYetIsPartOfARun(t *testing.T) {
	ea, eb := endpoints()
	p, err := NewPlan("t", ea, eb, Settings{}, "20260102-abc123")
	if err != nil {
		t.Fatal(err)
	}
	c := iosxe.Capture{Name: "mcabc123", ACL: "mcabc123", BufferMB: 10,
		Interfaces: []iosxe.Attachment{{Interface: "GigabitEthernet1", Direction: "both"}}}
	if got := p.A.compareCapture(&c); got != partial {
		t.Errorf("without limits: %d", got)
	}
	c.Packets, c.Duration = 20000, time.Minute
	if got := p.A.compareCapture(&c); got != whole {
		t.Errorf("whole: %d", got)
	}
	c.Duration = time.Hour
	if got := p.A.compareCapture(&c); got != foreign {
		t.Errorf("other limits: %d", got)
	}
}

// TestOrphanListsAreThoseThatRunsMake holds what counts as a run's access list against every list
// that a plan can make.
func TestOrphanListsAreThoseThatRunsMake(t *testing.T) {
	for _, six := range []bool{false, true} {
		for _, anyone := range []bool{false, true} {
			ea, eb := endpoints()
			if six {
				ea.Address, eb.Address = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
			}
			p, err := NewPlan("t", ea, eb, Settings{ICMPFromAnyone: anyone}, "20260102-abc123")
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range slices.Concat(p.A.defineACL.Lines[1:], p.B.defineACL.Lines[1:]) {
				if !tunnelEntry.Get().MatchString(normalEntry(line)) {
					t.Errorf("%q is not known for a run's", line)
				}
			}
		}
	}
	for _, line := range []string{"permit tcp host 10.9.9.9 any", "permit ip any any",
		"deny udp host 10.0.0.1 host 10.0.0.2", "permit udp any any",
		"permit udp host 10.0.0.1 host 10.0.0.2 eq isakmp"} {
		if tunnelEntry.Get().MatchString(line) {
			t.Errorf("%q counts as a run's", line)
		}
	}
}
