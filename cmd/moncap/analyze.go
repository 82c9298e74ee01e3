package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/device/inventory"
)

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
changed, where and by whom: IKEv1 and IKEv2, ESP and AH. With one capture, everything that one side can prove. Any pcap,
pcapng, their gzip, the text of ` + "`show monitor capture NAME buffer dump`" + `, or the hex texts of tcpdump -XX, FortiGate's
sniffer and ASA's show capture dump; - is stdin.
` + exitStatusHelp,
		Example: `  moncap analyze site-a.pcap site-b.pcap
  moncap analyze site-a.pcap site-b.pcap --tunnel hq-branch -i inventory.yaml \
    --format html -o report.html
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
	fl.StringVar(&f.keys, "keys", "", "file of keys, as Wireshark's ikev2_decryption_table or ikev1_decryption_table; "+
		"with --format pcapng -o FILE a copy for Wireshark goes to FILE.keys")
	fl.StringVar(&f.debugA, "debug-a", "", "output of debug crypto ikev2 on the first side")
	fl.StringVar(&f.debugB, "debug-b", "", "output of debug crypto ikev2 on the second side")
	fl.StringVar(&f.showA, "show-a", "", "folder of show outputs of the first side, as a bundle has them")
	fl.StringVar(&f.showB, "show-b", "", "folder of show outputs of the second side")
	_ = c.RegisterFlagCompletionFunc("tunnel", a.completeTunnels)
	return c
}

// roomFor is how large the heap of a comparison may become before it is collected at all: little of
// it is garbage then, and what is looked through for that is most of what was read.
func roomFor(captures int64) int64 {
	const least = 96 << 20
	return max(captures+captures*2/5, least)
}

// collectByPhase leaves the heap alone where all that a comparison allocates has room. Elsewhere,
// which shows when the captures are read, it is collected often, and in between the steps of the
// work: what a step needed for itself is garbage by then, and lies beside what was read. It returns
// what is to be told the progress instead, and what ends it when the report is made.
func (a *app) collectByPhase(room int64, progress func(analysis.Progress)) (tell func(analysis.Progress), undo func()) {
	if a.getenv("GOGC") != "" {
		return progress, func() {}
	}
	const often = 50 // percent
	var mu sync.Mutex
	start := measureHeap()
	before := a.collect(start.percentFor(room))
	read, tight := false, false
	var kept int64 // after the last collection in between two steps
	undo = func() {
		before()
		runtime.GC() // what was read is garbage, and the report is not to be written beside it
	}
	return func(p analysis.Progress) {
		mu.Lock()
		working := p.Part == analysis.Judging || p.Part == analysis.Joining && p.Done > 0
		now := measureHeap()
		if !tight && (now.collections > start.collections || working && !read && now.used > room/4*3) {
			tight = true
			a.collect(often)
		}
		if tight && working {
			kept = collectGrown(kept)
		}
		read = read || working
		mu.Unlock()
		progress(p)
	}, undo
}

