package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device/inventory"
)

// extcapPrefix begins the names of the interfaces that Wireshark lists.
const extcapPrefix = "moncap-"

// livePoll is the time between two looks while somebody watches the packets come.
const livePoll = 400 * time.Millisecond

// extcapFlags are what Wireshark calls an extcap program with (doc/extcap.adoc of Wireshark), and
// what its dialogue offers.
type extcapFlags struct {
	runFlags
	interfaces, dlts, config, capture bool
	iface, fifo, filter, version      string
	exportedOnly                      bool
	install                           bool
	installTo                         string
}

func (a *app) extcapCommand() *cobra.Command {
	var f extcapFlags
	c := &cobra.Command{
		Use:   "extcap",
		Short: "Tunnels as interfaces of Wireshark",
		Long: `Wireshark calls this to list each tunnel of the inventory as an interface, and to capture from it: both routers in one
window. Packets come while the routers capture, as long as there are few, with approximate times; at the end both captures
come as they were exported, with findings as comments (display filter: frame.comment). Stop ends the captures and keeps them.

--install puts a small program into Wireshark's folder for such (the one that tshark -G folders names), which remembers the
inventory and the folder of runs. Nobody can be asked for a password there: keep it in the keyring, a file or a command.

EXIT STATUS
  0   Wireshark has what it asked for; of a capture the packets, whatever they say
  4   the run failed, the routers are clean
  5   the run failed and something is left on a router; what, where, and the command that removes it are printed
  64  wrong usage or inventory`,
		Example: `  moncap extcap --install -i ~/vpn/inventory.yaml
  tshark -i moncap-hq-branch                  # from then on, as in Wireshark`,
		Args: wants(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.extcap(cmd.Context(), &f) },
	}
	fl := c.Flags()
	fl.BoolVar(&f.interfaces, "extcap-interfaces", false, "list the interfaces, a tunnel each")
	fl.BoolVar(&f.dlts, "extcap-dlts", false, "the link type of an interface")
	fl.BoolVar(&f.config, "extcap-config", false, "what can be chosen for an interface")
	fl.StringVar(&f.iface, "extcap-interface", "", "the interface that is meant")
	fl.StringVar(&f.filter, "extcap-capture-filter", "", "a capture filter; there is none but the tunnel itself")
	fl.StringVar(&f.version, "extcap-version", "", "version of Wireshark")
	fl.BoolVar(&f.capture, "capture", false, "capture from the interface")
	fl.StringVar(&f.fifo, "fifo", "", "where the packets go")
	fl.BoolVar(&f.exportedOnly, "exported-only", false, "do not read packets while the routers capture")
	fl.BoolVar(&f.install, "install", false, "make Wireshark list the tunnels of the inventory")
	fl.StringVar(&f.installTo, "install-to", "", "folder for --install (default: the one that tshark -G folders names)")
	f.registerSettings(c)
	f.registerTrigger(c)
	f.registerEnd(c)
	return c
}

func (a *app) extcap(ctx context.Context, f *extcapFlags) error {
	switch {
	case f.install:
		return a.installExtcap(ctx, f.installTo)
	case f.interfaces:
		return a.extcapInterfaces()
	case f.dlts:
		_, err := fmt.Fprintln(a.stdout, "dlt {number=1}{name=EN10MB}{display=Ethernet}")
		return err
	case f.config:
		t, err := a.extcapTunnel(f.iface)
		if err != nil {
			return err
		}
		return a.extcapConfig(t)
	case f.filter != "":
		if !f.capture { // it is asked whether the filter is good; what is printed says why not
			_, err := fmt.Fprintln(a.stdout, "there is no capture filter: the tunnel's two addresses are the filter")
			return err
		}
		return usageError(errors.New("extcap: there is no capture filter: the tunnel's two addresses are the filter"))
	case f.capture && f.fifo != "":
		t, err := a.extcapTunnel(f.iface)
		if err != nil {
			return err
		}
		return a.extcapCapture(ctx, t, f)
	}
	return usageError(errors.New("extcap: want --install, or what Wireshark calls it with"))
}

