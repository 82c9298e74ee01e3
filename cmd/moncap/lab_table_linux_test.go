package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/moncap/moncap/analysis/report"
)

// A cause that the lab could not set up is none that moncap judged: it is told so, with the reason,
// and it is not right.
func TestLabTableTellsWhatWasNotPlayed(t *testing.T) {
	var results sync.Map
	for i, j := range []judged{
		{cause: "one", verdict: "failed", lead: "auth-failed", after: "1.0"},
		{cause: "two", verdict: "established", lead: "tunnel-established", wrong: "the outcome is established"},
		{cause: "three", notPlayed: "/usr/sbin/iked is not installed"},
		{cause: "four", notPlayed: "the daemon of side a ends: no such key", failed: true},
	} {
		results.Store(i, j)
	}
	table := labTable(&results)
	for _, want := range []string{"right", "WRONG: the outcome is established",
		"not played: /usr/sbin/iked is not installed", "not played: the daemon of side a ends: no such key",
		"1 of 3 right, 2 not played, 1 of these because the lab failed\n"} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if strings.Count(table, "WRONG") != 1 {
		t.Errorf("what was not played is judged:\n%s", table)
	}
	results.Delete(3)
	if table = labTable(&results); !strings.HasSuffix(table, "1 of 2 right, 1 not played\n") {
		t.Errorf("a make that is not there counts:\n%s", table)
	}
}

// A row is right only with its lead, its outcome, all that has to be there as well, and no other
// accusation.
func TestLabJudges(t *testing.T) {
	lost := trouble{want: []string{"path-loss"}, also: comes, ends: limps}
	lead, up := report.Finding{Code: "path-loss"}, report.Finding{Code: "tunnel-established"}
	blocked := report.Finding{Code: "esp-blocked", Severity: report.Critical}
	follows := report.Finding{Code: "esp-blocked", Severity: report.Critical, CausedBy: "path-loss"}
	for name, tt := range map[string]struct {
		outcome  report.Outcome
		findings []report.Finding
		wrong    string // in it; empty: it is right
	}{
		"right":                      {report.Degraded, []report.Finding{lead, up}, ""},
		"right, and what follows":    {report.Degraded, []report.Finding{lead, up, follows}, ""},
		"another outcome":            {report.Failed, []report.Finding{lead, up}, "the outcome is failed, want degraded"},
		"what is beside it leads":    {report.Degraded, []report.Finding{up, lead}, "tunnel-established, want path-loss"},
		"something is not there":     {report.Degraded, []report.Finding{lead}, "no tunnel-established"},
		"something else is accused":  {report.Degraded, []report.Finding{lead, up, blocked}, "esp-blocked, want path-loss"},
		"nothing is said":            {report.Degraded, nil, "there are no findings"},
		"another direction leads it": {report.Degraded, []report.Finding{lead, up}, "want A->B"},
	} {
		c := lost
		if name == "another direction leads it" {
			c.where = report.AtoB
		}
		got := c.judge(&report.Report{Verdict: report.Verdict{Outcome: tt.outcome}, Findings: tt.findings}).wrong
		if (got == "") != (tt.wrong == "") || !strings.Contains(got, tt.wrong) {
			t.Errorf("%s: %q, want %q", name, got, tt.wrong)
		}
	}
}

// ending is a test that ends where it fails.
type ending struct {
	testing.TB
	said string
}

func (e *ending) Helper() {}

func (e *ending) Fatal(args ...any) {
	e.said = fmt.Sprint(args...)
	runtime.Goexit()
}

// What the lab cannot do ends the test, and says why before.
func TestLabThatCannotBeSetUp(t *testing.T) {
	over := make(chan struct{})
	close(over)
	for want, try := range map[string]func(context.Context, *bed){
		"/bin/false x: exit status 1:":            func(ctx context.Context, b *bed) { b.must(ctx, "/bin/false", "x") },
		"open /none/x: no such file or directory": func(_ context.Context, b *bed) { b.write("/none/x", "") },
		"the daemon of side a ends: bad key": func(ctx context.Context, b *bed) {
			b.daemons["a"] = &child{done: over}
			b.readyWhen(ctx, "a", func() (string, bool) { return "bad key", false })
		},
	} {
		e, why := &ending{TB: t}, ""
		b := &bed{t: e, dir: t.TempDir(), ns: map[string]string{}, daemons: map[string]*child{},
			unready: func(s string) { why = s }}
		var wait sync.WaitGroup
		wait.Go(func() {
			try(t.Context(), b)
			t.Errorf("%s: it went on", want)
		})
		wait.Wait()
		if why != want || !strings.HasPrefix(e.said, want) {
			t.Errorf("told %q, ended with %q, want %q", why, e.said, want)
		}
	}
}

// A lab leaves the beds of another one alone that runs beside it.
func TestLabKnowsOthers(t *testing.T) {
	sleeps := exec.Command("sleep", "60")
	if err := sleeps.Start(); err != nil {
		t.Skip(err)
	}
	defer func() { _ = sleeps.Process.Kill(); _ = sleeps.Wait() }()
	if !isTest(os.Getpid()) || isTest(sleeps.Process.Pid) {
		t.Errorf("this test is one: %t; sleep is one: %t", isTest(os.Getpid()), isTest(sleeps.Process.Pid))
	}
}