func (a *app) analyzeFiles(ctx context.Context, files []string, f analyzeFlags) (document, error) {
	sides := [2]analysis.Side{{Name: "side A"}, {Name: "side B"}}
	if f.tunnel != "" {
		t, err := a.loadTunnel(f.tunnel)
		if err != nil {
			return document{}, err
		}
		sides = [2]analysis.Side{sideOf(t.A), sideOf(t.B)}
	}
	for i, extra := range []struct{ name, debug, show string }{{f.nameA, f.debugA, f.showA},
		{f.nameB, f.debugB, f.showB}} {
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
	if len(files) == 2 && samePipe(files[0], files[1]) {
		return document{}, usageError(fmt.Errorf("%s and %s are the same pipe, which can be one of the two captures, "+
			"not both", files[0], files[1]))
	}
	for i, file := range files {
		if err := a.openCapture(ctx, &sides[i], file); err != nil {
			return document{}, usageError(err)
		}
	}
	keys, err := loadKeys(f.keys)
	if err != nil {
		return document{}, usageError(err)
	}
	o := analysis.Options{Tunnel: f.tunnel, Version: versionString(), Keys: keys, Progress: a.comparing(),
		NoHash: !hashed(f.format) && !sides[0].Once && !sides[1].Once}
	var b *analysis.Side
	switch {
	case len(files) == 2:
		b = &sides[1]
	case f.tunnel != "":
		o.Peer = &sides[1]
	}
	tell, undo := a.collectByPhase(roomFor(sizeOf(files...)), o.Progress)
	defer undo()
	o.Progress = tell
	r, err := analysis.Compare(ctx, sides[0], b, o)
	if err != nil {
		return document{}, usageError(err)
	}
	a.warnOfUnused(r)
	d := document{report: r, a: sides[0].Open, keys: f.keys}
	if b != nil {
		d.b = b.Open
	}
	if len(files) == 2 && sameCapture(r, files) {
		return document{}, usageError(fmt.Errorf("%s and %s are the same capture: it proves nothing of the "+
			"way between the sides; name the other side's, or one alone", files[0], files[1]))
	}
	return d, nil
}

// warnOfUnused tells of what was given in vain, as the keys or the debug output of another tunnel
// are: whoever gave them believes that they were considered.
func (a *app) warnOfUnused(r *report.Report) {
	for _, n := range r.Notes {
		switch {
		case !n.Unused():
		case n.Side == "":
			a.warn("%s", n.Text)
		default:
			a.warn("%s: %s", sideOrName(r, n.Side), n.Text)
		}
	}
}

func sideOrName(r *report.Report, s report.Side) string {
	if i := r.Sides.Get(s); i != nil && i.Name != "" {
		return i.Name
	}
	return "side " + string(s)
}

// sameCapture tells the mistake of naming one capture twice, which reads as a perfect path: the
// same file, or another form of it.
func sameCapture(r *report.Report, files []string) bool {
	a, b := r.Sides.A, r.Sides.B
	switch {
	case a == nil || b == nil || a.Packets == 0 || a.Packets != b.Packets:
		return false
	case a.SHA256 != "" || b.SHA256 != "": // of both, else neither is shown
		return a.SHA256 == b.SHA256 || samePackets(r)
	}
	return samePackets(r) || sameBytes(files[0], files[1])
}

// samePackets says whether every message is the same frame of both captures, at the same time, and
// no router lowered its TTL: a path takes time.
func samePackets(r *report.Report) bool {
	seen := false
	for _, c := range r.Conversations {
		for _, m := range c.Messages {
			for _, t := range m.Transmissions {
				if t.A == nil || t.B == nil || t.A.Frame != t.B.Frame || t.A.TTL != t.B.TTL || !t.A.Time.Equal(t.B.Time) {
					return false
				}
				seen = true
			}
		}
	}
	return seen && !r.Sides.A.Untimed && !r.Sides.B.Untimed
}

// sameBytes says whether two files hold the same. Two that cannot be read any more do not.
func sameBytes(a, b string) bool {
	x, err := os.Open(a)
	if err != nil {
		return false
	}
	defer x.Close()
	y, err := os.Open(b)
	if err != nil {
		return false
	}
	defer y.Close()
	const piece = 64 << 10
	p, q := make([]byte, piece), make([]byte, piece)
	for {
		n, err := io.ReadFull(x, p)
		m, other := io.ReadFull(y, q)
		switch {
		case !bytes.Equal(p[:n], q[:m]):
			return false
		case err != nil || other != nil: // of the same length, so both are at their ends
			ended := func(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }
			return ended(err) && ended(other)
		}
	}
}

// samePipe tells two names of what can be read but once: each reader would get some pieces of it.
func samePipe(a, b string) bool {
	x, err := os.Stat(a)
	y, other := os.Stat(b)
	return err == nil && other == nil && !x.Mode().IsRegular() && !x.IsDir() && os.SameFile(x, y)
}

func sideOf(p *inventory.Peer) analysis.Side {
	return analysis.Side{Name: p.Name, Address: p.WAN.Address, NATAddress: p.WAN.NATAddress, Interface: p.WAN.Interface}
}

func (a *app) openCapture(ctx context.Context, s *analysis.Side, file string) error {
	s.File = file
	if file == "-" {
		in := func() (io.ReadCloser, error) { return a.heedStdin(ctx), nil }
		s.File = "stdin"
		s.Open, s.Once = (&piped{name: s.File, open: in, most: mostKeptOfStdin}).reader, true
		return nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return fmt.Errorf("%s: %w", file, cause(err))
	}
	if info.IsDir() {
		return &hinted{fmt.Errorf("%s: it is a folder", file), "for a bundle of a run, use moncap report " + file}
	}
	s.Open = func() (io.ReadCloser, error) { return heedFile(ctx, file, info) }
	if !info.Mode().IsRegular() {
		s.Open, s.Once = (&piped{name: file, open: s.Open, most: mostKept}).reader, true
	}
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

// readShows reads the show outputs of a folder, by the name of the command: show-ikev2-proposal.txt
// and so on.
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