// extcapTunnel is the tunnel that an interface stands for.
func (a *app) extcapTunnel(iface string) (*inventory.Tunnel, error) {
	name, ok := strings.CutPrefix(iface, extcapPrefix)
	if !ok {
		return nil, usageError(fmt.Errorf("extcap: want --extcap-interface %sTUNNEL, got %q", extcapPrefix, iface))
	}
	return a.loadTunnel(name)
}

func (a *app) extcapInterfaces() error {
	inv, err := a.loadInventory()
	if err != nil {
		return err
	}
	// Names have no braces, as the inventory sees to, and versions of releases have none.
	const about = "{help=https://github.com/moncap/moncap}{display=moncap}"
	fmt.Fprintf(a.stdout, "extcap {version=%s}%s\n", versionString(), about)
	for _, name := range inv.TunnelNames() {
		t := inv.Tunnels[name]
		fmt.Fprintf(a.stdout, "interface {value=%s%s}{display=IPsec tunnel %s, both ends: %s and %s}\n",
			extcapPrefix, name, name, t.A.Name, t.B.Name)
	}
	return nil
}

func (a *app) extcapConfig(t *inventory.Tunnel) error {
	_, err := fmt.Fprintf(a.stdout,
		`arg {number=0}{call=--duration}{display=Capture for}{tooltip=The routers stop by themselves after it: 30s, 5m, 1h}{type=string}{default=%s}
arg {number=1}{call=--until}{display=End before that when}{tooltip=Stop ends it at any time}{type=selector}
value {arg=1}{value=none}{display=nothing else}{default=true}
value {arg=1}{value=decided}{display=the tunnel is established or failed}{default=false}
value {arg=1}{value=established}{display=the tunnel is established}{default=false}
value {arg=1}{value=failed}{display=the negotiation failed}{default=false}
arg {number=2}{call=--trigger}{display=Command that makes it negotiate}{tooltip=such as: clear crypto session remote 192.0.2.1; empty: wait for it}{type=string}
arg {number=3}{call=--exported-only}{display=Show packets at the end only}{tooltip=While routers capture, packets are read by command, with approximate times}{type=boolflag}{default=false}
`, t.Capture.Duration)
	return err
}

// extcapCapture runs the playbook and writes both captures to the FIFO: what is seen meanwhile, and
// all of it at the end. When nobody reads any more, the captures end and are kept.
func (a *app) extcapCapture(ctx context.Context, t *inventory.Tunnel, f *extcapFlags) error {
	a.noInput, a.quiet = true, true
	a.interrupts.heedGently()
	fifo, err := os.OpenFile(f.fifo, os.O_WRONLY, 0)
	if err != nil {
		return usageError(err)
	}
	defer fifo.Close()
	shown := &report.Report{Tool: report.Tool{Name: "moncap", Version: versionString()}}
	side := func(p *inventory.Peer) *report.SideInfo {
		return &report.SideInfo{Name: p.Name, Interface: p.WAN.Interface, Addresses: []string{p.WAN.Address.String()}}
	}
	shown.Sides = report.Sides{A: side(t.A), B: side(t.B)}
	out, err := render.NewLive(fifo, shown)
	if err != nil {
		return usageError(err)
	}
	gone := make(chan struct{})
	leave := sync.OnceFunc(func() { close(gone) })
	if !f.exportedOnly {
		a.live = func(p capture.LivePackets) {
			for _, one := range p.Packets {
				if out.Packet(report.Side(p.Side), one.Time, one.Data, one.Length) != nil {
					leave()
				}
			}
		}
	}
	watching, stop := context.WithCancel(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { leaveWithReader(watching, fifo, leave) })
	dir, err := a.playbook(ctx, a.newConnector(), t, &f.runFlags, gone)
	stop()
	watcher.Wait()
	if err != nil {
		return err
	}
	d, err := a.finishReport(ctx, dir, "")
	if err != nil {
		return noReport(dir, err)
	}
	// That nobody reads any more is no failure, as the bundle has it all; nor is a verdict, which is
	// what Wireshark would take for one.
	_ = d.withCaptures(func(a, b io.Reader) error { return out.Whole(d.report, a, b) })
	return nil
}

