package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
)

// formats are the forms of a report.
var formats = []string{"text", "json", "html", "pcapng", "markdown", "junit", "mermaid"}

// formatByName is the form that the end of a file's name asks for.
var formatByName = map[string]string{
	".json": "json", ".html": "html", ".htm": "html", ".pcapng": "pcapng", ".md": "markdown", ".markdown": "markdown",
	".xml": "junit", ".mmd": "mermaid", ".mermaid": "mermaid",
}

// hashed says whether a form of a report holds the hashes of the captures, which cost as much as a
// tenth of all other work.
func hashed(format string) bool { return format == "json" || format == "html" }

// outputFlags say how a report is shown and where it goes.
type outputFlags struct {
	format string
	file   string
	more   []string // further forms of a command
	flags  *pflag.FlagSet
}

func (o *outputFlags) formats() []string { return slices.Concat(formats, o.more) }

// makesReports marks commands whose output is a report.
const makesReports = "moncap-report"

func (o *outputFlags) register(c *cobra.Command) {
	if c.Annotations == nil {
		c.Annotations = map[string]string{}
	}
	c.Annotations[makesReports] = ""
	o.format, o.flags = "text", c.Flags()
	c.Flags().StringVarP(&o.format, "format", "f", o.format,
		"form of the report: "+strings.Join(o.formats(), ", ")+" (default: what the name of the file says, else text)")
	c.Flags().StringVarP(&o.file, "output", "o", "", "write the report to this file instead of stdout")
	mustComplete(c, "format", o.formats())
}

// check holds the flags against what can be done, before anything is: a report that has nowhere to
// go is found out before a router is asked.
func (o *outputFlags) check(a *app) error {
	if byName, ok := formatByName[strings.ToLower(filepath.Ext(o.file))]; ok && !o.flags.Changed("format") {
		o.format = byName
	}
	if err := oneOf("--format", o.format, o.formats()...); err != nil {
		return err
	}
	if _, err := a.destinationOf(o.file); err != nil {
		return usageError(err)
	}
	if o.format == "pcapng" && o.toStdout() && a.stdoutTTY {
		return usageError(errors.New("--format pcapng: it is binary; give a file with -o, or redirect stdout"))
	}
	if ext := filepath.Ext(o.file); !o.flags.Changed("format") && !slices.Contains(textNames, strings.ToLower(ext)) {
		if _, ok := formatByName[strings.ToLower(ext)]; !ok && !o.toStdout() {
			a.progress("%s: no form goes by %s, so it becomes text; --format says which one is wanted", o.file, ext)
		}
	}
	return nil
}

// textNames are the ends of names of which nobody expects another form than text.
var textNames = []string{"", ".txt", ".log", ".text", ".report", ".out"}

// toStdout says whether the report goes where people may read it at once.
func (o *outputFlags) toStdout() bool {
	return o.file == "" || o.file == "-" || o.file == "/dev/stdout"
}

// document is a report with what some of its forms need beside it.
type document struct {
	report      *report.Report
	a, b        func() (io.ReadCloser, error) // the captures; nil where there is none
	transcripts map[report.Side]string
	keys        string // the file of keys that were given, if any
}

// show writes d as the flags say, and returns the verdict as the way to exit.
func (a *app) show(d document, o outputFlags) error {
	err := a.writeTo(o.file, func(w io.Writer) error { return a.render(w, d, o.format, o.toStdout()) })
	if err != nil {
		err = fmt.Errorf("report: %w", err)
	}
	if err == nil && o.format == "pcapng" && d.keys != "" {
		if !o.toStdout() {
			err = a.writeKeys(d, o.file)
		} else {
			a.progress("keys: without -o there is no file to write them beside")
		}
	}
	if err != nil {
		return &exitError{exitFailed, err}
	}
	return verdictError(d.report)
}

func verdictError(r *report.Report) error { return exitWith(r.Verdict.ExitCode) }

// writeTo writes to where -o says: see destination.
func (a *app) writeTo(file string, write func(io.Writer) error) error {
	d, err := a.destinationOf(file)
	if err != nil {
		return err
	}
	return d.write(write)
}

func (a *app) render(w io.Writer, d document, format string, terminal bool) error {
	switch format {
	case "json":
		return render.JSON(w, d.report)
	case "html":
		return render.HTML(w, d.report, render.HTMLOptions{Transcripts: d.transcripts})
	case "markdown":
		return render.Markdown(w, d.report)
	case "junit":
		return render.JUnit(w, d.report)
	case "mermaid":
		return render.Mermaid(w, d.report)
	case "pcapng":
		return renderPCAPNG(w, d)
	}
	return render.Text(w, d.report, a.textOptions(terminal))
}

func (a *app) textOptions(terminal bool) render.Options {
	return render.Options{
		Width:   a.columns(),
		Unicode: a.useUnicode(),
		Color:   terminal && a.useColor(a.stdoutTTY),
		Verbose: a.all,
	}
}

func renderPCAPNG(w io.Writer, d document) error {
	return d.withCaptures(func(a, b io.Reader) error { return render.PCAPNG(w, d.report, a, b) })
}

// withCaptures has read get the captures, nil for a side without one.
func (d document) withCaptures(read func(a, b io.Reader) error) error {
	var readers [2]io.Reader
	for i, open := range []func() (io.ReadCloser, error){d.a, d.b} {
		if open == nil {
			continue
		}
		f, err := open()
		if err != nil {
			return err
		}
		defer f.Close()
		readers[i] = f
	}
	return read(readers[0], readers[1])
}

// openFile opens a capture again for a second reading.
func openFile(path string) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return os.Open(path) }
}

// worst returns the exit code that says most: something left on a router before all, then a run
// that failed, a critical finding, an unclear result, warnings.
func worst(codes []int) int {
	order := []int{exitOK, exitWarnings, exitInconclusive, exitCritical, exitFailed, exitUsage, exitDirty}
	code := exitOK
	for _, c := range codes {
		if slices.Index(order, c) > slices.Index(order, code) {
			code = c
		}
	}
	return code
}
