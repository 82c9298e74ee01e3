package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/device/inventory"
)

// maxPiped bounds a capture that is read from stdin, since it is kept in memory.
const maxPiped = 1 << 30

type analyzeFlags struct {
	outputFlags
	tunnel         string
	nameA, nameB   string
	keys           string
	debugA, debugB string
	showA, showB   string
}

func (a *app) analyzeCommand() *cobra.Command {
	var f analyzeFlags
	c := &cobra.Command{
		Use:   "analyze A.pcap [B.pcap]",
		Short: "Compare and diagnose captures that exist already",
		Long: `Compare two captures of one tunnel, taken at the same time on both gateways, and say what was lost, refused or
changed, where and by whom. With one capture, everything that one side can prove. Any pcap, pcapng, their gzip, or the
text of ` + "`show monitor capture NAME buffer dump`" + `; - is stdin.
` + exitStatusHelp,
		Example: `  moncap analyze site-a.pcap site-b.pcap
  moncap analyze site-a.pcap site-b.pcap --tunnel hq-branch -i inventory.yaml --format html -o report.html
  moncap analyze site-a.pcap --format json | jq -r .verdict.headline`,
		Args: wants(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(a); err != nil {
				return err
			}
			d, err := a.analyzeFiles(cmd.Context(), args, f)
			if err != nil {
				return err
			}
			return a.show(d, f.outputFlags)
		},
	}
	f.register(c)
	fl := c.Flags()
	fl.StringVar(&f.tunnel, "tunnel", "", "take names, addresses and interfaces of this tunnel of the inventory")
	fl.StringVar(&f.nameA, "name-a", "", "what to call the first side")
	fl.StringVar(&f.nameB, "name-b", "", "what to call the second side")
	fl.StringVar(&f.keys, "keys", "", "file of keys, as Wireshark's ikev2_decryption_table or ikev1_decryption_table; with --format pcapng -o FILE a copy for Wireshark goes to FILE.keys")
	fl.StringVar(&f.debugA, "debug-a", "", "output of debug crypto ikev2 on the first side")
	fl.StringVar(&f.debugB, "debug-b", "", "output of debug crypto ikev2 on the second side")
	fl.StringVar(&f.showA, "show-a", "", "folder of show outputs of the first side, as a bundle has them")
	fl.StringVar(&f.showB, "show-b", "", "folder of show outputs of the second side")
	_ = c.RegisterFlagCompletionFunc("tunnel", a.completeTunnels)
	return c
}

// largeCaptures is what two captures have together from which almost all that is allocated is kept to the end: there the heap is collected
// more often than usual, which takes a few per cent longer and needs a tenth less room.
const largeCaptures = 32 << 20

func (a *app) analyzeFiles(ctx context.Context, files []string, f analyzeFlags) (document, error) {
	sides := [2]analysis.Side{{Name: "side A"}, {Name: "side B"}}
	if f.tunnel != "" {
		t, err := a.loadTunnel(f.tunnel)
		if err != nil {
			return document{}, err
		}
		sides = [2]analysis.Side{sideOf(t.A), sideOf(t.B)}
	}
	for i, extra := range []struct{ name, debug, show string }{{f.nameA, f.debugA, f.showA}, {f.nameB, f.debugB, f.showB}} {
		if extra.name != "" {
			sides[i].Name = extra.name
		}
		if err := addEvidence(&sides[i], extra.debug, extra.show); err != nil {
			return document{}, usageError(err)
		}
	}
	if len(files) == 2 && files[0] == "-" && files[1] == "-" {
		return document{}, usageError(errors.New("stdin can be one of the two captures, not both"))
	}
	for i, file := range files {
		if err := a.openCapture(&sides[i], file); err != nil {
			return document{}, usageError(err)
		}
	}
	keys, err := loadKeys(f.keys)
	if err != nil {
		return document{}, usageError(err)
	}
	o := analysis.Options{Tunnel: f.tunnel, Version: versionString(), Keys: keys, Progress: a.comparing()}
	var b *analysis.Side
	switch {
	case len(files) == 2:
		b = &sides[1]
	case f.tunnel != "":
		o.Peer = &sides[1]
	}
	if sizeOf(files...) > largeCaptures {
		defer a.collect(40)()
	}
	r, err := analysis.Compare(ctx, sides[0], b, o)
	if err != nil {
		return document{}, usageError(err)
	}
	d := document{report: r, a: sides[0].Open, keys: f.keys}
	if b != nil {
		d.b = b.Open
	}
	if len(files) == 2 && sameCapture(r.Sides) {
		return document{}, usageError(fmt.Errorf("%s and %s are the same capture, byte by byte: it proves nothing of the way between the sides; name the other side's, or one alone", files[0], files[1]))
	}
	return d, nil
}

// sameCapture tells the mistake of naming one capture twice, which reads as a perfect path.
func sameCapture(s report.Sides) bool {
	return s.A != nil && s.B != nil && s.A.SHA256 == s.B.SHA256 && s.A.Packets > 0
}

func sideOf(p *inventory.Peer) analysis.Side {
	return analysis.Side{Name: p.Name, Address: p.WAN.Address, NATAddress: p.WAN.NATAddress, Interface: p.WAN.Interface}
}

func (a *app) openCapture(s *analysis.Side, file string) error {
	s.File = file
	if file == "-" {
		open, err := inMemory(a.stdin, maxPiped)
		if err != nil {
			return fmt.Errorf("stdin: %w", err)
		}
		s.File, s.Open = "stdin", open
		return nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, cause(err))
	}
	if info.IsDir() {
		return &hinted{fmt.Errorf("%s: it is a folder", file), "for a bundle of a run, use moncap report " + file}
	}
	s.Open = openFile(file)
	return nil
}

func addEvidence(s *analysis.Side, debug, show string) error {
	if debug != "" {
		b, err := os.ReadFile(debug)
		if err != nil {
			return err
		}
		s.Debug = b
	}
	if show == "" {
		return nil
	}
	config, err := readShows(os.DirFS(show))
	if err != nil {
		return err
	}
	if len(config) == 0 {
		return fmt.Errorf("%s: no .txt file is in it", show)
	}
	s.Config = config
	return nil
}

// readShows reads the show outputs of a folder, by the name of the command: show-ikev2-proposal.txt and so on.
func readShows(dir fs.FS) (map[string]string, error) {
	names, err := fs.Glob(dir, "*.txt")
	if err != nil {
		return nil, err
	}
	shows := map[string]string{}
	for _, n := range names {
		b, err := fs.ReadFile(dir, n)
		if err != nil {
			return nil, err
		}
		shows[strings.TrimSuffix(filepath.Base(n), ".txt")] = string(b)
	}
	return shows, nil
}

func loadKeys(path string) (*ike.Keys, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	keys, err := ike.ParseKeyTable(io.LimitReader(f, 16<<20))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return keys, nil
}
