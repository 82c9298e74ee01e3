package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/testdata"
)

const defaultIncident = "healthy"

func (a *app) demoCommand() *cobra.Command {
	var f runFlags
	list := false
	speed := 50.0
	c := &cobra.Command{
		Use:   "demo [INCIDENT]",
		Short: "Two simulated routers on loopback, one full run, its report",
		Long: `Start two simulated CSR1000V on loopback, open real SSH sessions to both, run the whole playbook, fetch both captures
by SCP and print the report. The packets are a real negotiation's, replayed faster than they came.
` + exitStatusHelp,
		Example: `  moncap demo
  moncap demo --list
  moncap demo blocked-a-to-b
  moncap demo nat --format html -o report.html`,
		Args:              wants(0, 1),
		ValidArgsFunction: completeIncidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			if list {
				return a.listIncidents()
			}
			if err := f.check(a); err != nil {
				return err
			}
			incident, err := chosenIncident(args)
			if err != nil {
				return err
			}
			return a.demo(cmd.Context(), incident, speed, &f)
		},
	}
	f.captureFlags.register(c)
	f.outputFlags.register(c)
	c.Flags().BoolVar(&list, "list", false, "name the incidents")
	c.Flags().Float64Var(&speed, "speed", speed, "how much faster than it was the negotiation is replayed")
	c.Flags().StringVar(&f.out, "out", "", "keep the bundle in this folder (default: thrown away)")
	return c
}

func completeIncidents(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	all, err := testdata.List()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name+"\t"+i.What)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func (a *app) listIncidents() error {
	all, err := testdata.List()
	if err != nil {
		return err
	}
	longest := 0
	for _, i := range all {
		longest = max(longest, len(i.Name))
	}
	var lines []string
	for _, i := range all {
		lines = append(lines, fmt.Sprintf("%-*s  %s", longest, i.Name, i.What))
	}
	return a.writeList(lines, longest+2)
}

func chosenIncident(args []string) (testdata.Incident, error) {
	name := defaultIncident
	if len(args) == 1 {
		name = args[0]
	}
	all, err := testdata.List()
	if err != nil {
		return testdata.Incident{}, err
	}
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	if i := slices.Index(names, name); i >= 0 {
		return all[i], nil
	}
	return testdata.Incident{},
		usageError(fmt.Errorf("no incident %q; `moncap demo --list` names them%s", name, didYouMean(name, names)))
}

func (a *app) demo(ctx context.Context, incident testdata.Incident, speed float64, f *runFlags) (err error) {
	if speed < 0.1 || speed > 1e6 {
		return usageError(fmt.Errorf("--speed: want 0.1 to 1000000, got %g", speed))
	}
	began := time.Now()
	dir, err := os.MkdirTemp("", "moncap-demo-")
	if err != nil {
		return &exitError{exitFailed, err}
	}
	defer os.RemoveAll(dir)
	if f.out == "" {
		f.out = filepath.Join(dir, "bundle")
	} else {
		defer func() { a.progress("bundle: %s", f.out) }()
	}
	lab, err := startLab(ctx, incident, labOptions{dir: dir, speed: speed})
	if err != nil {
		return &exitError{exitFailed, err}
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	a.progress("incident %s: %s", incident.Name, incident.What)
	bundleDir, err := a.playbook(ctx, a.newConnector(), lab.tunnel, f, lab.replayed)
	if err != nil {
		return err
	}
	d, err := a.finishReport(ctx, bundleDir, "")
	if err != nil {
		return &exitError{exitFailed, err}
	}
	a.progress("run and report took %.1f s", time.Since(began).Seconds())
	return a.show(d, f.outputFlags)
}

// inventoryText writes a tunnel of the simulation as an inventory file.
func inventoryText(t *inventory.Tunnel) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Simulated routers of `moncap simulate`; they are gone when it ends.\nversion: 1\n")
	fmt.Fprintf(&b, "defaults: {username: %s, password: %q, known_hosts: %q}\npeers:\n", t.A.Username,
		t.A.Password.String(), t.A.KnownHosts)
	for _, p := range []*inventory.Peer{t.A, t.B} {
		nat := ""
		if p.WAN.NATAddress.IsValid() {
			nat = ", nat_address: " + p.WAN.NATAddress.String()
		}
		fmt.Fprintf(&b, "  %s: {host: %s, port: %d, wan: {interface: %s, address: \"%s\"%s}}\n", p.Name, p.Host, p.Port,
			p.WAN.Interface, p.WAN.Address, nat)
	}
	fmt.Fprintf(&b, "tunnels:\n  %s: {a: %s, b: %s, capture: {buffer_mb: 10, duration: 60s}}\n", t.Name, t.A.Name,
		t.B.Name)
	return b.String()
}
