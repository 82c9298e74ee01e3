package analysis

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/report"
)

// ownFragmentHidden: A's capture has the first fragment of its IKE_AUTH and not the second.
func ownFragmentHidden(s *scene) *sa {
	a := s.sa(0)
	a.open()
	s.ike(0, 500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 2000), fate{mtu: 1480, lost: true})
	s.rows[0] = s.rows[0][:len(s.rows[0])-1]
	s.wait(time.Second)
	s.noise(0) // its capture goes on
	return a
}

// buffer is the output of `show monitor capture NAME buffer`.
func buffer(used, dropped string) string {
	return lines(" buffer size (KB) : 10240", " buffer used (KB) : "+used, " packets in buf   : 4711", " packets dropped  : "+dropped, " packets per sec  : 12")
}

func withBuffer(text string) func(*scene) {
	return func(s *scene) {
		s.side[1].Config = map[string]string{"show-capture-buffer": text}
		healthy(s)
	}
}

// busy is so many ESP packets in each of the given seconds.
func busy(seconds, each int) func(*scene) {
	return func(s *scene) {
		s.now = time.Duration(0)
		n := uint32(0)
		for i := range seconds {
			for range each {
				n++
				s.esp(int(n%2), 0xa0000001+n%2<<28, n/2+1, 60, false)
			}
			s.now = time.Duration(i+1) * time.Second
		}
	}
}

func clocks(ahead time.Duration) func(*scene) {
	return func(s *scene) { s.ahead = ahead; healthy(s) }
}

