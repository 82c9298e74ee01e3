package simulator

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"
)

// An SA whose peer answers no more is listed until the repetitions have come to nothing.
func TestSAWhosePeerIsDeadIsGivenUp(t *testing.T) {
	first := time.Unix(1000, 0)
	at := func(seconds float64) time.Time { return first.Add(time.Duration(seconds * float64(time.Second))) }
	for _, c := range []struct {
		name   string
		repeat []float64 // when the request is sent again
		answer float64   // when its answer comes; 0: never
		of     byte      // what is answered
		looked float64
		want   bool
	}{
		{"all came to nothing", []float64{1, 2.4, 4.4}, 0, 0, 10, true},
		{"it may still be answered", []float64{1, 2.4, 4.4}, 0, 0, 8, false},
		{"it is repeated twice", []float64{1, 2.4}, 0, 0, 60, false},
		{"the last is answered", []float64{1, 2.4, 4.4}, 4.5, 7, 60, false},
		{"another is answered", []float64{1, 2.4, 4.4}, 4.5, 6, 60, true},
	} {
		sa := &ikeSA{up: true, touched: first}
		id, sent := [4]byte{3: 7}, true
		sa.asked.hear(id, false, sent, first)
		for _, again := range c.repeat {
			sa.asked.hear(id, false, sent, at(again))
		}
		if c.answer > 0 {
			sa.asked.hear([4]byte{3: c.of}, true, !sent, at(c.answer))
		}
		if got := sa.givenUp(at(c.looked)); got != c.want {
			t.Errorf("%s: given up %v", c.name, got)
		}
	}
}

// The numbers of a request begin anew in the other direction.
func TestRequestsOfBothSidesAreTwo(t *testing.T) {
	var q openRequest
	now := time.Unix(1000, 0)
	for i := range 8 {
		q.hear([4]byte{3: 1}, false, i%2 == 0, now.Add(time.Duration(i)*time.Second))
	}
	if q.repeats != 0 {
		t.Errorf("%d repetitions of what was sent once by each side", q.repeats)
	}
}

