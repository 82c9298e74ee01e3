package exchange

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

func read(t *testing.T, incident string) *Story {
	t.Helper()
	return readShared(t, incident, "a.pcap", nil)
}

func readShared(t *testing.T, incident, file string, shared *Contents) *Story {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "testdata", "incidents", incident, file))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := packet.NewReader(f, packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Read(context.Background(), r, shared)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestICMPQuotesTheMessage(t *testing.T) {
	s := read(t, "icmp-admin-prohibited")
	if len(s.ICMP) != 4 || s.Messages.Len() != 1 {
		t.Fatalf("%d ICMP errors, %d messages; want 4 and 1", len(s.ICMP), s.Messages.Len())
	}
	for _, e := range s.ICMP {
		if e.Message != s.Messages.At(0) || !e.QuotesTunnel || !e.Prohibited() ||
			e.Meaning() != "administratively prohibited" {
			t.Errorf("frame %d: %s, message found: %v", int(e.Frame), e.Meaning(), e.Message != nil)
		}
	}
	if n := len(s.Messages.At(0).Transmissions()); n != 4 {
		t.Errorf("%d transmissions, want 4", n)
	}
}

func TestRolesOfIKEv1(t *testing.T) {
	s := read(t, "ikev1-main-mode")
	want := []struct {
		role Role
		kind Kind
	}{
		{Initiator, Request}, {Responder, Response}, {Initiator, Request}, {Responder, Response}, {Initiator, Request},
		{Responder, Response},
		{Initiator, Request}, {Responder, Response}, {Initiator, Request},
	}
	if s.Messages.Len() != len(want) {
		t.Fatalf("%d messages, want %d", s.Messages.Len(), len(want))
	}
	for m := range s.Messages.All() {
		i := int(m.Index)
		if m.Role != want[i].role || m.Kind != want[i].kind {
			t.Errorf("message %d is a %s of the %s, want a %s of the %s", i+1, m.Kind, m.Role, want[i].kind, want[i].role)
		}
	}
	if m := s.Messages.At(4); m.FirstInner != ike.V1PayloadID || m.SKLen == 0 || m.SAv1() != nil ||
		s.Messages.At(0).SAv1() == nil {
		t.Errorf("fifth message %+v, want an encrypted one that begins with an identity", m)
	}
}

func TestClearPartsOfIKEv2(t *testing.T) {
	s := read(t, "ike-fragmentation")
	if init := s.Messages.At(0); init.SA() == nil || !init.Holds(ike.PayloadKE) ||
		!init.Has(uint16(ike.FragmentationSupported)) || len(init.Errors()) > 0 {
		t.Errorf("the first message lacks SA, KE or the notification of fragmentation: %v", init.Payloads)
	}
	parts := 0
	for m := range s.Messages.All() {
		if m.Fragments > 0 {
			parts++
			if (m.Fragment == 1) != (m.FirstInner != ike.PayloadNone) {
				t.Errorf("fragment %d of %d begins with payload %s", m.Fragment, m.Fragments, m.FirstInner)
			}
		}
	}
	if parts != 4 {
		t.Errorf("%d fragments, want 4", parts)
	}
	refusal := read(t, "ike-proposal-mismatch").Messages.At(1)
	if e := refusal.Errors(); len(e) != 1 || e[0].Name != "NO_PROPOSAL_CHOSEN" {
		t.Errorf("errors %v, want NO_PROPOSAL_CHOSEN", e)
	}
}

func TestFragmentedDatagramIsOneSighting(t *testing.T) {
	s := read(t, "ip-fragments-lost")
	if len(s.Datagrams) != 0 {
		t.Errorf("%d incomplete datagrams in the sender's own capture, want none", len(s.Datagrams))
	}
	last := s.Messages.At(s.Messages.Len() - 1).Sent()[0]
	if len(last.Fragments) != 2 || last.Datagram < 1480 {
		t.Errorf("sighting %+v, want two fragments of a large datagram", last)
	}
}

type failing struct{ err error }

func (f failing) Next(*packet.Packet) error { return f.err }
func (f failing) Info() packet.FileInfo     { return packet.FileInfo{} }

func TestReadEndsEarly(t *testing.T) {
	broken := errors.New("the disk is gone")
	if _, err := Read(context.Background(), failing{broken}, nil); !errors.Is(err, broken) {
		t.Errorf("error %v, want the source's", err)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	stop(broken)
	if _, err := Read(ctx, failing{nil}, nil); !errors.Is(err, broken) {
		t.Errorf("error %v, want the context's cause", err)
	}
}

// Two captures that share contents keep what both hold once, and tell the same as when
// each is read alone.
func TestSharedContents(t *testing.T) {
	var shared Contents
	var stories [2]*Story
	var wait sync.WaitGroup
	for i, file := range []string{"a.pcap", "b.pcap"} {
		wait.Go(func() { stories[i] = readShared(t, "lossy-path", file, &shared) })
	}
	wait.Wait()
	kept := map[string]*Content{}
	both := 0
	for m := range stories[0].Messages.All() {
		kept[string(m.Raw())] = m.Content
	}
	for m := range stories[1].Messages.All() {
		if c := kept[string(m.Raw())]; c == m.Content {
			both++
		} else if c != nil {
			t.Errorf("message %d is kept twice", m.Index)
		}
	}
	if both == 0 {
		t.Error("the captures share nothing")
	}
	alone := readShared(t, "lossy-path", "b.pcap", nil)
	options := cmp.Options{
		cmp.AllowUnexported(Flow{}, Set{}, Datagram{}, Message{}, Messages{}, blocks[Message]{}),
		cmpopts.IgnoreUnexported(Clear{}, Story{}, Content{}),
		cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}),
	}
	if diff := cmp.Diff(alone, stories[1], options); diff != "" {
		t.Errorf("read alone it says something else:\n%s", diff)
	}
	for m := range alone.Messages.All() {
		i := int(m.Index)
		o := stories[1].Messages.At(i)
		if diff := cmp.Diff(slices.Collect(m.Notifies()), slices.Collect(o.Notifies())) + cmp.Diff(m.Parsed(), o.Parsed()) +
			cmp.Diff(m.InClear(), o.InClear()); diff != "" {
			t.Errorf("message %d, read alone, says something else:\n%s", i, diff)
		}
	}
}