func captureCases() []findingCase {
	hiddenAnswers := func(s *scene) {
		a := s.sa(0)
		for i, m := range [][]byte{a.init(false, proposals(gcm(19))), a.init(true, proposals(gcm(19))),
			a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth), a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeAnswer)} {
			s.ike(i%2, 500, m, fate{hidden: i%2 == 1})
		}
	}
	return []findingCase{
		{"capture-one-sided", hit, "A's", func(s *scene) { healthy(s); s.alone = true }, nil},
		{"capture-one-sided", near, "B's is empty", func(s *scene) { s.repeat(3, 0, 500, s.sa(0).init(false, proposals(gcm(19))), lost) }, nil},
		{"capture-one-sided", none, "healthy", healthy, nil},

		{"capture-empty", hit, "B's", func(s *scene) { s.repeat(3, 0, 500, s.sa(0).init(false, proposals(gcm(19))), lost) }, map[string]any{"side": "B"}},
		{"capture-empty", hit, "B's holds only noise", func(s *scene) {
			s.noise(1)
			healthy(s)
			s.rows[1] = s.rows[1][:1]
		}, map[string]any{"side": "B"}},
		{"capture-empty", near, "both are", func(*scene) {}, nil},
		{"capture-empty", near, "it holds one packet", func(s *scene) { healthy(s); s.rows[1] = s.rows[1][:1] }, nil},
		{"capture-empty", none, "healthy", healthy, nil},

		{"capture-unreadable", hit, "a link type", func(s *scene) {
			healthy(s)
			s.side[1].Open = opener(pcapOf(s.sorted(1), 147))
		}, map[string]any{"side": "B", "link_type": "link type 147", "wrapping": "link type 147"}},
		{"capture-unreadable", hit, "a tag, one capture alone", func(s *scene) {
			healthy(s)
			s.alone = true
			retype(s.rows[0], 0x88e5, 0x2c)
		}, map[string]any{"side": "A", "wrapping": "MACsec, encrypted"}},
		{"capture-unreadable", near, "a few frames of another protocol", func(s *scene) {
			healthy(s)
			s.noise(1)
			s.noise(1)
			s.noise(1)
			retype(s.rows[1][len(s.rows[1])-1:], 0x4242, 0)
		}, nil},
		{"capture-unreadable", near, "nothing but ARP", func(s *scene) { healthy(s); retype(s.rows[1], 0x0806, 0) }, nil},
		{"capture-unreadable", none, "healthy", healthy, nil},
		{"capture-empty", near, "what it holds is not read", func(s *scene) { healthy(s); retype(s.rows[1], 0x88e5, 0x2c) }, nil},
		{"capture-empty", near, "it holds a fragment", func(s *scene) {
			s.ike(0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{mtu: 160, keep: 1})
		}, nil},

		{"strangers", hit, "a scanner of both", func(s *scene) { scanner(s, 0, 1); healthy(s) }, map[string]any{"side": "B", "addresses": []any{"203.0.113.77"}, "packets": 3}},
		{"strangers", hit, "a scanner of one", func(s *scene) { healthy(s); scanner(s, 0) }, map[string]any{"side": "A", "packets": 3}},
		{"strangers", hit, "one capture alone", func(s *scene) { healthy(s); scanner(s, 0); s.alone = true }, map[string]any{"side": "A"}},
		{"strangers", hit, "the path is blocked", func(s *scene) {
			s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19))), lost)
			scanner(s, 1)
		}, map[string]any{"side": "B"}},
		{"strangers", near, "A is behind a NAT", func(s *scene) { s.seen[0] = sceneNAT; healthy(s) }, nil},
		{"strangers", near, "both are behind one NAT", func(s *scene) { s.seen = [2]netip.Addr{sceneNAT, sceneNAT}; healthy(s) }, nil},
		{"strangers", near, "A asks another address", func(s *scene) {
			s.repeat(4, 0, 500, s.sa(0).init(false, proposals(gcm(19))), fate{lost: true, to: netip.MustParseAddr("203.0.113.9")})
			s.repeat(4, 1, 500, s.sa(1).init(false, proposals(gcm(19))), lost)
		}, nil},
		{"strangers", none, "healthy", healthy, nil},

		{"capture-windows-disjoint", hit, "an hour between them", func(s *scene) {
			healthy(s)
			n := len(s.rows[1])
			s.wait(time.Hour)
			s.sa(0).up()
			s.rows[0], s.rows[1] = s.rows[0][:n], s.rows[1][n:]
		}, nil},
		{"capture-windows-disjoint", near, "only the clocks are", clocks(time.Hour), nil},
		{"capture-windows-disjoint", near, "one ends in the middle of the other", func(s *scene) { healthy(s); s.rows[1] = s.rows[1][:8] }, nil},
		{"capture-windows-disjoint", none, "healthy", healthy, nil},

		{"capture-truncated-packets", hit, "120 bytes", func(s *scene) { s.snap[1] = 120; healthy(s) }, map[string]any{"side": "B", "packets": 4}},
		{"capture-truncated-packets", near, "only ESP is cut", func(s *scene) {
			s.sa(0).up()
			s.snap[1] = 120
			s.traffic(5, false)
		}, nil},
		{"capture-truncated-packets", none, "healthy", healthy, nil},

		{"capture-buffer-full", hit, "packets were dropped", withBuffer(buffer("10240", "31")), map[string]any{"side": "B"}},
		{"capture-buffer-full", hit, "its size was reached", withBuffer(buffer("10240", "0")), map[string]any{"side": "B"}},
		{"capture-buffer-full", near, "half full", withBuffer(buffer("5120", "0")), nil},
		{"capture-buffer-full", none, "nothing was collected", healthy, nil},

		{"transfer-host-key-changed", hit, "B's", func(s *scene) {
			healthy(s)
			s.side[1].TransferHostKey = "its host key is not the one that is known: it presents SHA256:abc"
		}, map[string]any{"side": "B"}},
		{"transfer-host-key-changed", near, "another side's is not B's", func(s *scene) { healthy(s); s.side[1].TransferHostKey = "" }, nil},
		{"transfer-host-key-changed", none, "healthy", healthy, nil},

		{"capture-rate-limited", hit, "a ceiling of 1000", busy(4, 1000), map[string]any{"pps": 1000}},
		{"capture-rate-limited", near, "far below", busy(4, 400), nil},
		{"capture-rate-limited", near, "far above: no limit was there", busy(4, 1500), nil},
		{"capture-rate-limited", none, "healthy", healthy, nil},

		{"capture-filter-incomplete", hit, "one direction only", hiddenAnswers, map[string]any{"side": "B", "hidden": 1}},
		{"capture-filter-incomplete", hit, "500 without 4500", func(s *scene) {
			s.seen[0] = sceneNAT
			a := s.sa(0)
			a.open()
			s.ike(0, 4500, a.sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, sizeAuth), lost)
			s.ike(1, 4500, a.sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, sizeAnswer), fate{hidden: true})
			s.wait(time.Second)
			s.noise(1) // B's capture is still at work
		}, map[string]any{"side": "B", "hidden": 2}},
		{"capture-filter-incomplete", hit, "the second fragment of its own", func(s *scene) { ownFragmentHidden(s) }, map[string]any{"side": "A"}},
		{"capture-filter-incomplete", hit, "500 without 4500 on both sides", func(s *scene) {
			s.seen[0] = sceneNAT
			s.sa(0).open()
			s.wait(30 * time.Second) // it gives up and begins anew
			s.sa(0).open()
		}, map[string]any{"side": "A", "hidden": 1}},
		{"capture-filter-incomplete", near, "behind a NAT, both end with the answer", func(s *scene) {
			s.seen[0] = sceneNAT
			s.sa(0).open()
		}, nil},
		{"capture-filter-incomplete", hit, "500 without 4500 on both sides, main mode", func(s *scene) {
			s.seen[1] = sceneNAT
			a := s.v1(0)
			a.main12(saV1(modern(14, 1)), saV1(modern(14, 1)))
			a.main34()
			s.wait(time.Minute)
			s.noise(0)
		}, map[string]any{"side": "A"}},
		{"capture-filter-incomplete", near, "behind a NAT, the answer is not taken", func(s *scene) {
			s.seen[0] = sceneNAT
			a := s.sa(0)
			a.open()
			s.repeat(3, 0, 500, a.init(false, proposals(gcm(19))), fate{})
		}, nil},
		{"capture-filter-incomplete", near, "no NAT, and nothing after the answer", func(s *scene) { s.sa(0).open() }, nil},
		{"capture-filter-incomplete", near, "the answers are lost", answersLost, nil},
		{"capture-filter-incomplete", near, "B's ended early", func(s *scene) {
			a := s.sa(0).up()
			s.traffic(20, false)
			n := len(s.rows[1])
			s.traffic(40, false)
			a.dpd(0)
			s.rows[1] = s.rows[1][:n]
		}, nil},
		{"capture-filter-incomplete", near, "A's began late, in UDP", func(s *scene) {
			s.seen[0] = sceneNAT
			a := s.sa(0).up()
			s.traffic(20, true)
			n := len(s.rows[0])
			s.traffic(40, true)
			a.dpd(1)
			s.rows[0] = s.rows[0][n:]
		}, nil},
		{"capture-filter-incomplete", near, "a fragment is lost", bigAuth(1), nil},
		{"capture-filter-incomplete", none, "healthy", healthy, nil},

		{"capture-duplicates", hit, "everything twice", func(s *scene) { s.twins[1] = true; healthy(s) }, map[string]any{"side": "B"}},
		{"capture-duplicates", near, "the path delivers one twice", func(s *scene) {
			a := s.sa(0)
			s.ike(0, 500, a.init(false, proposals(gcm(19))), fate{twice: true})
			s.ike(1, 500, a.init(true, proposals(gcm(19))))
		}, nil},
		{"capture-duplicates", none, "healthy", healthy, nil},

		{"capture-damaged", hit, "it ends inside a record", func(s *scene) {
			healthy(s)
			file := pcap(s.sorted(1))
			s.side[1].Open = opener(file[:len(file)-10])
		}, map[string]any{"side": "B"}},
		{"capture-damaged", hit, "the router's buffer held more", func(s *scene) {
			withBuffer(strings.Replace(buffer("12", "0"), "4711", "34", 1))(s)
			s.rows[1] = s.rows[1][:10]
		}, map[string]any{"side": "B"}},
		{"capture-damaged", near, "the router's buffer held as many", func(s *scene) {
			healthy(s)
			s.side[1].Config = map[string]string{"show-capture-buffer": strings.Replace(buffer("12", "0"), "4711", strconv.Itoa(len(s.rows[1])), 1)}
		}, nil},
		{"capture-damaged", near, "a circular buffer", func(s *scene) {
			withBuffer(buffer("12", "0"))(s)
			s.side[1].Config["show-capture"] = circularPoint
		}, nil},
		{"capture-damaged", near, "it ends between two records", func(s *scene) { healthy(s); s.rows[1] = s.rows[1][:len(s.rows[1])-1] }, nil},
		{"capture-damaged", none, "healthy", healthy, nil},

		{"clock-offset", hit, "37 s", clocks(37500 * time.Millisecond), map[string]any{"offset_ms": 37500, "severity": "warning", "confidence": "certain"}},
		{"clock-offset", hit, "behind", clocks(-2 * time.Hour), map[string]any{"severity": "warning"}},
		{"clock-offset", hit, "20 ms", clocks(20 * time.Millisecond), map[string]any{"severity": "info", "confidence": "certain"}},
		{"clock-offset", hit, "set back in the middle", clockSet(1, -time.Hour), map[string]any{"severity": "warning", "title": "A clock was set during the capture"}},
		{"clock-offset", hit, "set forward at A", clockSet(0, 30*time.Second), map[string]any{"severity": "warning", "title": "A clock was set during the capture"}},
		{"clock-offset", hit, "one direction only", answersLost, map[string]any{"confidence": "probable"}},
		{"clock-offset", near, "nothing is in both", func(s *scene) { s.repeat(3, 0, 500, s.sa(0).init(false, proposals(gcm(19))), lost); s.noise(1) }, nil},
		{"clock-offset", none, "one capture", func(s *scene) { healthy(s); s.alone = true }, nil},

		{"malformed-message", hit, "a length that cannot be", func(s *scene) {
			a := s.sa(0)
			m := a.init(false, proposals(gcm(19)))
			m[ike.HeaderLen+2] = 0x7f
			s.ike(0, 500, m)
		}, map[string]any{"side": "A", "frame": 1}},
		{"malformed-message", near, "the capture cuts it", func(s *scene) { s.snap = [2]int{120, 120}; healthy(s) }, nil},
		{"malformed-message", near, "three zeros behind IKEv1", func(s *scene) {
			m := s.v1(0).message(ike.V1MainMode, 0, 0, true, saV1(modern(14, 1)))
			m = append(m, make([]byte, 3)...)
			binary.BigEndian.PutUint32(m[24:], uint32(len(m)))
			s.ike(0, 500, m)
		}, nil},
		{"malformed-message", hit, "four zeros behind IKEv1", func(s *scene) {
			m := s.v1(0).message(ike.V1MainMode, 0, 0, true, saV1(modern(14, 1)))
			m = append(m, make([]byte, 4)...)
			binary.BigEndian.PutUint32(m[24:], uint32(len(m)))
			s.ike(0, 500, m)
		}, map[string]any{"side": "A"}},
		{"malformed-message", none, "healthy", healthy, nil},
	}
}

