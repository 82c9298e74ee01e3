package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/packet"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/capture/fleet"
)

func (a *app) reportCommand() *cobra.Command {
	var o outputFlags
	var keys string
	again, exitZero := false, false
	c := &cobra.Command{
		Use:   "report BUNDLE|RUN|TUNNEL",
		Short: "Render the report of a run again",
		Long: `Render the report of a run again, in any form: of a bundle's folder, or of a run by its id, here or in the fleet's
database. With the name of a tunnel it is the tunnel's latest run.
The stored report is shown as it is; --again or --keys compares the captures anew.
` + exitStatusHelp,
		Example: `  moncap report runs/hq-branch-20261123-101500-ab12cd --format html -o report.html
  moncap report hq-branch --format pcapng -o both.pcapng`,
		Args:              wants(1, 1),
		ValidArgsFunction: a.completeRun,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(a); err != nil {
				return err
			}
			d, err := a.storedOrNew(cmd.Context(), args[0], keys, again)
			if err != nil {
				return err
			}
			err = a.show(d, o)
			if verdict, ok := errors.AsType[*exitError](err); exitZero && ok && verdict.err == nil {
				return nil
			}
			return err
		},
	}
	o.register(c)
	a.registerOptional(c)
	c.Flags().StringVar(&keys, "keys", "", "file of keys, as Wireshark's ikev2_decryption_table or "+
		"ikev1_decryption_table; with --format pcapng -o FILE a copy for Wireshark goes to FILE.keys")
	c.Flags().BoolVar(&exitZero, "exit-zero", false, "exit with 0 when the report was written, whatever it says")
	c.Flags().BoolVar(&again, "again", false, "compare the captures anew")
	return c
}

func (a *app) storedOrNew(ctx context.Context, arg, keys string, again bool) (document, error) {
	dir, err := a.findBundle(ctx, arg)
	if errors.Is(err, fleet.ErrNotFound) && keys == "" && !again { // of an old run the database may have the report alone
		r, noReport := a.storedReport(ctx, arg)
		if r != nil || noReport != nil {
			return document{report: r}, noReport
		}
	}
	if err != nil {
		return document{}, err
	}
	d, err := a.bundleDocument(ctx, dir, keys, again)
	if err != nil {
		return d, usageError(err)
	}
	if keys != "" {
		a.warnOfUnused(d.report)
	}
	return d, nil
}

// bundleDocument is the report of a bundle: the stored one, or a new one where there is none, or
// when it is wanted.
func (a *app) bundleDocument(ctx context.Context, dir, keys string, again bool) (document, error) {
	b, err := bundle.Open(dir)
	if err != nil {
		return document{}, err
	}
	defer b.Close()
	d := document{transcripts: map[report.Side]string{}, keys: keys}
	for _, s := range bundle.Sides() {
		if d.transcripts[report.Side(s)], err = b.Transcript(s); err != nil {
			return d, err
		}
	}
	pathA, pathB := b.Captures()
	d.a, d.b = openIf(pathA), openIf(pathB)
	stored, err := b.Report()
	if err != nil {
		return d, err
	}
	if len(stored) > 0 && !again && keys == "" {
		d.report, err = report.Read(bytes.NewReader(stored))
		return d, err
	}
	d.report, err = a.compareBundle(ctx, b, keys)
	return d, err
}

func openIf(path string) func() (io.ReadCloser, error) {
	if path == "" {
		return nil
	}
	return openFile(path)
}

// compareBundle compares the two captures of a bundle, or judges the one that it has.
func (a *app) compareBundle(ctx context.Context, b *bundle.Bundle, keyFile string) (*report.Report, error) {
	run, err := b.Run()
	if err != nil {
		return nil, err
	}
	keys, err := loadKeys(keyFile)
	if err != nil {
		return nil, err
	}
	pathA, pathB := b.Captures()
	var sides []*analysis.Side
	var peer *analysis.Side
	for _, s := range []struct {
		side bundle.Side
		path string
	}{{bundle.A, pathA}, {bundle.B, pathB}} {
		if s.path == "" {
			peer = peerOf(run.Router(s.side))
			continue
		}
		side, err := bundleSide(b, run.Router(s.side), s.side, s.path)
		if err != nil {
			return nil, err
		}
		sides = append(sides, side)
	}
	if len(sides) == 0 {
		return nil, fmt.Errorf("%s: it holds no capture", b.Dir())
	}
	defer a.heap.during(forAnalysis + sizeOf(pathA, pathB)*3/2)()
	var second *analysis.Side
	if len(sides) == 2 {
		second = sides[1]
	}
	r, err := analysis.Compare(ctx, *sides[0], second, analysis.Options{Tunnel: run.Tunnel, Version: versionString(),
		Keys: keys, Peer: peer})
	if err != nil {
		return nil, err
	}
	r.Run = runOf(run)
	r.Run.Bundle = b.Dir()
	if run.Catch != nil {
		judgeCatch(&r.Verdict, run.Catch)
		r.Notes = append(r.Notes, noteOfCatch(run.Catch, r.Findings))
	}
	return r, nil
}

