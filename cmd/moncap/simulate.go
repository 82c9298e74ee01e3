package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/device/simulator"
	"github.com/moncap/moncap/testdata"
)

func (a *app) simulateCommand() *cobra.Command {
	portA, portB := 2201, 2202
	dir := ""
	speed := 1.0
	clockB := time.Duration(0)
	loseSA, syslog, release := time.Duration(0), "", ""
	var live liveFlags
	c := &cobra.Command{
		Use:   "simulate [INCIDENT]",
		Short: "Keep two simulated routers running, to practise on",
		Long: `Keep two simulated CSR1000V running on loopback until Ctrl-C, and print how to reach them with ssh, with scp and with
moncap run. The incident's packets pass when both captures run, each time anew.

With --live the routers capture from two network interfaces of this machine (Linux, CAP_NET_RAW), through their own filter,
limits and buffers: real gateways can negotiate there, and moncap watches them as it would watch routers.`,
		Example: "  moncap simulate blocked-a-to-b\n  moncap simulate --port-a 2201 --port-b 2202\n" +
			"  moncap simulate peer-silent-after-init --release 17.9.4\n" +
			"  moncap simulate --live veth-a,veth-b --addresses 192.0.2.1,198.51.100.1",
		Args:              wants(0, 1),
		ValidArgsFunction: completeIncidents,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := simulator.CheckVersion(release); release != "" && err != nil {
				return usageError(fmt.Errorf("--release: %w", err))
			}
			logged, closeLog, err := sendLines(syslog)
			if err != nil {
				return usageError(err)
			}
			defer closeLog()
			o := labOptions{ports: [2]int{portA, portB}, speed: speed, clockB: clockB, loseSA: loseSA, logged: logged,
				release: release}
			if live.interfaces != "" {
				if len(args) > 0 || cmd.Flags().Changed("speed") {
					return usageError(
						errors.New("--live captures what passes, and replays no incident: leave out INCIDENT and --speed"))
				}
				return a.simulateLive(cmd.Context(), dir, live, o)
			}
			incident, err := chosenIncident(args)
			if err != nil {
				return err
			}
			return a.simulate(cmd.Context(), incident, dir, o)
		},
	}
	fl := c.Flags()
	fl.IntVar(&portA, "port-a", portA, "TCP port of site-A; 0 picks one")
	fl.IntVar(&portB, "port-b", portB, "TCP port of site-B; 0 picks one")
	fl.StringVar(&dir, "dir", "",
		"folder for the inventory and the host keys, which stay the same in it (default: a temporary one)")
	fl.Float64Var(&speed, "speed", speed, "how much faster than it was the negotiation is replayed")
	fl.DurationVar(&clockB, "clock-b", 0, "how far the clock of site-B is ahead, as in 90s or -2m")
	fl.DurationVar(&loseSA, "lose-sa-after", 0,
		"have both routers lose an IKE SA that has been up for so long, for moncap watch to find")
	fl.StringVar(&release, "release", "",
		"release of IOS XE, as in 17.9.4, which has a binary trace and calls itself C8000V (default 16.12.6)")
	fl.StringVar(&syslog, "syslog", "", "send the routers' log lines to udp:ADDRESS:PORT")
	fl.StringVar(&live.interfaces, "live", "",
		"capture from these two network interfaces, IFA,IFB, instead of replaying an incident")
	fl.StringVar(&live.addresses, "addresses", "",
		"VPN addresses of the gateways behind them, A,B (default: the interfaces' own)")
	fl.StringVar(&live.natAddress, "nat-address-a", "", "address under which B knows A, when a NAT is between them")
	return c
}

// sendLines sends log lines to a log server; a line that cannot be sent is lost, as a router's is.
func sendLines(to string) (send func([]byte), closeIt func(), err error) {
	if to == "" {
		return nil, func() {}, nil
	}
	address, isUDP := strings.CutPrefix(to, "udp:")
	if !isUDP {
		return nil, nil, fmt.Errorf("--syslog %s: want udp:ADDRESS:PORT", to)
	}
	c, err := net.Dial("udp", address)
	if err != nil {
		return nil, nil, fmt.Errorf("--syslog: %w", err)
	}
	return func(line []byte) { _, _ = c.Write(line) }, func() { _ = c.Close() }, nil
}

func (a *app) simulate(ctx context.Context, incident testdata.Incident, dir string, o labOptions) error {
	what := fmt.Sprintf("incident %s: %s", incident.Name, incident.What)
	return a.keepLab(ctx, what, dir, o, func(o labOptions) (*lab, error) { return startLab(ctx, incident, o) })
}

