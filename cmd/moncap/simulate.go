package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/testdata"
)

func (a *app) simulateCommand() *cobra.Command {
	portA, portB := 2201, 2202
	dir := ""
	speed := 1.0
	c := &cobra.Command{
		Use:   "simulate [INCIDENT]",
		Short: "Keep two simulated routers running, to practise on",
		Long: `Keep two simulated CSR1000V running on loopback until Ctrl-C, and print how to reach them with ssh, with scp and with
moncap run. The incident's packets pass when both captures run, each time anew.`,
		Example:           "  moncap simulate blocked-a-to-b\n  moncap simulate --port-a 2201 --port-b 2202",
		Args:              wants(0, 1),
		ValidArgsFunction: completeIncidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			incident, err := chosenIncident(args)
			if err != nil {
				return err
			}
			return a.simulate(cmd.Context(), incident, dir, labOptions{ports: [2]int{portA, portB}, speed: speed})
		},
	}
	fl := c.Flags()
	fl.IntVar(&portA, "port-a", portA, "TCP port of site-A; 0 picks one")
	fl.IntVar(&portB, "port-b", portB, "TCP port of site-B; 0 picks one")
	fl.StringVar(&dir, "dir", "", "folder for the inventory and the host keys, which stay the same in it (default: a temporary one)")
	fl.Float64Var(&speed, "speed", speed, "how much faster than it was the negotiation is replayed")
	return c
}

func (a *app) simulate(ctx context.Context, incident testdata.Incident, dir string, o labOptions) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "moncap-simulate-"); err != nil {
			return &exitError{exitFailed, err}
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return usageError(err)
	}
	o.dir = dir
	lab, err := startLab(ctx, incident, o)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	file := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(file, []byte(inventoryText(lab.tunnel)), 0o600); err != nil {
		return &exitError{exitFailed, err}
	}
	a.printReach(incident, lab.tunnel, file)
	<-ctx.Done()
	return nil
}

func (a *app) printReach(incident testdata.Incident, t *inventory.Tunnel, file string) {
	fmt.Fprintf(a.stdout, "Two simulated CSR1000V; incident %s: %s\n\n", incident.Name, incident.What)
	for _, p := range []*inventory.Peer{t.A, t.B} {
		fmt.Fprintf(a.stdout, "  %s  %s  %s %s\n", p.Name, net.JoinHostPort(p.Host, strconv.Itoa(p.Port)), p.WAN.Interface, p.WAN.Address)
		fmt.Fprintf(a.stdout, "    ssh -o UserKnownHostsFile=%s -p %d %s@%s\n", p.KnownHosts, p.Port, p.Username, p.Host)
		fmt.Fprintf(a.stdout, "    scp -O -o UserKnownHostsFile=%s -P %d %s@%s:bootflash:/FILE .\n", p.KnownHosts, p.Port, p.Username, p.Host)
	}
	fmt.Fprintf(a.stdout, "\nThe password of the user %s is %s.\n", labUser, labPassword)
	fmt.Fprintf(a.stdout, "\n  moncap run %s -i %s --duration 20s\n\nCtrl-C ends them.\n", t.Name, file)
}