// retype gives frames another EtherType, and what follows it another first byte.
func retype(rows []record, kind uint16, first byte) {
	for i := range rows {
		rows[i].data = append([]byte(nil), rows[i].data...)
		binary.BigEndian.PutUint16(rows[i].data[12:], kind)
		rows[i].data[14] = first
	}
}

// scanner sends the same weak offer to sides, again and again, and gets no answer.
func scanner(s *scene, sides ...int) {
	m := s.sa(0).init(false, proposals(weakSuite(3, 1, 1, 2)))
	for range 3 {
		for _, at := range sides {
			s.now += 20 * time.Millisecond
			s.id++
			be := binary.BigEndian
			u := be.AppendUint16(be.AppendUint16(be.AppendUint16(nil, 500), 500), uint16(8+len(m)))
			s.put(at, s.now, s.frame(netip.MustParseAddr("203.0.113.77"), s.addr[at], 17, 0, 240, part{data: append(append(u, 0, 0), m...)}))
		}
		s.wait(time.Second)
	}
}

// circularPoint is what a router says of a capture point with a circular buffer.
const circularPoint = "Status Information for Capture CAP\n  Target Type: \n Interface: GigabitEthernet1, Direction: BOTH\n   Status : Inactive\n" +
	"  Buffer Details: \n   Buffer Type: CIRCULAR\n   Buffer Size (in MB): 10\n"

