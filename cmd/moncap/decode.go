package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/ike"
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
pcapng, either in gzip, or the text of ` + "`show monitor capture NAME buffer dump`" + `; - is stdin. -r FILE is the same, as in tshark.

` + filterHelp,
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
	fl.BoolVar(&f.searchNAT, "nat-search", false, "find the private address behind a NAT by trying all; takes seconds a message")
	c.MarkFlagsMutuallyExclusive("stats", "filter")
	mustComplete(c, "format", []string{"text", "json", "ndjson"})
	return c
}

func (a *app) decode(ctx context.Context, file string, f decodeFlags) error {
	if err := oneOf("--format", f.format, "text", "json", "ndjson"); err != nil {
		return err
	}
	keep, err := parseFilter(f.filter)
	if err != nil {
		return usageError(err)
	}
	keys, err := loadKeys(f.keys)
	if err != nil {
		return usageError(err)
	}
	in, name, err := a.openToDecode(file)
	if err != nil {
		return usageError(err)
	}
	defer in.Close()
	r, err := packet.NewReader(in, packet.Options{NoHash: true})
	if err != nil {
		return usageError(fmt.Errorf("%s: %w", name, err))
	}
	out := bufio.NewWriterSize(a.stdout, 64<<10)
	if f.stats {
		return a.decodeStats(ctx, out, name, r, f.format)
	}
	d := &decoding{reader: r, messages: messageDecoder{keys: newDecryption(keys)}, keep: keep, count: f.count, view: a.newView(out, f)}
	if f.tree || f.format != "text" { // nobody else shows what it finds
		d.messages.seen = newObserver(f.searchNAT)
	}
	err = errors.Join(d.run(ctx), out.Flush())
	if err != nil {
		return &exitError{exitFailed, fmt.Errorf("%s: %w", name, err)}
	}
	a.reportDamage(name, r.Info())
	return nil
}

func (a *app) openToDecode(file string) (io.ReadCloser, string, error) {
	if file == "-" {
		return io.NopCloser(a.stdin), "stdin", nil
	}
	info, err := os.Stat(file)
	if err != nil {
		return nil, file, fmt.Errorf("%s: %w", file, cause(err))
	}
	if info.IsDir() {
		return nil, file, fmt.Errorf("%s: it is a folder", file)
	}
	f, err := os.Open(file)
	return f, file, err
}

func (a *app) reportDamage(name string, i packet.FileInfo) {
	if i.Damage != nil {
		a.warn("%s: damaged at byte %d after %d packets: %s",
			printable(name), i.Damage.Offset, i.Packets, printable(i.Damage.Reason))
	}
}

// view shows packets in one of the forms.
type view interface {
	show(*decodedPacket) error
	end() error
}

func (a *app) newView(w *bufio.Writer, f decodeFlags) view {
	switch f.format {
	case "json":
		return &jsonView{w: w, array: true}
	case "ndjson":
		return &jsonView{w: w}
	}
	return &listView{w: w, tree: f.tree, bytes: f.bytes, utc: f.utc, color: a.useColor(a.stdoutTTY)}
}

// decoding is one pass over a capture.
type decoding struct {
	reader   *packet.Reader
	messages messageDecoder
	keep     filter
	view     view
	count    int
}

func (d *decoding) run(ctx context.Context) error {
	shown, first := 0, int64(0)
	for p, err := range packet.All(d.reader) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if p.Frame == 1 {
			first = p.Nanos
		}
		one := d.messages.decode(ctx, p)
		one.first = first
		if !d.keep(one) {
			continue
		}
		if err := d.view.show(one); err != nil {
			return err
		}
		if shown++; shown == d.count {
			break
		}
	}
	return d.view.end()
}

// decodedPacket is a packet with its IKE message, as all views and the filter see it.
type decodedPacket struct {
	p      *packet.Packet
	first  int64        // time of the file's first packet
	msg    *ike.Message // nil for anything else than IKE, and for less than a header
	inner  *decrypted   // what the keys opened, or nil
	reason string       // why an IKE packet has no message

	observed map[ike.Payload][]observation

	whole *decodedPacket // the message that this fragment of an IKEv1 message completes, or nil
}

// messageDecoder decodes the IKE messages of packets, with what it learnt from those before.
type messageDecoder struct {
	keys  *decryption
	seen  *observer // nil for none
	parts ike.Assembler
}

func (r *messageDecoder) decode(ctx context.Context, p *packet.Packet) *decodedPacket {
	d := &decodedPacket{p: p}
	if p.Kind != packet.IKE {
		return d
	}
	msg, err := ike.Parse(p.Payload)
	if err != nil {
		d.reason = err.Error()
		return d
	}
	d.msg = msg
	d.inner = r.keys.open(msg, p.Payload)
	if r.seen != nil {
		d.observed = r.seen.observe(ctx, d)
	}
	d.whole = r.assemble(ctx, d)
	return d
}

// assemble decodes the message whose last missing fragment d is. There are no fragments of fragments.
func (r *messageDecoder) assemble(ctx context.Context, d *decodedPacket) *decodedPacket {
	w := r.parts.Add(d.msg, netip.AddrPortFrom(d.p.Src, d.p.SrcPort), d.p.Frame)
	if w == nil {
		return nil
	}
	p := *d.p
	p.Payload, p.Fragments = w.Bytes, w.Frames
	nested := messageDecoder{keys: r.keys, seen: r.seen}
	return nested.decode(ctx, &p)
}

// protocol is the packet's kind in the words of the output.
func (d *decodedPacket) protocol() string {
	if d.p.Kind == packet.Fragment {
		return packet.Other.String()
	}
	return d.p.Kind.String()
}

// side is the letter of the capture that a packet came from, in a file that has one interface a side.
func (d *decodedPacket) side() string {
	if d.p.Interface < 26 {
		return string(rune('A' + d.p.Interface))
	}
	return ""
}

func (d *decodedPacket) faults() []ike.Fault {
	switch {
	case d.msg != nil:
		return slices.Concat(d.msg.Faults, d.inner.faults())
	case d.reason != "":
		return []ike.Fault{{Offset: 0, Reason: d.reason}}
	}
	return nil
}
