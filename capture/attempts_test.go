package capture

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// Attempts that are listed one after the other come to nothing, and so does one that never ends;
// one that is under way does not, nor one of two that both ends began.
func TestAttemptsThatAreListed(t *testing.T) {
	sa := func(local, remote string) iosxe.IKESA {
		return iosxe.IKESA{Version: 2, Remote: netip.MustParseAddrPort("192.0.2.1:500"), Status: "IN-NEG", LocalSPI: local,
			RemoteSPI: remote}
	}
	const none = "0000000000000000"
	up := sa("U", "V")
	up.Status = "READY"
	old := iosxe.IKESA{Version: 1, Status: "MM_NO_STATE"}
	trying := func(sas ...iosxe.IKESA) tunnelView {
		return tunnelView{sas: sas, sessions: []string{"DOWN-NEGOTIATING"}}
	}
	isUp := tunnelView{sas: []iosxe.IKESA{up}, sessions: []string{"UP-ACTIVE"}}
	long := int(givenUpAfter/(15*time.Second)) + 1
	for _, tt := range []struct {
		name  string
		looks []tunnelView
		want  string // of the last look; none of those before has one
	}{
		{"another one at each look", []tunnelView{trying(sa("A", none)), trying(sa("B", none)), trying(sa("C", none))},
			EventFailed},
		{"another one, once", []tunnelView{trying(sa("A", none)), trying(sa("B", none)), trying(sa("B", none))}, ""},
		{"the one before is listed for a while", []tunnelView{trying(sa("A", none)), trying(sa("A", none), sa("B", none)),
			trying(sa("B", none), sa("C", none)), trying(sa("C", none), sa("D", none))}, EventFailed},
		{"the responder's SPI comes later", []tunnelView{trying(sa("A", none)), trying(sa("A", "X")), trying(sa("A", "Y"))},
			""},
		{"the responder has another SPI after another group", []tunnelView{trying(sa("X", "A")), trying(sa("Y", "A")),
			trying(sa("Z", "A"))}, ""},
		{"no SPI is no sameness", []tunnelView{trying(sa("A", none)), trying(sa("B", none)), trying(sa("C", ""))},
			EventFailed},
		{"both ends begin, one goes, the other is slow", append([]tunnelView{trying(sa("A", "X"), sa("B", "Y"))},
			slices.Repeat([]tunnelView{trying(sa("B", "Y"))}, long-2)...), ""},
		{"it takes its time", slices.Repeat([]tunnelView{trying(sa("A", "X"))}, long-1), ""},
		{"it takes too long", slices.Repeat([]tunnelView{trying(sa("A", "X"))}, long), EventFailed},
		{"IKEv1 takes its time", slices.Repeat([]tunnelView{trying(old)}, long-1), ""},
		{"IKEv1 tries on and on", slices.Repeat([]tunnelView{trying(old)}, long), EventFailed},
		{"it comes up late", append(slices.Repeat([]tunnelView{trying(sa("A", "X"))}, long-1), isUp), EventUp},
		{"a rekey beside an SA that is up", []tunnelView{isUp,
			{sas: []iosxe.IKESA{up, sa("A", "X")}, sessions: isUp.sessions},
			{sas: []iosxe.IKESA{up, sa("B", "Y")}, sessions: isUp.sessions},
			{sas: []iosxe.IKESA{up, sa("C", "Z")}, sessions: isUp.sessions}}, ""},
	} {
		l := tunnelLife{peer: "site-b", each: true}
		for i, v := range tt.looks {
			got, text := l.see(v, 15*time.Second)
			want := ""
			if i == len(tt.looks)-1 {
				want = tt.want
			}
			if got != want && !(got == "" && i < len(tt.looks)-1) {
				t.Errorf("%s: look %d: %q (%s), want %q", tt.name, i, got, text, want)
			}
		}
		unasked := tunnelLife{peer: "site-b"}
		for _, v := range tt.looks {
			if got, _ := unasked.see(v, 15*time.Second); got == EventFailed {
				t.Errorf("%s: told, and nobody waits for it", tt.name)
			}
		}
	}
}