func TestMainModeIsRefusedInClear(t *testing.T) {
	message := func(payload, flags, kind byte, size int) []byte {
		m := make([]byte, size)
		m[16], m[19] = payload, flags
		if size > ikeHeader+11 {
			m[ikeHeader+11] = kind
		}
		return m
	}
	for _, c := range []struct {
		name string
		m    []byte
		want bool
	}{
		{"no proposal chosen", message(11, 0, 14, 56), true},
		{"another notification", message(11, 0, 16, 56), false},
		{"encrypted", message(11, 1, 14, 56), false},
		{"a Delete", message(12, 0, 14, 56), false},
		{"cut short", message(11, 0, 14, ikeHeader+11), false},
	} {
		if got := refusesMainMode(c.m); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// An initiator that does not accept the responder says so in an Informational of its own, and the
// SA is gone; a liveness check, a Delete, or the notifications of MOBIKE leave it.
func TestRejectedSAIsListedNoMore(t *testing.T) {
	const informational, deleted, fits = 37, 42, ikeHeader + 4 + 37
	for _, c := range []struct {
		name   string
		sent   bool // by the initiator
		inner  byte
		length int
		listed int
	}{
		{"a bare notification", true, payloadNotify, fits, 0},
		{"of the responder", false, payloadNotify, fits, 1},
		{"several", true, payloadNotify, ikeHeader + 4 + 89, 1},
		{"a Delete", true, deleted, fits, 1},
		{"nothing", true, 0, fits - 8, 1},
	} {
		now := time.Unix(1000, 0)
		r := &Router{config: Config{Now: func() time.Time { return now }}}
		sa := r.ikeSAOf([8]byte{1}, false, now)
		sa.initiator, sa.touched = true, now
		message := func(exchange, flags, id, inner byte, length int) []byte {
			m := make([]byte, length)
			m[16], m[18], m[19], m[23], m[ikeHeader] = payloadSK, exchange, flags, id, inner
			return m
		}
		r.advanceSA(sa, message(ikeAuth, flagResponse, 1, 36, fits), false, now)
		r.advanceSA(sa, message(informational, 0, 2, c.inner, c.length), c.sent, now)
		r.advanceSA(sa, message(informational, flagResponse, 2, 0, fits), !c.sent, now)
		if got := len(r.listedSAs(false)); got != c.listed || sa.up != (c.listed > 0) {
			t.Errorf("%s: %d are listed, up is %v", c.name, got, sa.up)
		}
	}
}

// With EAP (RFC 7296, Section 2.16) an IKE SA is up after the last of several rounds of IKE_AUTH.
func TestEAPIsUpAfterItsLastRound(t *testing.T) {
	r, now := &Router{}, time.Unix(1000, 0)
	sa := r.ikeSAOf([8]byte{1}, false, now)
	round := func(id, flags, inner byte) {
		m := make([]byte, ikeHeader+4)
		m[16], m[18], m[19], m[23], m[ikeHeader] = payloadSK, ikeAuth, flags, id, inner
		r.advanceSA(sa, m, true, now)
	}
	const idr, auth = 36, 39
	for i, c := range []struct {
		id, flags, inner byte
		up               bool
	}{
		{1, 0, 35, false}, {1, flagResponse, idr, true}, {1, 0, 35, true}, // it looks as if it were without EAP
		{2, 0, payloadEAP, false}, {2, flagResponse, payloadEAP, false},
		{3, 0, auth, false}, {3, flagResponse, auth, true},
	} {
		if round(c.id, c.flags, c.inner); sa.up != c.up {
			t.Errorf("after message %d: up is %v", i, sa.up)
		}
	}
}

// ikev1 is a message of IKEv1 with a body of its own.
func ikev1(exchange, flags, id byte, body string) []byte {
	m := append(make([]byte, ikeHeader), body...)
	m[8], m[17], m[18], m[19], m[23] = 1, 0x10, exchange, flags, id
	return m
}

// Phase 1 is complete with the last message of Main or Aggressive Mode, and the tunnel has child
// SAs when all three messages of one Quick Mode passed the router (RFC 2409, Sections 5.1, 5.4 and
// 5.5).
func TestQuickModeIsDoneWithItsThirdMessage(t *testing.T) {
	type step struct {
		m         []byte
		sent      bool
		up, child bool
	}
	one, two, three := ikev1(32, 1, 7, "first"), ikev1(32, 1, 7, "second"), ikev1(32, 1, 7, "third")
	fragment := func(number, flags byte) []byte {
		m := ikev1(32, 1, 7, string([]byte{0, 0, 0, 9, 0, 1, number, flags, number}))
		m[16] = payloadFragment
		return m
	}
	begun := ikev1(4, 0, 0, "first")
	begun[8] = 0 // it has no cookie of the responder yet
	for _, c := range []struct {
		name  string
		steps []step
	}{
		{"Main Mode, Quick Mode", []step{{ikev1(2, 0, 0, "1"), true, false, false},
			{ikev1(2, 0, 0, "2"), false, false, false},
			{ikev1(2, 1, 0, "5"), true, false, false}, {ikev1(2, 1, 0, "6"), false, true, false}, {one, true, true, false},
			{two, false, true, false}, {three, true, true, true}}},
		{"as the responder", []step{{ikev1(2, 0, 0, "1"), false, false, false}, {ikev1(2, 1, 0, "5"), false, false, false},
			{ikev1(2, 1, 0, "6"), true, true, false}, {one, false, true, false}, {two, true, true, false},
			{three, false, true, true}}},
		{"Main Mode is refused", []step{{ikev1(2, 1, 0, "5"), true, false, false},
			{ikev1(5, 1, 9, "no"), false, false, false}}},
		{"Aggressive Mode", []step{{begun, true, false, false}, {ikev1(4, 0, 0, "second"), false, false, false},
			{ikev1(4, 1, 0, "third"), true, true, false}}},
		{"XAUTH", []step{{ikev1(2, 1, 0, "5"), true, false, false}, {ikev1(2, 1, 0, "6"), false, true, false},
			{ikev1(6, 1, 5, "who"), false, false, false}, {one, true, true, false}}},
		{"the answers are lost", []step{{one, true, true, false}, {one, true, true, false}, {one, true, true, false}}},
		{"they are lost on the way", []step{{one, false, true, false}, {two, true, true, false}, {one, false, true, false},
			{two, true, true, false}, {two, true, true, false}}},
		{"of two Quick Modes", []step{{one, true, true, false}, {two, false, true, false},
			{ikev1(32, 1, 8, "third"), true, true, false}}},
		{"in fragments", []step{{fragment(1, 0), true, true, false}, {fragment(2, 1), true, true, false},
			{two, false, true, false}, {fragment(1, 0), true, true, false}, {fragment(2, 1), true, true, false},
			{three, true, true, true}}},
	} {
		r, now := &Router{}, time.Unix(1000, 0)
		sa := r.ikeSAOf([8]byte{1}, true, now)
		sa.initiator = c.steps[0].sent
		for i, s := range c.steps {
			if r.advanceSA(sa, s.m, s.sent, now); sa.up != s.up || sa.child != s.child {
				t.Errorf("%s, after message %d: up is %v, and child SAs are there: %v", c.name, i+1, sa.up, sa.child)
			}
		}
	}
}

// The tables of IKEv1, in IPv4 and in IPv6, have the lines that routers were recorded to print.
func TestTablesOfIKEv1AsRecorded(t *testing.T) {
	recorded := map[string]bool{"": true}
	for _, file := range []string{"genie-ShowCryptoSessionDetail-output.txt", "genie-ShowCryptoSession-output.txt",
		"genie-ShowCryptoSession-output3.txt", "genie-ShowCryptoSessionInterfaceDetail-output_1.txt",
		"ntc-show_crypto_session_detail.txt", "genie-ShowCryptoIsakmpSa-output_isakmp.txt"} {
		for line := range strings.Lines(fixture(t, file)) {
			recorded[tableShape(line)] = true
		}
	}
	four := [2]string{"192.168.1.1:500", "192.168.2.1:500"}
	six := [2]string{"[2001:db8::1]:500", "[2001:db8::2]:500"}
	for _, c := range []struct {
		name        string
		at          [2]string
		up, child   bool
		state, word string // in the two tables
	}{
		{"phase 1 is under way", four, false, false, "MM_NO_STATE", "DOWN-NEGOTIATING"},
		{"phase 1 is done", four, true, false, "QM_IDLE", "UP-IDLE"},
		{"phase 2 is done", four, true, true, "QM_IDLE", "UP-ACTIVE"},
		{"phase 1 is done, IPv6", six, true, false, "QM_IDLE", "UP-IDLE"},
		{"phase 2 is done, IPv6", six, true, true, "QM_IDLE", "UP-ACTIVE"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := start(t, Config{})
			local, remote := netip.MustParseAddrPort(c.at[0]), netip.MustParseAddrPort(c.at[1])
			now := time.Now()
			r.ikeSAs = append(r.ikeSAs, &ikeSA{one: true, local: local, remote: remote, initiator: true, up: c.up,
				child: c.child, since: now, touched: now})
			peer := strings.ToUpper(remote.Addr().String())
			console := login(t, r)
			for command, word := range map[string]string{"show crypto isakmp sa": c.state,
				"show crypto session remote " + peer: c.word, "show crypto session remote " + peer + " detail": c.word} {
				out := console.run(command)
				if !strings.Contains(out, word) {
					t.Errorf("%s: no %s:\n%s", command, word, out)
				}
				for line := range strings.Lines(out) {
					if !recorded[tableShape(line)] {
						t.Errorf("%s: no recorded line has the shape %q of %q", command, tableShape(line), line)
					}
				}
			}
		})
	}
}

// tableShape is shape, without what differs from tunnel to tunnel in the tables of IKEv1.
func tableShape(line string) string {
	for _, r := range []struct{ from, to string }{
		{`(^|\s)[0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f]*`, "${1}192.0.2.1"}, {`^(Interface:) .*`, "$1 X"},
		{`(Capabilities:)\S+`, "$1 X"}, {`(lifetime:)\S+`, "$1 X"}, {`(Uptime:) \S+`, "$1 X"}, {`(vrf:) \S+`, "$1 X"},
		{`(Phase1_id:) \S+`, "$1 X"}, {`IKEv[12] SA`, "IKE SA"}, {`KB Vol Rekey Disabled`, "1"},
		{`UP-IDLE|UP-ACTIVE|DOWN-NEGOTIATING`, "STATE"}, {`QM_IDLE|MM_NO_STATE`, "STATE"},
	} {
		line = regexp.MustCompile(r.from).ReplaceAllString(line, r.to)
	}
	return shape(line)
}