// noteOfCatch tells what an armed run caught and when. Where it is no good event and no finding
// says what led to it, it says who can.
func noteOfCatch(c *bundle.Catch, findings []report.Finding) report.Note {
	n := report.Note{Side: report.Side(c.Side), Code: report.NoteCaught,
		Text: printable(fmt.Sprintf("caught at %s: %s: %s", c.At.UTC().Format("15:04:05 UTC"), c.Kind, c.Text))}
	told := slices.ContainsFunc(findings, func(f report.Finding) bool { return f.Severity != report.Info })
	if codeOfEvent(c.Kind) != exitOK && !told {
		n.Text += "; the packets do not say why: show logging and show version | include uptime on both routers may"
	}
	return n
}

// judgeCatch has the verdict of an armed run say what it caught. Packets that show nothing wrong do
// not make a tunnel that was lost a good one.
func judgeCatch(v *report.Verdict, c *bundle.Catch) {
	v.Headline = printable(c.Kind+": "+c.Text) + ". " + v.Headline
	if v.ExitCode = worst([]int{v.ExitCode, codeOfEvent(c.Kind)}); v.Outcome == report.Established &&
		v.ExitCode != exitOK {
		v.Outcome = report.Degraded
	}
}

// sizeOf is what files that are there have together.
func sizeOf(paths ...string) (sum int64) {
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

func bundleSide(b *bundle.Bundle, router *bundle.Router, side bundle.Side, path string) (*analysis.Side, error) {
	config, err := b.Show(side)
	if err != nil {
		return nil, err
	}
	debug, err := b.Debug(side)
	if err != nil {
		return nil, err
	}
	return &analysis.Side{
		Name: router.Peer, File: bundle.CaptureFile(side), Open: openFile(path), Address: router.Address,
		NATAddress: router.NATAddress, Interface: router.Interface, Config: config, Debug: []byte(debug),
		TransferHostKey: router.TransferHostKeyChanged,
		TimesGoodTo:     time.Duration(router.TimesGoodToMS * float64(time.Millisecond)),
	}, nil
}

// peerOf is what is known of a side without a capture: it tells this tunnel from others that the
// other side's capture holds.
func peerOf(r *bundle.Router) *analysis.Side {
	return &analysis.Side{Name: r.Peer, Address: r.Address, NATAddress: r.NATAddress, Interface: r.Interface}
}

// runOf tells in the report how the captures were taken.
func runOf(r *bundle.Run) *report.Run {
	out := &report.Run{ID: r.ID, Started: r.Started, StartGapMS: r.StartGapMS, Notes: slices.Clone(r.Notes), Kept: r.Kept}
	for _, l := range r.Left {
		out.Left = append(out.Left, report.Left{Side: report.Side(l.Side), Peer: l.Peer, What: l.What, Remove: l.Remove,
			Why: l.Why})
	}
	if !r.Ended.IsZero() {
		out.DurationMS = r.Ended.Sub(r.Started).Milliseconds()
	}
	for _, p := range r.Phases {
		out.Phases = append(out.Phases, report.Phase{Name: p.Name, AMS: p.AMS, BMS: p.BMS, Failed: p.Failed})
	}
	for _, s := range bundle.Sides() {
		router := r.Router(s)
		if router.Failed != "" {
			out.Notes = append([]string{router.Failed}, out.Notes...)
		}
		out.Routers = append(out.Routers, report.Router{
			Side: report.Side(s), Peer: router.Peer, Hostname: router.Hostname, Platform: router.Model, Version: router.Software,
			Transcript: bundle.TranscriptFile(s), Commands: router.Commands, Clean: router.Clean,
		})
	}
	return out
}

// finishReport compares a run's captures and stores the report in its bundle.
func (a *app) finishReport(ctx context.Context, dir, keys string) (document, error) {
	d, err := a.bundleDocument(ctx, dir, keys, true)
	if err != nil {
		return d, err
	}
	b, err := bundle.Open(dir)
	if err != nil {
		return d, err
	}
	defer b.Close()
	return d, storeReport(b, d.report)
}

// loadReport reads a report from a JSON file, from a bundle, or from the run that a tunnel's name
// or a run's id stands for.
func (a *app) loadReport(ctx context.Context, arg string) (*report.Report, error) {
	info, err := os.Stat(arg)
	if err != nil || info.IsDir() {
		arg = filepath.Clean(arg)
		if err != nil { // a run's id may be all that is needed
			if r, err := a.storedReport(ctx, arg); r != nil || err != nil {
				return r, err
			}
		}
		dir, err := a.findBundle(ctx, arg)
		if err != nil {
			return nil, err
		}
		d, err := a.bundleDocument(ctx, dir, "", false)
		return d.report, err
	}
	f, err := os.Open(arg)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := report.Read(f)
	if err == nil {
		return r, nil
	}
	if err = fmt.Errorf("%s: %w", arg, err); isCapture(f) {
		err = &hinted{fmt.Errorf("%s: it is a capture, and a report is wanted", arg),
			"moncap analyze compares captures, and with --format json -o FILE it makes reports"}
	}
	return nil, err
}

// isCapture says whether a file that is no report is a capture.
func isCapture(f io.ReadSeeker) bool {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return false
	}
	_, err := packet.NewReader(f, packet.Options{NoHash: true})
	return err == nil
}