// It is told again, and not at each look.
func TestAnAttemptThatNeverEndsIsToldOfAgain(t *testing.T) {
	l := tunnelLife{peer: "site-b", each: true}
	v := tunnelView{sas: []iosxe.IKESA{{Version: 2, Status: "IN-NEG", LocalSPI: "A"}}}
	told := 0
	for range 25 { // six minutes
		if kind, text := l.see(v, 15*time.Second); kind == EventFailed && strings.Contains(text, "3m0s") {
			told++
		}
	}
	if told != 2 {
		t.Errorf("told %d times", told)
	}
}

// glimpse is a look at one side, for the tables below.
type glimpse struct {
	side int
	tally
}

func TestAttemptsBetweenTwoLooks(t *testing.T) {
	at := func(side, packets, sent, received int) glimpse {
		return glimpse{side, tally{stands: idle, read: true, packets: packets, counts: true,
			inits: iosxe.ExchangeCount{SentRequests: uint64(sent), ReceivedRequests: uint64(received)}}}
	}
	as := func(s standing, g glimpse) glimpse { g.stands = s; return g }
	uncounted := func(g glimpse) glimpse {
		g.counts, g.inits = false, iosxe.ExchangeCount{}
		return g
	}
	before := []glimpse{at(0, 4, 10, 20), at(1, 6, 30, 40)}
	refused := []glimpse{at(0, 6, 11, 20), at(1, 8, 30, 41)}
	for _, tt := range []struct {
		name  string
		looks [][]glimpse
		want  int // the look at which it is told, from 0; -1: it is not
	}{
		{"nothing passes", [][]glimpse{before, before, before}, -1},
		{"refused, and looked at again", [][]glimpse{before, refused, refused}, 5},
		{"refused, and not looked at again", [][]glimpse{before, refused}, -1},
		{"told once", [][]glimpse{before, refused, refused[:1], refused, refused}, 5},
		{"the other one began", [][]glimpse{before, {at(0, 6, 10, 21), at(1, 8, 31, 40)},
			{at(0, 6, 10, 21), at(1, 8, 31, 40)}}, 5},
		{"one router refuses its counters", [][]glimpse{{before[0], uncounted(before[1])},
			{refused[0], uncounted(refused[1])}, {refused[0], uncounted(refused[1])}}, 5},
		{"both do", [][]glimpse{{uncounted(before[0]), uncounted(before[1])},
			{uncounted(refused[0]), uncounted(refused[1])}, {uncounted(refused[0]), uncounted(refused[1])}}, -1},
		{"UDP of something else", [][]glimpse{before, {at(0, 90, 10, 20), at(1, 90, 30, 40)},
			{at(0, 99, 10, 20), at(1, 99, 30, 40)}}, -1},
		{"both negotiate with others, and nothing of this tunnel is captured", [][]glimpse{before,
			{at(0, 4, 15, 25), at(1, 6, 35, 45)}, {at(0, 4, 15, 25), at(1, 6, 35, 45)}}, -1},
		{"a filter for any peer takes those of others", [][]glimpse{before, {at(0, 50, 10, 25), at(1, 6, 30, 40)},
			{at(0, 60, 10, 30), at(1, 6, 30, 40)}}, -1},
		{"others negotiate with one, UDP of something else passes", [][]glimpse{before,
			{at(0, 50, 10, 25), at(1, 50, 30, 40)}, {at(0, 60, 10, 30), at(1, 60, 30, 40)}}, -1},
		{"both received from others, neither sent", [][]glimpse{before, {at(0, 50, 10, 25), at(1, 50, 30, 45)},
			{at(0, 50, 10, 25), at(1, 50, 30, 45)}}, -1},
		{"only one packet arrived", [][]glimpse{before, {at(0, 6, 11, 20), at(1, 7, 30, 41)},
			{at(0, 6, 11, 20), at(1, 7, 30, 41)}}, -1},
		{"nothing arrived at the other", [][]glimpse{before, {at(0, 9, 11, 20), at(1, 6, 30, 40)},
			{at(0, 9, 11, 20), at(1, 6, 30, 40)}}, -1},
		{"the next one is under way", [][]glimpse{before, refused, {as(trying, refused[0]), refused[1]},
			{as(trying, refused[0]), refused[1]}}, -1},
		{"the next one is under way for a while, then nothing", [][]glimpse{before, refused,
			{as(trying, refused[0]), refused[1]}, refused, refused}, 8},
		{"the next one comes up", [][]glimpse{before, refused, {as(unsure, refused[0]), as(unsure, refused[1])}, refused,
			refused}, -1},
		{"one of them is up: keepalives, liveness checks, a late start", [][]glimpse{{before[0], as(unsure, before[1])},
			{refused[0], as(unsure, refused[1])}, {refused[0], as(unsure, refused[1])}}, -1},
		{"an SA that was up is taken down", [][]glimpse{{uncounted(as(unsure, before[0])), uncounted(as(unsure, before[1]))},
			refused, refused, refused}, -1},
		{"it was taken down, and the next one refused", [][]glimpse{
			{uncounted(as(unsure, before[0])), uncounted(as(unsure, before[1]))}, before, refused, refused}, 7},
		{"the buffer was cleared", [][]glimpse{before, {at(0, 0, 11, 20), at(1, 8, 30, 41)},
			{at(0, 1, 11, 20), at(1, 8, 30, 41)}}, -1},
		{"the counters were cleared", [][]glimpse{before, {at(0, 6, 0, 0), at(1, 8, 30, 41)},
			{at(0, 6, 1, 0), at(1, 8, 30, 41)}}, -1},
		{"a look that could not read the buffer", [][]glimpse{before, {{side: 0}, refused[1]}, refused, refused}, -1},
		{"only one of them is looked at", [][]glimpse{before[:1], refused[:1], refused[:1], refused[:1]}, -1},
	} {
		var b briefAttempts
		told, n := []int{}, 0
		for _, looks := range tt.looks {
			for _, g := range looks {
				if b.saw(g.side, g.tally) {
					told = append(told, n)
				}
				n++
			}
		}
		want := []int{}
		if tt.want >= 0 {
			want = append(want, tt.want)
		}
		if !slices.Equal(told, want) {
			t.Errorf("%s: told at %d, want %d", tt.name, told, want)
		}
	}
	var none *briefAttempts
	if none.saw(0, refused[0].tally) {
		t.Error("told of nothing")
	}
}

