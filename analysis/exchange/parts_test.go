package exchange

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moncap/moncap/analysis/packet"
)

// only is a capture of which nothing is known but what is to or from an address, or quotes it.
type only struct {
	Source
	a netip.Addr
}

func (o only) Next(p *packet.Packet) error {
	err := o.Source.Next(p)
	quoted := p.Error != nil && (p.Error.Src == o.a || p.Error.Dst == o.a)
	if err == nil && p.Src != o.a && p.Dst != o.a && !quoted {
		p.Kind, p.Proto, p.Error, p.Payload = packet.Other, 0, nil, nil
		p.Src, p.Dst, p.SrcPort, p.DstPort = netip.Addr{}, netip.Addr{}, 0, 0
	}
	return err
}

// both are two captures in one, of which the second is of other addresses.
type both struct {
	first, second Source
	moved         bool
}

func (b *both) Next(p *packet.Packet) error {
	if !b.moved {
		err := b.first.Next(p)
		if b.moved = err == io.EOF; !b.moved {
			return err
		}
	}
	err := b.second.Next(p)
	elsewhere(&p.Src)
	elsewhere(&p.Dst)
	if p.Error != nil {
		elsewhere(&p.Error.Src)
		elsewhere(&p.Error.Dst)
	}
	return err
}

func (b *both) Info() packet.FileInfo { return b.second.Info() }

func elsewhere(a *netip.Addr) {
	if x := a.AsSlice(); len(x) > 0 {
		x[0] ^= 3
		*a, _ = netip.AddrFromSlice(x)
	}
}

// A part of a story is the story of that part of the capture.
func TestPartsAreStories(t *testing.T) {
	files, err := filepath.Glob("../../testdata/incidents/*/?.pcap")
	if err != nil || len(files) < 50 {
		t.Fatal(files, err)
	}
	parts, smaller := 0, 0
	for i := 0; i < len(files); i += 3 { // of any incident, the capture of one side
		file := files[i]
		open := func(file string) *packet.Reader {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			r, err := packet.NewReader(bytes.NewReader(b), packet.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		story := func(a netip.Addr) *Story {
			var src Source = &both{open(file), open(files[(i+2)%len(files)]), false}
			if a.IsValid() {
				src = only{src, a}
			}
			s, err := Read(t.Context(), src, nil)
			if err != nil {
				t.Fatal(err)
			}
			return s
		}
		whole := story(netip.Addr{})
		var all []Share
		for _, a := range whole.Addresses {
			all = append(all, Share{Of: a.Addr})
		}
		parted := whole.Divide(all)
		for i, share := range all {
			part, a := parted.Of(i), share.Of
			if parts++; part.Messages.Len() < whole.Messages.Len() {
				smaller++
			}
			want := story(a)
			// what is nothing to any tunnel is not told apart by address in what was read
			want.Others = slices.DeleteFunc(want.Others, func(s *Stream) bool { return !s.Src.Addr().IsValid() })
			if diff := cmp.Diff(told(want), told(part), inside); diff != "" {
				t.Errorf("%s, %s (-read +part):\n%s", file, a, diff)
			}
			twins := maps.Collect(part.Twins(part))
			for m := range part.Messages.All() {
				if twin, ok := twins[int(m.Index)]; !ok || twin != int(m.Index) {
					t.Errorf("%s, %s: message %d is not found", file, a, m.Index)
				}
			}
		}
	}
	if smaller < parts/2 {
		t.Errorf("%d of %d parts are smaller than the whole", smaller, parts)
	}
}

// In the room of a part that was larger, or smaller, a part is the same.
func TestPartsInTheRoomOfOthers(t *testing.T) {
	x := newTeller(nil)
	address := func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }
	var shares []Share
	for i, messages := range []int{40, 3000, 2, 1100, 2500} {
		shares = append(shares, Share{Of: address(i)})
		for range messages {
			raw := sealedMessage()
			binary.BigEndian.PutUint32(raw[len(raw)-4:], uint32(x.story.Messages.Len()))
			x.packet(&packet.Packet{Kind: packet.IKE, Frame: x.story.Messages.Len() + 1, Payload: raw, Src: address(i),
				Dst: address(100)})
		}
	}
	whole := x.finish()
	anew, again := whole.Divide(shares), whole.Divide(shares)
	for i := range shares {
		want, got := anew.Of(i), again.Of(i)
		if diff := cmp.Diff(told(want), told(got), inside); diff != "" {
			t.Errorf("part %d (-anew +again):\n%s", i, diff)
		}
		twins := maps.Collect(got.Twins(want))
		for m := range want.Messages.All() {
			if twin, ok := twins[int(m.Index)]; !ok || twin != int(m.Index) || len(twins) != want.Messages.Len() {
				t.Fatalf("part %d: %d twins, message %d is that of %d", i, len(twins), m.Index, twin)
			}
		}
		again.Reuse(got)
	}
}

// inside are the ways to compare what cannot be looked into.
var inside = cmp.Options{
	cmpopts.EquateEmpty(), cmpopts.IgnoreFields(Counts{}, "Fragments", "Other"), // see Parts
	cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.IgnoreUnexported(Flow{}, Datagram{}),
	cmp.Transformer("numbers", func(s Set) []Interval { return s.Runs() }),
}

// told is what a story says, without where it keeps it.
func told(s *Story) any {
	type message struct {
		Raw   []byte
		Role  Role
		Kind  Kind
		Sent  []Sight
		Place int32
	}
	type icmp struct {
		ICMP
		Of int32
	}
	all := struct {
		Counts     Counts
		Messages   []message
		ICMP       []icmp
		Flows      []*Flow
		Streams    [][]*Stream
		Datagrams  []*Datagram
		Addresses  []Address
		First, End int64
	}{Counts: s.Counts, Flows: s.Flows, Streams: [][]*Stream{s.Keepalives, s.Others}, Datagrams: s.Datagrams,
		Addresses: s.Addresses, First: s.First, End: s.Last}
	for m := range s.Messages.All() {
		all.Messages = append(all.Messages, message{m.Raw(), m.Role, m.Kind, m.Sent(), m.Index})
	}
	for _, e := range s.ICMP {
		x := icmp{*e, none}
		if e.Message != nil {
			x.Of, x.Message = e.Message.Index, nil
		}
		all.ICMP = append(all.ICMP, x)
	}
	return all
}