// readerPace is how often a reader is looked for, who may go while there is nothing to write.
const readerPace = 500 * time.Millisecond

// leaveWithReader calls leave when nobody reads from the FIFO any more, until ctx ends.
func leaveWithReader(ctx context.Context, fifo *os.File, leave func()) {
	pace := time.NewTicker(readerPace)
	defer pace.Stop()
	for !readerGone(fifo) {
		select {
		case <-pace.C:
		case <-ctx.Done():
			return
		}
	}
	leave()
}

// installExtcap puts a program into Wireshark's folder that calls this one with the inventory and
// the folder of runs.
func (a *app) installExtcap(ctx context.Context, folder string) error {
	inv, err := a.loadInventory()
	if err != nil {
		return err
	}
	if inv.File == "stdin" || a.inventoryPath() == "-" {
		return usageError(errors.New("extcap: want an inventory in a file: Wireshark asks for it again and again"))
	}
	var paths [3]string
	own, err := os.Executable()
	if err != nil {
		return err
	}
	for i, p := range []string{own, inv.File, a.runsDir()} {
		if paths[i], err = filepath.Abs(p); err != nil {
			return err
		}
	}
	if folder == "" {
		if folder, err = extcapFolder(ctx); err != nil {
			return usageError(err)
		}
	}
	name, text := "moncap-extcap",
		fmt.Sprintf("#!/bin/sh\n# Made by moncap extcap --install.\nMONCAP_RUNS=%s exec %s extcap -i %s \"$@\"\n",
			shellWord(paths[2]), shellWord(paths[0]), shellWord(paths[1]))
	if runtime.GOOS == "windows" {
		name = "moncap-extcap.bat"
		text = fmt.Sprintf("@echo off\r\nrem Made by moncap extcap --install.\r\nset \"MONCAP_RUNS=%s\"\r\n\"%s\" extcap "+
			"-i \"%s\" %%*\r\n", paths[2], paths[0], paths[1])
	}
	file := filepath.Join(folder, name)
	// #nosec G301 G302 G306 -- it is run, by anybody who runs Wireshark
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(file, []byte(text), 0o755),
		os.Chmod(file, 0o755)); err != nil {
		return &exitError{exitFailed, &hinted{err,
			"run it as who may write there, or name another folder with --install-to and have WIRESHARK_EXTCAP_DIR point there"}}
	}
	_, err = fmt.Fprintf(a.stdout, "%s: %s in Wireshark from its next start; remove the file to undo it\n", file,
		counted(len(inv.Tunnels), "tunnel"))
	return err
}

// extcapFolder asks Wireshark where such programs lie; the user's own folder is better than the
// system's (4.2 and later have one).
func extcapFolder(ctx context.Context) (string, error) {
	for _, program := range []string{"tshark", "wireshark"} {
		// #nosec G204 -- one of the two names above
		out, err := exec.CommandContext(ctx, program, "-G", "folders").Output()
		if err != nil {
			continue
		}
		found := ""
		for line := range strings.Lines(string(out)) {
			key, value, _ := strings.Cut(line, ":")
			if value = strings.TrimSpace(value); value == "" {
				continue
			}
			switch strings.ToLower(key) {
			case "personal extcap path":
				return value, nil
			case "extcap path", "global extcap path":
				found = value
			}
		}
		if found != "" {
			return found, nil
		}
	}
	return "", errors.New(
		"extcap: tshark and wireshark do not say where their extcap folder is: name it with --install-to")
}