// An SA that is up is one, also where the session is not.
func TestHowATunnelStands(t *testing.T) {
	is := func(status string) []iosxe.IKESA { return []iosxe.IKESA{{Version: 2, Status: status}} }
	for _, tt := range []struct {
		v    tunnelView
		want standing
	}{
		{tunnelView{}, idle}, {tunnelView{blind: true}, unsure}, {tunnelView{sas: is("READY")}, unsure},
		{tunnelView{sas: is("IN-NEG")}, trying}, {tunnelView{sessions: []string{"UP-NO-IKE"}}, unsure},
		{tunnelView{sessions: []string{"DOWN"}}, idle}, {tunnelView{sessions: []string{"DOWN"}, sas: is("READY")}, unsure},
	} {
		if got := tt.v.stands(); got != tt.want {
			t.Errorf("%+v: %d, want %d", tt.v, got, tt.want)
		}
	}
}

// The plan names what is asked while failed negotiations are waited for, and does not otherwise.
func TestThePlanNamesTheCountersOfIKE(t *testing.T) {
	for on, want := range map[string]bool{EventFailed: true, EventLost: false} {
		a, b := endpoints()
		s := Settings{Circular: true, Armed: &Arming{On: []string{on}, For: time.Hour}}
		s.Duration = s.Armed.Duration()
		p, err := NewPlan("hq-branch", a, b, s, "20260102-abc123")
		if err != nil {
			t.Fatal(err)
		}
		for _, side := range []Side{A, B} {
			named := slices.ContainsFunc(p.Steps(side), func(s Step) bool {
				return s.Phase == PhaseWait && s.Command.Name == iosxe.ShowIKEv2Exchanges().Name
			})
			if named != want {
				t.Errorf("%s, side %s: named %t", on, side, named)
			}
		}
	}
}