// clockSet is a tunnel at work, in the middle of which the clock of side at is set; nothing is lost.
func clockSet(at int, by time.Duration) func(*scene) {
	return func(s *scene) {
		a := s.sa(0).up()
		before := 0
		for i := range 40 {
			if i == 20 {
				before = len(s.rows[at])
			}
			a.dpd(i % 2)
			s.wait(time.Second)
		}
		for i := range s.rows[at][before:] {
			s.rows[at][before+i].nanos += int64(by)
		}
		s.side[at].Open = opener(pcap(s.rows[at])) // in the order of capture, as the router writes it
	}
}

// A clock that was set, in either direction, makes up no loss, and no time is told that depends on it.
func TestAClockThatWasSetMakesUpNoLoss(t *testing.T) {
	for at := range 2 {
		for _, by := range []time.Duration{-time.Hour, -5 * time.Second, 30 * time.Second, 3 * time.Hour} {
			s := newScene(t)
			clockSet(at, by)(s)
			r := s.compare()
			sound(t, r)
			if r.Pairs.LostAtoB+r.Pairs.LostBtoA > 0 || r.Verdict.Outcome != report.Established {
				t.Errorf("side %d by %s: %s, %+v", at, by, r.Verdict.Outcome, r.Pairs)
			}
			if r.Clock.Steps != 1 {
				t.Errorf("side %d by %s: %d steps", at, by, r.Clock.Steps)
			}
			if found := flatten(t, r); fmt.Sprint(found.of("clock-offset")[0]["title"]) != "A clock was set during the capture" || found.of("tunnel-established")[0]["setup_time_ms"] != nil {
				t.Errorf("side %d by %s: %v, %v", at, by, found.of("clock-offset"), found.of("tunnel-established"))
			}
		}
	}
}
