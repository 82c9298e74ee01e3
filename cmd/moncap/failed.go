package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/capture/bundle"
)

// exitCode is the code with which err ends the program.
func exitCode(err error) int {
	_, bySignal := errors.AsType[*interrupted](err)
	if _, dirty := errors.AsType[*capture.DirtyError](err); bySignal && !dirty {
		return exitFailed // whatever was made of it on its way
	}
	if ee, ok := errors.AsType[*exitError](err); ok {
		return ee.code
	}
	if _, ofTheSystem := errors.AsType[*fs.PathError](err); ofTheSystem {
		return exitFailed // whoever reads our stdout went away, for one
	}
	return exitUsage // what cobra itself rejects is wrong usage
}

// failedDocument is what a run that failed has to tell: the report of the one capture that could be
// had, or that there is none, and why. It is in the bundle as well, when there is one.
func (a *app) failedDocument(dir, tunnel string, err error) document {
	if dir != "" && !a.interrupts.stopping() {
		if d, err := a.finishReport(a.interrupts.ctx, dir, ""); err == nil {
			return d
		}
	}
	return a.notRun(dir, tunnel, err)
}

// notRun says that there is nothing to judge.
func (a *app) notRun(dir, tunnel string, err error) document {
	v := report.Verdict{Reason: reasonOf(err), Headline: sentence(err), ExitCode: exitCode(err)}
	r := report.NewNotRun(tunnel, versionString(), v, nil)
	if dir == "" {
		return document{report: r}
	}
	b, err := bundle.Open(dir)
	if err != nil {
		return document{report: r}
	}
	defer b.Close()
	if run, err := b.Run(); err == nil {
		r.Run = runOf(run)
		r.Run.Bundle = dir
	}
	if _, _, closed := accounted(dir); closed && exists(b.Path(bundle.ReportJSON)) {
		return document{report: r} // its run is over, and has said why: no later command changes that
	}
	if pathA, pathB := b.Captures(); pathA != "" || pathB != "" {
		return document{report: r} // what they say is still to be found out: moncap report
	}
	if err := storeReport(b, r); err != nil {
		a.progress("%s: the report could not be kept: %v", dir, err)
	}
	return document{report: r}
}

// isOver refuses to collect from a run that has nothing on its routers any more, or nothing that is
// to be collected. Its bundle is left as it is, and so is a file that is to be written: what the
// run came to stands there already.
func (a *app) isOver(arg string, err error, o outputFlags) error {
	err = runFailure(showsReport(arg, err))
	if !o.toStdout() {
		return err
	}
	return errors.Join(err, a.showFailed(a.notRun("", arg, err), o))
}

// showsReport says where to find what a run came to that is over.
func showsReport(arg string, err error) error {
	return &hinted{err, "moncap report " + shellWord(arg) + " shows what it brought; moncap runs lists the runs"}
}

// storeReport keeps a report in its bundle.
func storeReport(b *bundle.Bundle, r *report.Report) error {
	var asJSON, asText bytes.Buffer
	err := errors.Join(r.Write(&asJSON), render.Text(&asText, r, render.Options{Unicode: true}))
	if err != nil {
		return err
	}
	return errors.Join(b.WriteFile(bundle.ReportJSON, asJSON.Bytes()), b.WriteFile(bundle.ReportText, asText.Bytes()))
}

// showFailed shows the document of a run that failed. As text on stdout there is none when there is
// nothing to judge: the error on stderr says it all.
func (a *app) showFailed(d document, o outputFlags) error {
	none := d.report.Verdict.Outcome == report.NotRun
	switch {
	case none && (o.format == "pcapng" || o.format == "text" && o.toStdout()):
		return nil
	case !none:
		a.progress("the report is of what was captured:")
	}
	return a.writeTo(o.file, func(w io.Writer) error { return a.render(w, d, o.format, o.toStdout()) })
}
