// Package dissect shows the packets of a capture: as a list in tshark's columns, as a tree of every
// field, or in JSON.
package dissect

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"unicode"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// Form is one of the forms in which packets are shown.
type Form uint8

// The forms.
const (
	List   Form = iota // a line a packet, in tshark's columns
	Tree               // below each line everything that is known of the packet
	JSON               // one array of objects
	NDJSON             // an object a line
)

// Options say which packets are shown, and how. The zero value lists all of them.
type Options struct {
	Form   Form
	Filter Filter
	Count  int       // stop after this many were shown; 0: never
	Keys   *ike.Keys // to decrypt with, or nil

	// of List and Tree
	Bytes bool // the bytes of IKE messages, too
	UTC   bool // the time of day instead of seconds since the first packet
	Color bool

	// Waits is given what writes out all that was shown so far: whoever reads the capture calls it,
	// on the goroutine that reads, before it waits for more. nil: all is written in blocks.
	Waits func(flush func() error)

	// SearchNAT finds the private address behind a NAT by trying all, which takes seconds a hash; of
	// 32 of them at most, and what was not searched for is told.
	SearchNAT bool
	Searching func(searches, most int) // hears of each search that begins; may be nil
}

// Packets shows the packets of r on w.
func Packets(ctx context.Context, w io.Writer, r *packet.Reader, o Options) error {
	out := bufio.NewWriterSize(w, 64<<10)
	d := &decoding{reader: r, messages: messageDecoder{keys: newDecryption(o.Keys)}, keep: o.Filter, count: o.Count,
		view: newView(out, o), searches: o.SearchNAT}
	d.messages.headers = o.Form == List && o.Filter == nil && o.Keys == nil && !o.Color
	if o.Form != List { // the list does not show what it finds
		d.messages.seen = newObserver(o.natSearch())
	}
	if o.Waits != nil {
		o.Waits(out.Flush)
	}
	return errors.Join(d.run(ctx), out.Flush())
}

func (o Options) natSearch() *natSearch {
	if !o.SearchNAT {
		return nil
	}
	return &natSearch{progress: o.Searching, most: maxSearches, results: map[string]netip.AddrPort{}}
}

// view shows packets in one of the forms.
type view interface {
	show(*decodedPacket) error
	end() error
}

func newView(w *bufio.Writer, o Options) view {
	switch o.Form {
	case JSON:
		return &jsonView{w: w, array: true, times: timeText{layout: jsonTime}}
	case NDJSON:
		return &jsonView{w: w, times: timeText{layout: jsonTime}}
	}
	return newListView(w, o)
}

// decoding is one pass over a capture.
type decoding struct {
	reader   *packet.Reader
	messages messageDecoder
	keep     Filter
	view     view
	count    int
	searches bool // a packet may take seconds
}

func (d *decoding) run(ctx context.Context) error {
	shown, first, one := 0, int64(0), &decodedPacket{}
	for p, err := range packet.All(d.reader) {
		if err != nil {
			return err
		}
		if p.Frame%256 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if p.Frame == 1 {
			first = p.Nanos
		}
		d.messages.decode(ctx, p, one)
		if d.searches && ctx.Err() != nil {
			return context.Cause(ctx) // a search that ended early is no answer to be shown
		}
		one.first = first
		if d.keep != nil && !d.keep(one) {
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
	group  *ike.Message // of the management of group keys, which is none of the tunnel's IKE; or nil
	inner  *decrypted   // what the keys opened, or nil
	reason string       // why an IKE packet has no message

	observed []observation

	whole *decodedPacket // the message that this fragment of an IKEv1 message completes, or nil
}

// messageDecoder decodes the IKE messages of packets, with what it learnt from those before.
type messageDecoder struct {
	keys  *decryption
	seen  *observer // nil for none
	parts ike.Assembler
	parse ike.Parser

	// headers says that nothing but a header is shown of a message: one that is sound
	// is read no further.
	headers bool
	header  ike.Message
}

// decode fills d from p, of what d was keeping its buffers.
func (r *messageDecoder) decode(ctx context.Context, p *packet.Packet, d *decodedPacket) {
	*d = decodedPacket{p: p, observed: d.observed[:0]}
	if p.Kind != packet.IKE {
		if p.GroupKeys() {
			d.group, _ = ike.Parse(p.Payload) // what cannot be read stays a datagram of that port
		}
		return
	}
	if r.headers {
		if h, sound := ike.Sound(p.Payload); sound {
			r.header = ike.Message{Header: h}
			d.msg = &r.header
			return
		}
	}
	msg, err := r.parse.Parse(p.Payload)
	if err != nil {
		d.reason = err.Error()
		return
	}
	d.msg = msg
	d.inner = r.keys.open(msg, p.Payload)
	if r.seen != nil {
		d.observed = r.seen.observe(ctx, d.observed, d)
	}
	d.whole = r.assemble(ctx, d)
}

// assemble decodes the message whose last missing fragment d is. There are no
// fragments of fragments.
func (r *messageDecoder) assemble(ctx context.Context, d *decodedPacket) *decodedPacket {
	w := r.parts.Add(d.msg, netip.AddrPortFrom(d.p.Src, d.p.SrcPort), d.p.Frame)
	if w == nil {
		return nil
	}
	p := *d.p
	p.Payload, p.Fragments = w.Bytes, w.Frames
	nested, whole := messageDecoder{keys: r.keys, seen: r.seen}, &decodedPacket{}
	nested.decode(ctx, &p, whole)
	return whole
}

// protocol is the packet's kind in the words of the output.
func (d *decodedPacket) protocol() string {
	if d.p.Kind == packet.Fragment {
		return packet.Other.String()
	}
	return d.p.Kind.String()
}

// side is the letter of the capture that a packet came from, in a file that has
// one interface a side.
func (d *decodedPacket) side() string {
	if d.p.Interface < 26 {
		return string(rune('A' + d.p.Interface))
	}
	return ""
}

// faulty says whether there are faults.
func (d *decodedPacket) faulty() bool {
	return d.reason != "" || d.msg != nil && len(d.msg.Faults) > 0 || d.inner != nil && d.inner.opened != nil &&
		len(d.inner.opened.Faults) > 0
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

// printable drops control characters, so that no text from a packet can drive the terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) {
			return -1
		}
		return r
	}, s)
}
