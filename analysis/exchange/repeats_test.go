package exchange

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

// What messages share is what each would have said alone.
func TestSharedPayloadsAreEqual(t *testing.T) {
	for _, incident := range []string{"lossy-path", "ike-proposal-mismatch", "ikev1-main-mode", "ke-group-retry"} {
		for m := range read(t, incident).Messages.All() {
			alone, err := ike.Parse(m.Raw())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(alone, m.Parsed()); diff != "" {
				t.Errorf("%s: message %d:\n%s", incident, m.Index, diff)
			}
		}
	}
}

func TestEqualOffersAreKeptOnce(t *testing.T) {
	var offers []*ike.SA
	for m := range read(t, "cookie").Messages.All() {
		if sa := m.SA(); sa != nil && m.Kind == Request {
			offers = append(offers, sa)
		}
	}
	if len(offers) < 2 || !cmp.Equal(offers[0], offers[1]) {
		t.Fatalf("%d offers %v, want two that are equal", len(offers), offers)
	}
	if offers[0] != offers[1] {
		t.Error("two equal offers are kept twice")
	}
}

// What is told of a sealed message is the same without its bytes, and who asks for these is noted.
func TestSealedMessagesWithoutTheirBytes(t *testing.T) {
	missed, sealed := 0, 0
	whole := read(t, "healthy").Messages
	for m := range readShared(t, "healthy", "a.pcap", &Contents{Missed: func() { missed++ }}).Messages.All() {
		i := int(m.Index)
		w := whole.At(i)
		got, want := m.Parsed(), w.Parsed()
		if missed > 0 {
			t.Fatalf("message %d was read from bytes that are not kept", i)
		}
		if m.SKLen > 0 {
			sealed++
			if sk := want.Payloads[0].(*ike.Encrypted); len(sk.Data) != m.SKLen-genericLen {
				t.Fatalf("message %d: %d bytes inside, SKLen %d", i, len(sk.Data), m.SKLen)
			} else {
				clear(sk.Data)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("message %d: %s", i, diff)
		}
		switch raw := m.Raw(); {
		case m.SKLen > 0 && (raw != nil || missed != 1):
			t.Errorf("sealed message %d: %d bytes are kept, missed %d times", i, len(raw), missed)
		case m.SKLen == 0 && (!cmp.Equal(raw, w.Raw()) || missed != 0):
			t.Errorf("message %d in clear: other bytes, or missed %d times", i, missed)
		}
		missed = 0
	}
	if sealed == 0 || sealed == whole.Len() {
		t.Fatalf("%d of %d messages are sealed", sealed, whole.Len())
	}
}

// A sealed message with the same header and length but other bytes is another message, whether the
// captures share their contents or not.
func TestSealedMessagesAreToldApart(t *testing.T) {
	missed := func() { t.Error("bytes were asked for") }
	tell := func(shared *Contents, changes ...byte) *Story {
		x := newTeller(shared)
		for i, change := range changes {
			raw := sealedMessage()
			raw[len(raw)-1] ^= change
			x.packet(&packet.Packet{Kind: packet.IKE, Frame: i + 1, Payload: raw})
		}
		return x.finish()
	}
	for name, both := range map[string]func() [2]*Contents{
		"shared": func() [2]*Contents { c := &Contents{Missed: missed}; return [2]*Contents{c, c} },
		"apart":  func() [2]*Contents { return [2]*Contents{{Missed: missed}, {Missed: missed}} },
	} {
		c := both()
		a, b := tell(c[0], 0, 1, 2), tell(c[1], 3, 2, 4, 0)
		m, o := a.Messages.At(0), b.Messages.At(0)
		if m.Header != o.Header || a.Messages.Len() != 3 || b.Messages.Len() != 4 {
			t.Errorf("%s: %d and %d messages, the first with the headers %v and %v", name, a.Messages.Len(),
				b.Messages.Len(), m.Header, o.Header)
		}
		if twins := maps.Collect(a.Twins(b)); !maps.Equal(twins, map[int]int{0: 3, 2: 1}) {
			t.Errorf("%s: the same are %v", name, twins)
		}
		if a.Linked(); len(maps.Collect(a.Twins(b))) != 0 {
			t.Errorf("%s: twins of a story that gave up what tells them", name)
		}
	}
}

// sealedMessage is an INFORMATIONAL request of one SK payload.
func sealedMessage() []byte {
	raw := make([]byte, ike.HeaderLen+genericLen+24)
	raw[0], raw[8], raw[16], raw[17], raw[18], raw[19] = 1, 2, byte(ike.PayloadSK), 0x20, byte(ike.Informational), 8
	raw[27], raw[31] = byte(len(raw)), genericLen+24
	return raw
}
