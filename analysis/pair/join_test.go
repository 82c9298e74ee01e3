package pair

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/packet"
)

func readStory(t *testing.T, path string) *exchange.Story {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := packet.NewReader(f, packet.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := exchange.Read(context.Background(), r, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func joinIncident(t *testing.T, name string) *Case {
	t.Helper()
	dir := filepath.Join("..", "..", "testdata", "incidents", name)
	c, err := Join(context.Background(), readStory(t, filepath.Join(dir, "a.pcap")),
		readStory(t, filepath.Join(dir, "b.pcap")), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestIncidents holds the joined incidents to what was done to their paths.
func TestIncidents(t *testing.T) {
	for _, want := range []struct {
		name          string
		conversations int
		counts        Counts
		translated    string // A's address as B sees it
		icmp          int
	}{
		{"blocked-a-to-b", 2, Counts{Matched: 5, Lost: [2]int{10, 0}, Only: [2]int{10, 0}}, "", 0},
		{"blocked-b-to-a", 1, Counts{Matched: 6, Lost: [2]int{0, 6}, Only: [2]int{0, 6}}, "", 0},
		{"child-proposal-mismatch", 1, Counts{Matched: 4}, "", 0},
		{"cookie", 2, Counts{Matched: 8, Lost: [2]int{2, 0}, Only: [2]int{2, 0}}, "", 0},
		{"esp-blocked-a-to-b", 1, Counts{Matched: 24, Lost: [2]int{20, 0}, Only: [2]int{20, 0}}, "", 0},
		{"icmp-admin-prohibited", 1, Counts{Only: [2]int{4, 0}}, "", 4},
		{"ike-fragmentation", 1, Counts{Matched: 6}, "", 0},
		{"ikev1-main-mode", 1, Counts{Matched: 9}, "", 0},
		{"ikev1-psk-mismatch", 1, Counts{Matched: 12}, "", 0},
		{"ip-fragments-lost", 1, Counts{Matched: 2, Lost: [2]int{5, 0}, Only: [2]int{5, 0}}, "", 0},
		{"ipv6", 1, Counts{Matched: 5}, "", 0},
		{"ke-group-retry", 1, Counts{Matched: 6}, "", 0},
		{"nat", 1, Counts{Matched: 4}, "198.51.100.1", 0},
		{"nat-pat", 1, Counts{Matched: 4}, "198.51.100.1", 0},
		{"nat-t-blocked", 1, Counts{Matched: 2, Lost: [2]int{6, 0}, Only: [2]int{6, 0}}, "198.51.100.1", 0},
		{"rekey-and-delete", 2, Counts{Matched: 14}, "", 0},
		{"simultaneous-initiation", 2, Counts{Matched: 8}, "", 0},
	} {
		t.Run(want.name, func(t *testing.T) {
			c := joinIncident(t, want.name)
			if len(c.Conversations) != want.conversations || c.Counts != want.counts || len(c.ICMP) != want.icmp {
				t.Errorf("%d conversations, %+v, %d ICMP errors; want %d, %+v, %d",
					len(c.Conversations), c.Counts, len(c.ICMP), want.conversations, want.counts, want.icmp)
			}
			translated := ""
			for _, a := range c.Parties[A].Translated {
				translated += a.String()
			}
			if translated != want.translated || len(c.Parties[B].Translated) > 0 {
				t.Errorf("A translated to %q and B to %v, want %q and none", translated, c.Parties[B].Translated, want.translated)
			}
		})
	}
}

func TestLinksBetweenConversations(t *testing.T) {
	if v := joinIncident(t, "cookie").Conversations; v[1].Previous != v[0] || v[0].Next != v[1] {
		t.Error("the second attempt is not linked to the one that was given up")
	}
	v := joinIncident(t, "rekey-and-delete").Conversations
	if v[1].Rekeyed != v[0] || v[0].Successor != v[1] || v[1].Initiator != B {
		t.Error("the IKE SA that B rekeyed is not linked to the old one")
	}
	if v := joinIncident(t, "simultaneous-initiation").Conversations; v[1].Previous != nil ||
		v[0].Initiator == v[1].Initiator {
		t.Error("simultaneous initiations are no attempts after each other")
	}
}

func TestPlaintextOfRefusals(t *testing.T) {
	for name, want := range map[string]ike.Room{
		"psk-mismatch":            {Known: true, Min: 0, Max: 15},  // one Notify of 8 bytes in a block of 16
		"child-proposal-mismatch": {Known: true, Min: 48, Max: 63}, // IDr 12, AUTH 40, Notify 8
	} {
		for m := range joinIncident(t, name).Messages() {
			if m.MessageID == 1 && m.Kind == exchange.Response && m.Plain() != want {
				t.Errorf("%s: plaintext %+v, want %+v", name, m.Plain(), want)
			}
		}
	}
}

func TestNATDetection(t *testing.T) {
	for m := range joinIncident(t, "nat").Messages() {
		for d := range m.NATD() {
			// A's own address is hidden by the NAT, B's is not.
			if hidden := d.Source == (m.From == A); d.Received == hidden || !d.Sent {
				t.Errorf("message %d of %s, source %v: %+v", m.MessageID, m.From, d.Source, d)
			}
		}
	}
	n := 0
	for m := range joinIncident(t, "ikev1-main-mode").Messages() {
		for d := range m.NATD() {
			if n++; !d.Sent || !d.Received {
				t.Errorf("IKEv1, no NAT: %+v", d)
			}
		}
	}
	if n == 0 {
		t.Error("no NAT-D payload of IKEv1 was checked")
	}
}

// What is joined in the room of another case is what it is in room of its own.
func TestJoinInTheRoomOfAnotherCase(t *testing.T) {
	told := func(c *Case) string {
		var b strings.Builder
		fmt.Fprintln(&b, c.Counts, c.Overlap, len(c.NAT), c.Parties[A].Addresses, c.Parties[B].Addresses)
		for m := range c.Messages() {
			fmt.Fprintln(&b, m.Conversation.ID, m.From, m.Kind, m.Exchange, m.Altered, m.Answers() != nil, m.Tally())
			for _, x := range m.Transmissions() {
				fmt.Fprintln(&b, x.Aligned, x.Duplicate, x.CaptureCopy, x.Fate, x.Missing, x.At[A] != nil, x.At[B] != nil)
			}
		}
		return b.String()
	}
	join := func(dir string, room *Room) *Case {
		a, b := readStory(t, filepath.Join(dir, "a.pcap")), readStory(t, filepath.Join(dir, "b.pcap"))
		c, err := Join(t.Context(), a, b, Options{Room: room})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	files, err := filepath.Glob("../../testdata/incidents/*/b.pcap")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	room, smaller, last := &Room{}, 0, 0
	for _, file := range files {
		dir := filepath.Dir(file)
		want, got := told(join(dir, nil)), told(join(dir, room))
		if got != want {
			t.Errorf("%s: in the room of another case\n%s\nin its own\n%s", dir, got, want)
		}
		if len(room.messages) < last {
			smaller++
		}
		last = len(room.messages)
	}
	if smaller < len(files)/8 {
		t.Errorf("%d of %d cases are smaller than the one before", smaller, len(files))
	}
}
