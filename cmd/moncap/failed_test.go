package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/simulator"
)

// TestFailureIsADocument is about runs that come to nothing: every form of the report tells it,
// with a reason that a job can decide by, and the bundle can be shown, compared and sent as any.
func TestFailureIsADocument(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*simulator.Config)
		args   []string
		reason report.Reason
	}{
		{"credentials", func(c *simulator.Config) { c.Password, c.Knobs.NoKeyboardInteractive = "another", true }, nil,
			report.Credentials},
		{"refused by check", func(c *simulator.Config) { c.Flash = map[string][]byte{"taken.pcap": []byte("x")} },
			[]string{"--name", "taken"}, report.RefusedByCheck},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLabWith(t, "healthy", tt.change)
			out, file := filepath.Join(l.dir, "bundle"), filepath.Join(l.dir, "r.json")
			args := append([]string{"run", "demo", "-i", l.inventory, "--out", out, "-o", file}, tt.args...)
			r := moncap(t, args...)
			if r.code != exitFailed {
				t.Errorf("exit %d\n%s", r.code, r.stderr)
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var d report.Report
			if err := json.Unmarshal(b, &d); err != nil {
				t.Fatal(err)
			}
			v := d.Verdict
			if v.Outcome != report.NotRun || v.Reason != tt.reason || v.ExitCode != exitFailed || v.Headline == "" ||
				d.Run == nil || d.Run.Bundle != out {
				t.Errorf("%+v, %+v", v, d.Run)
			}
			junit := moncap(t, "report", out, "-f", "junit")
			var suites struct {
				Errors int `xml:"errors,attr"`
				Error  []struct {
					Type string `xml:"type,attr"`
				} `xml:"testsuite>testcase>error"`
			}
			if err := xml.Unmarshal([]byte(junit.stdout), &suites); err != nil || suites.Errors != 1 || len(suites.Error) != 1 ||
				suites.Error[0].Type != string(tt.reason) {
				t.Errorf("%+v, %v\n%s", suites, err, junit.stdout)
			}
			for _, form := range []string{"text", "html", "markdown", "mermaid"} {
				if r := moncap(t, "report", out, "-f", form); r.code != exitFailed ||
					!strings.Contains(strings.ToLower(r.stdout), "not-run") && form != "mermaid" {
					t.Errorf("%s: exit %d\n%s%s", form, r.code, r.stdout, r.stderr)
				}
			}
			for _, args := range [][]string{{"bundle", out}, {"bundle", out, "--redact"}} {
				zip := filepath.Join(l.dir, strings.Join(args[2:], "")+"case.zip")
				if r := moncap(t, append(args, "-o", zip)...); r.code != exitOK || !exists(zip) {
					t.Errorf("%v: exit %d\n%s", args, r.code, r.stderr)
				}
			}
			for name, b := range unpack(t, filepath.Join(l.dir, "--redactcase.zip"), filepath.Join(l.dir, "case")) {
				for _, router := range l.routers {
					if _, port, _ := net.SplitHostPort(router.Addr()); strings.Contains(string(b), ":"+port) {
						t.Errorf("%s holds the management port %s", name, port)
					}
				}
			}
			if r := moncap(t, "diff", out, out); r.code != exitOK {
				t.Errorf("diff: exit %d\n%s", r.code, r.stderr)
			}
		})
	}
}

// TestAFailedRunIsNoSuccessLater takes a run that failed although one side's packets say that the
// tunnel came up, and one whose captures were not compared: neither reads as a success afterwards,
// and no capture is hidden behind the failure.
func TestAFailedRunIsNoSuccessLater(t *testing.T) {
	l := newTestLab(t, "healthy")
	out := filepath.Join(l.dir, "runs", "one")
	if r := moncap(t, "run", "demo", "-i", l.inventory, "--out", out, "--until", "packets=4"); r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	b, err := bundle.Resume(out)
	if err != nil {
		t.Fatal(err)
	}
	run, err := b.Run()
	if err == nil {
		run.Error = "site-b (side B): fetch: the connection was closed by the router"
		err = b.SaveRun(run)
	}
	if err := errors.Join(err, b.Close()); err != nil {
		t.Fatal(err)
	}
	if p, err := readPastRun(out); err != nil || p.ExitCode != exitFailed || p.Outcome != report.Established {
		t.Errorf("%+v, %v", p, err)
	}
	if r := l.inRuns(t, "runs", "demo", "-f", "nagios"); r.code != pluginUnknown {
		t.Errorf("nagios: exit %d\n%s", r.code, r.stdout)
	}
	for _, name := range []string{bundle.ReportJSON, bundle.ReportText} {
		if err := os.Remove(filepath.Join(out, name)); err != nil {
			t.Fatal(err)
		}
	}
	a := newApp(t.Context(), environment{stderr: io.Discard, getenv: func(string) string { return "" }})
	if d := a.notRun(out, "demo",
		&exitError{exitFailed, errors.New("report: interrupted")}); d.report.Verdict.Outcome != report.NotRun {
		t.Errorf("%+v", d.report.Verdict)
	}
	if r := moncap(t, "report", out); r.code != exitOK || !strings.Contains(r.stdout, "ESTABLISHED") {
		t.Errorf("the captures are there, and report ends with %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}