// keepLab keeps two routers running until ctx ends.
func (a *app) keepLab(ctx context.Context, what, dir string, o labOptions,
	start func(labOptions) (*lab, error)) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "moncap-simulate-"); err != nil {
			return &exitError{exitFailed, err}
		}
		defer os.RemoveAll(dir)
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return usageError(err)
	}
	// What the inventory names is found from wherever it is used.
	if dir, err = filepath.Abs(dir); err != nil {
		return usageError(err)
	}
	o.dir = dir
	lab, err := start(o)
	if err != nil {
		return &exitError{exitFailed, err}
	}
	defer func() { err = errors.Join(err, lab.Close()) }()
	file := filepath.Join(dir, "inventory.yaml")
	if err := os.WriteFile(file, []byte(inventoryText(lab.tunnel)), 0o600); err != nil {
		return &exitError{exitFailed, err}
	}
	a.printReach(modelOf(o.release), what, lab.tunnel, file)
	<-ctx.Done()
	return nil
}

// liveFlags say where the simulated routers capture live.
type liveFlags struct{ interfaces, addresses, natAddress string }

func (f liveFlags) tunnel(dir string) (*inventory.Tunnel, [2]simulator.Source, error) {
	var sources [2]simulator.Source
	names := strings.Split(f.interfaces, ",")
	if len(names) != 2 || names[0] == "" || names[1] == "" {
		return nil, sources, fmt.Errorf("--live: want two interfaces, IFA,IFB, got %q", f.interfaces)
	}
	addresses, err := f.vpnAddresses(names)
	if err != nil {
		return nil, sources, err
	}
	for i, name := range names {
		if sources[i], err = simulator.Live(name); err != nil {
			return nil, sources, err
		}
	}
	t, err := labTunnel("live", dir, addresses[0], addresses[1])
	if err == nil && f.natAddress != "" {
		if t.A.WAN.NATAddress, err = netip.ParseAddr(f.natAddress); err != nil {
			err = fmt.Errorf("--nat-address-a: %w", err)
		}
	}
	return t, sources, err
}

func (f liveFlags) vpnAddresses(names []string) (all [2]netip.Addr, err error) {
	if f.addresses == "" {
		for i, name := range names {
			if all[i], err = interfaceAddress(name); err != nil {
				return all, err
			}
		}
		return all, nil
	}
	given := strings.Split(f.addresses, ",")
	if len(given) != 2 {
		return all, fmt.Errorf("--addresses: want two addresses, A,B, got %q", f.addresses)
	}
	for i, text := range given {
		if all[i], err = netip.ParseAddr(text); err != nil {
			return all, fmt.Errorf("--addresses: %w", err)
		}
	}
	return all, nil
}

func interfaceAddress(name string) (netip.Addr, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("--live: interface %s: %w", name, err)
	}
	addresses, err := i.Addrs()
	if err != nil {
		return netip.Addr{}, fmt.Errorf("--live: interface %s: %w", name, err)
	}
	for _, a := range addresses {
		if p, err := netip.ParsePrefix(a.String()); err == nil && !p.Addr().IsLinkLocalUnicast() {
			return p.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("--live: interface %s has no address; say the gateways' with --addresses A,B", name)
}

func (a *app) simulateLive(ctx context.Context, dir string, f liveFlags, o labOptions) error {
	return a.keepLab(ctx, "they capture live from "+f.interfaces, dir, o, func(o labOptions) (*lab, error) {
		t, sources, err := f.tunnel(o.dir)
		if err != nil {
			return nil, err
		}
		l := &lab{tunnel: t}
		return l, l.startRouters(ctx, sources, o)
	})
}

// modelOf is what the simulated routers call themselves.
func modelOf(release string) string {
	if strings.HasPrefix(release, "17.") {
		return "C8000V with IOS XE " + release
	}
	if release != "" {
		return "CSR1000V with IOS XE " + release
	}
	return "CSR1000V"
}

func (a *app) printReach(model, what string, t *inventory.Tunnel, file string) {
	fmt.Fprintf(a.stdout, "Two simulated %s; %s\n\n", model, what)
	for _, p := range []*inventory.Peer{t.A, t.B} {
		fmt.Fprintf(a.stdout, "  %s  %s  %s %s\n", p.Name, net.JoinHostPort(p.Host, strconv.Itoa(p.Port)), p.WAN.Interface,
			p.WAN.Address)
		fmt.Fprintf(a.stdout, "    ssh -o UserKnownHostsFile=%s -p %d %s@%s\n", p.KnownHosts, p.Port, p.Username, p.Host)
		fmt.Fprintf(a.stdout, "    scp -O -o UserKnownHostsFile=%s -P %d %s@%s:bootflash:/FILE .\n", p.KnownHosts, p.Port,
			p.Username, p.Host)
	}
	fmt.Fprintf(a.stdout, "\nThe password of the user %s is %s.\n", labUser, labPassword)
	fmt.Fprintf(a.stdout, "\n  moncap run %s -i %s --duration 20s\n\nCtrl-C ends them.\n", t.Name, file)
}
