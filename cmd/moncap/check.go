package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/iosxe"
)

func (a *app) checkCommand() *cobra.Command {
	var f captureFlags
	format, record := "text", ""
	c := &cobra.Command{
		Use:   "check [TUNNEL]",
		Short: "Whether run would work on both routers; changes nothing",
		Long: `Reachability, host key, privilege, SCP server, free space, load, clock, and whether the names are free, on both
routers of a tunnel, or of every tunnel. Nothing is changed: to find out whether the account may clean up, what would take
back a run's things is typed while their names are free. That enters configuration mode and leaves it again, which a router
may log (%SYS-5-CONFIG_I) and date as its last change of configuration. --record DIR saves the raw dialogue, secrets masked: the most
useful thing to send with a bug report.

EXIT STATUS
  0   run would work
  4   a router refuses or cannot be reached; the reason is printed
  64  wrong usage or inventory`,
		Example:           "  moncap check hq-branch\n  moncap check hq-branch --record dialogue/",
		Args:              wants(0, 1),
		ValidArgsFunction: a.completeTunnel,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			tunnels, err := a.chosenTunnels(chosen{names: args, all: len(args) == 0})
			if err != nil {
				return err
			}
			return a.check(cmd.Context(), tunnels, &f, format, record)
		},
	}
	f.registerSettings(c)
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(c, "format", []string{"text", "json"})
	c.Flags().StringVar(&record, "record", "", "save the dialogue with each router in this folder")
	return c
}

// checkedTunnel is the result of one tunnel's check, in JSON.
type checkedTunnel struct {
	Tunnel  string        `json:"tunnel"`
	OK      bool          `json:"ok"`
	Results []checkedItem `json:"results"`
	Error   string        `json:"error,omitempty"`
}

type checkedItem struct {
	Side  string `json:"side,omitempty"`
	Peer  string `json:"peer,omitempty"`
	Item  string `json:"item"`
	Level string `json:"level"`
	Text  string `json:"text"`
}

func (a *app) check(ctx context.Context, tunnels []*inventory.Tunnel, f *captureFlags, format, record string) error {
	c := a.newConnector()
	var all []checkedTunnel
	var failures []error
	for _, t := range tunnels {
		results, err := a.checkTunnel(ctx, c, t, f, record)
		if ee, ok := errors.AsType[*exitError](err); ok && ee.code == exitUsage {
			return err
		}
		out := checkedTunnel{Tunnel: t.Name, OK: err == nil, Results: []checkedItem{}}
		for _, r := range results {
			out.Results = append(out.Results, checkedItem{string(r.Side), r.Peer, r.Item, string(r.Level), r.Text})
			out.OK = out.OK && r.Level != capture.Refuse
		}
		if err != nil {
			out.Error = err.Error()
			failures = append(failures, err)
		}
		all = append(all, out)
	}
	if format == "json" {
		if err := writeJSON(a.stdout, all); err != nil {
			return err
		}
	} else {
		a.printChecks(all)
	}
	for _, t := range all {
		if !t.OK {
			return &exitError{exitFailed, errors.Join(failures...)}
		}
	}
	return nil
}

func (a *app) printChecks(all []checkedTunnel) {
	for _, t := range all {
		verdict := "ready"
		if !t.OK {
			verdict = "not ready"
		}
		fmt.Fprintf(a.stdout, "%s: %s\n", t.Tunnel, verdict)
		for _, r := range t.Results {
			peer := r.Peer
			if peer == "" {
				peer = "both"
			}
			fmt.Fprintf(a.stdout, "  %-7s %s %-16s %s\n", r.Level, render.Pad(printable(peer), 14), r.Item, printable(r.Text))
		}
	}
}

func (a *app) checkTunnel(ctx context.Context, c *connector, t *inventory.Tunnel, f *captureFlags,
	record string) ([]capture.CheckResult, error) {
	plan, err := f.plan(t, newRunID(time.Now()))
	if err != nil {
		return nil, err
	}
	if err := a.canAsk(t, f.viaExport != ""); err != nil {
		return nil, err
	}
	s, err := a.recorded(c, t, record)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	view := a.newProgress(ctx, 1, [2]string{t.A.Name, t.B.Name})
	results, err := capture.Check(ctx, plan, s.hosts(), a.captureOptions(ctx, view))
	view.close()
	if err == nil && record != "" {
		err = recordShows(ctx, s, plan)
	}
	return results, err
}

// recorded opens the routers of a tunnel; their dialogue goes to a file a peer in dir, or nowhere.
func (a *app) recorded(c *connector, t *inventory.Tunnel, dir string) (*sessions, error) {
	s := &sessions{freed: a.heap.during(forRouters)}
	for i, p := range []*inventory.Peer{t.A, t.B} {
		var w io.Writer = io.Discard
		if dir != "" {
			f, err := recordFile(dir, p.Name)
			if err != nil {
				return nil, usageError(errors.Join(err, s.closeAll()))
			}
			s.closers = append(s.closers, f)
			w = f
		}
		if i == 0 {
			s.a = c.router(p, w)
		} else {
			s.b = c.router(p, w)
		}
	}
	return s, nil
}

func recordFile(dir, peer string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return os.OpenFile(filepath.Join(dir, peer+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

// recordShows asks what a check does not need but a bug report does. A router that refuses one says
// so in the record.
func recordShows(ctx context.Context, s *sessions, plan *capture.Plan) error {
	for _, side := range []capture.Side{capture.A, capture.B} {
		sas, err := iosxe.ShowIKEv2SA(plan.Get(side).Remote)
		if err != nil {
			return err
		}
		for _, cmd := range []iosxe.Command{sas,
			iosxe.ShowUsers(), iosxe.ShowLines(), iosxe.ShowNTP(), iosxe.ShowDebug(), iosxe.ShowIKEv2Proposal(),
			iosxe.ShowIKEv2Policy(), iosxe.ShowIKEv2Profile(), iosxe.ShowIKEv2Stats(), iosxe.ShowIKEv2Diagnose(),
			iosxe.ShowISAKMPSA(), iosxe.ShowTransformSet(), iosxe.ShowIPsecProfile(), iosxe.ShowCryptoMap(),
		} {
			_, err := s.hosts().Get(side).Exec(ctx, cmd)
			if _, refused := errors.AsType[*iosxe.Refusal](err); err != nil && !refused {
				return err
			}
		}
	}
	return nil
}
