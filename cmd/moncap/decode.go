package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/dissect"
	"github.com/moncap/moncap/analysis/packet"
)

type decodeFlags struct {
	format string
	tree   bool
	filter string
	keys   string
	count  int
	utc    bool
	bytes  bool
	file   string

	searchNAT bool
	stats     bool
}

func (a *app) decodeCommand() *cobra.Command {
	f := decodeFlags{format: "text"}
	c := &cobra.Command{
		Use:   "decode FILE",
		Short: "Show every packet of a capture, payload by payload with -V",
		Long: `List the packets of a capture as tshark does, with every IKE message decoded; -V shows each payload. FILE is a pcap or
pcapng, either in gzip, or the text of ` + "`show monitor capture NAME buffer dump`" + `; - is stdin. -r FILE is the same, as in tshark. Of
a pipe, what came is shown before more is waited for. Of a damaged file what is whole is shown, and the exit status is 4.

` + dissect.FilterHelp,
		Example: `  moncap decode capture.pcap
  moncap decode capture.pcap -V --filter 'ike.exchange == IKE_SA_INIT && ip == 192.0.2.1'
  moncap decode capture.pcap --format ndjson | jq -c '[.frame, .info]'
  moncap decode large.pcap.gz --stats
  moncap decode capture.pcap -V --keys ikev2_decryption_table
  ssh admin@router show monitor capture cap buffer dump | moncap decode -`,
		Args: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("read") {
				return wants(0, 0)(c, args)
			}
			return wants(1, 1)(c, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.file = args[0]
			}
			return a.decode(cmd.Context(), f.file, f)
		},
	}
	fl := c.Flags()
	fl.StringVarP(&f.file, "read", "r", "", "the file, as an option")
	fl.StringVarP(&f.format, "format", "f", f.format, "text, json (one array) or ndjson (one object a line)")
	fl.BoolVarP(&f.tree, "tree", "V", false, "text: show every field of every payload")
	fl.BoolVarP(&f.bytes, "bytes", "x", false, "text: show the bytes of IKE messages")
	fl.StringVarP(&f.filter, "filter", "Y", "", "show only the packets that this filter describes")
	fl.StringVar(&f.keys, "keys", "", "keys, as in Wireshark's ikev2_decryption_table or ikev1_decryption_table")
	fl.IntVarP(&f.count, "count", "c", 0, "stop after this many packets were shown")
	fl.BoolVar(&f.utc, "utc", false, "text: the time of day in UTC instead of seconds since the first packet")
	fl.BoolVar(&f.stats, "stats", false, "count packets, exchanges and payloads instead of listing them: one fast pass")
	fl.BoolVar(&f.searchNAT, "nat-search", false,
		"find the private address behind a NAT by trying all; takes seconds each, 32 at most")
	c.MarkFlagsMutuallyExclusive("stats", "filter")
	mustComplete(c, "format", []string{"text", "json", "ndjson"})
	return c
}

func (a *app) decode(ctx context.Context, file string, f decodeFlags) error {
	if err := oneOf("--format", f.format, "text", "json", "ndjson"); err != nil {
		return err
	}
	keep, err := dissect.ParseFilter(f.filter)
	if err != nil {
		meant := ""
		if unknown, ok := errors.AsType[*dissect.UnknownValueError](err); ok {
			meant = didYouMean(strings.ToUpper(unknown.Value), unknown.Known)
		}
		return usageError(&hinted{fmt.Errorf("--filter: %w%s", err, meant),
			`an example: --filter 'ike.exchange == IKE_AUTH && ip == 192.0.2.1'`})
	}
	keys, err := loadKeys(f.keys)
	if err != nil {
		return usageError(err)
	}
	in, name, err := a.openToDecode(ctx, file)
	if err != nil {
		return usageError(err)
	}
	defer in.Close()
	r, err := packet.NewReader(in, packet.Options{NoHash: true, CutFirst: true})
	if err != nil {
		return usageError(fmt.Errorf("%s: %w", name, err))
	}
	defer a.rareCollections()()
	if f.stats {
		err = dissect.Stats(ctx, a.stdout, r, f.format != "text")
	} else {
		err = dissect.Packets(ctx, a.stdout, r, dissect.Options{Form: f.form(), Filter: keep, Count: f.count, Keys: keys,
			Bytes: f.bytes, UTC: f.utc, Color: a.useColor(a.stdoutTTY), SearchNAT: f.searchNAT, Searching: a.searching,
			Waits: beforeWaiting(in)})
	}
	if err != nil {
		return &exitError{exitFailed, fmt.Errorf("%s: %w", name, err)}
	}
	return damageOf(name, r.Info())
}

// beforeWaiting has what was shown be seen before a pipe is waited for, which may be a capture that
// is still going on; nil for what does not wait.
func beforeWaiting(in io.Reader) func(flush func() error) {
	h, waits := in.(*heeded)
	if !waits {
		return nil
	}
	return func(flush func() error) {
		h.waits = func() { _ = flush() } // the writer keeps the error, and the next write has it
	}
}

// searching tells of a search that takes seconds.
func (a *app) searching(n, most int) {
	a.progress("nat-search: %d of at most %d addresses, some seconds each; Ctrl-C ends it", n, most)
}

// rareCollections lets the heap grow to five times what is in use before it is collected, and
// returns what takes that back. Decoding keeps some megabytes whatever the size of the file, so
// that this costs little memory and saves a fifth of the work.
func (a *app) rareCollections() (undo func()) { return a.collect(400) }

// collect has the heap collected when it has grown by so many percent, unless the environment says
// otherwise, and returns what takes that back.
func (a *app) collect(percent int) (undo func()) {
	if a.getenv("GOGC") != "" {
		return func() {}
	}
	before := debug.SetGCPercent(percent)
	return func() { debug.SetGCPercent(before) }
}

func (f decodeFlags) form() dissect.Form {
	switch {
	case f.format == "json":
		return dissect.JSON
	case f.format == "ndjson":
		return dissect.NDJSON
	case f.tree:
		return dissect.Tree
	}
	return dissect.List
}

func (a *app) openToDecode(ctx context.Context, file string) (io.ReadCloser, string, error) {
	if file == "-" {
		return a.heedStdin(ctx), "stdin", nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, file, fmt.Errorf("%s: %w", file, cause(err))
	}
	if info.IsDir() {
		return nil, file, fmt.Errorf("%s: it is a folder", file)
	}
	f, err := heedFile(ctx, file, info)
	return f, file, err
}

// damageOf is the error of a capture that is whole only up to a place: what comes before was shown.
// A script that reads on would else take a part of the packets for all.
func damageOf(name string, i packet.FileInfo) error {
	if i.Damage == nil {
		return nil
	}
	return &exitError{exitFailed, &hinted{fmt.Errorf("%s: damaged at byte %d after %d packets: %s",
		name, i.Damage.Offset, i.Packets, i.Damage.Reason),
		"what is whole was shown; fetch or copy the file again, and compare its size"}}
}
