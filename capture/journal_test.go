package capture

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// TestAJournalFromElsewhereCannotCommandARouter: a bundle may have been mailed, or tampered with.
func TestAJournalFromElsewhereCannotCommandARouter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		if _, err := begin(l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		before := l.state()
		for _, e := range []bundle.Entry{
			{Side: A, Kind: kindACL, Name: "KEEP", State: bundle.Made},
			{Side: A, Kind: kindFile, Name: "bootflash:keep.bin", State: bundle.Made},
			{Side: A, Kind: "reload", Name: "now", State: bundle.Made},
			{Side: B, Kind: kindCapture, Name: "other", State: bundle.Intent},
			{Side: B, Kind: kindDebug, Name: "192.168.1.1", State: bundle.Made}, // this plan has no debug
		} {
			if err := l.bundle.Record(e); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Clean(t.Context(), l.bundle, l.hosts(), l.opts)
		var dirty *DirtyError
		if !errors.As(err, &dirty) || len(dirty.Left) != 5 {
			t.Errorf("%v", err)
		}
		for _, left := range dirty.Left {
			if left.Reason != ReasonJournal || len(left.Remove) > 0 {
				t.Errorf("%+v", left)
			}
		}
		for _, name := range slices.Concat(l.a.calls, l.b.calls) {
			if !reads(name) {
				t.Errorf("%s was sent", name)
			}
		}
		if l.state() != before {
			t.Error("the routers changed")
		}
	})
}

func TestAPlanFromElsewhereIsValidated(t *testing.T) {
	l := newLab(t, Settings{})
	if _, err := begin(l.plan, l.hosts(), l.bundle, l.opts); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(l.bundle.Path("run.json"))
	if err != nil {
		t.Fatal(err)
	}
	evil := strings.ReplaceAll(string(data), `"interface": "Gi1"`, `"interface": "Gi1\nreload"`)
	if evil == string(data) {
		t.Fatal("the interface is not in run.json any more")
	}
	if err := l.bundle.WriteFile("run.json", []byte(evil)); err != nil {
		t.Fatal(err)
	}
	if _, err := Clean(t.Context(), l.bundle, l.hosts(), l.opts); err == nil ||
		!strings.Contains(err.Error(), "interface") {
		t.Errorf("%v", err)
	}
}

func TestNothingIsChangedWithoutAJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{})
		if _, err := begin(l.plan, l.hosts(), l.bundle, l.opts); err != nil {
			t.Fatal(err)
		}
		reader, err := bundle.Open(l.bundle.Dir()) // its journal cannot be written
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		before := l.state()
		_, err = Run(t.Context(), l.plan, l.hosts(), reader, l.opts)
		var phase *PhaseError
		if !errors.As(err, &phase) || phase.Phase != PhaseACL || l.state() != before {
			t.Errorf("%v", err)
		}
	})
}

// TestEveryChangeIsAnnounced looks into the journal at the moment at which a
// changing command arrives.
func TestEveryChangeIsAnnounced(t *testing.T) {
	announced := map[string]string{
		"define-acl": kindACL, "define-capture": kindCapture, "limit-capture": kindCapture, "start-capture": kindActive,
		"export-capture": kindFile, "debug-condition": kindCondition, "debug-ikev2": kindDebug,
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t, Settings{Debug: true})
		seen := 0
		l.a.fault = func(_ int, c iosxe.Command) *fault {
			kind, changes := announced[c.Name]
			if !changes {
				return nil
			}
			seen++
			entries, _ := l.bundle.Journal()
			for _, open := range bundle.OpenChanges(entries) {
				if open.Side == A && open.Kind == kind {
					return nil
				}
			}
			t.Errorf("%s was not announced", c.Name)
			return nil
		}
		if _, err := Run(t.Context(), l.plan, l.hosts(), l.bundle, l.opts); err != nil || seen != len(announced) {
			t.Errorf("%v, %d changes", err, seen)
		}
	})
}

func TestHintsSayWhatToDo(t *testing.T) {
	for kind, want := range map[iosxe.RefusalKind]string{
		iosxe.Unauthorized: "moncap account", iosxe.NoSpace: "buffer_mb", iosxe.Unsupported: "platform",
		iosxe.AlreadyThere: "--name",
		iosxe.Missing:      "",
	} {
		err := &PhaseError{Phase: PhaseExport, Err: &iosxe.Refusal{Command: "x", Kind: kind}}
		if got := err.Hint(); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%d: %q, want %q", kind, got, want)
		}
	}
}
