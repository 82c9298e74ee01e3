package analysis_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/render"
	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// inOneFile are captures as one pcapng, an interface each, in the order of their times.
func inOneFile(sides ...[]scene.Record) []byte {
	file := scene.PcapngOf(nil)
	const section = 28
	iface := bytes.Clone(file[section:])
	for range sides[1:] {
		file = append(file, iface...)
	}
	for i, rows := range sides {
		for _, r := range rows {
			block := scene.PcapngOf([]scene.Record{r})[len(scene.PcapngOf(nil)):]
			block[8] = byte(i)
			file = append(file, block...)
		}
	}
	return file
}

func compareOne(t *testing.T, file []byte) (pairs int, twoSided bool) {
	t.Helper()
	r, err := analysis.Compare(context.Background(), analysis.Side{File: "one", Open: scene.Opener(file)}, nil,
		analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	scene.Sound(t, r)
	return r.Pairs.Matched, r.Sides.B != nil
}

func TestBothSidesInOneFile(t *testing.T) {
	s := scene.New(t)
	scene.Healthy(s)
	a, b := s.Sorted(0), s.Sorted(1)
	want := s.Compare().Pairs.Matched
	if n, two := compareOne(t, inOneFile(a, b)); !two || n != want {
		t.Errorf("an interface a side: two sides %v with %d pairs, want %d", two, n, want)
	}
	if _, two := compareOne(t, inOneFile(a, a)); two {
		t.Error("two interfaces of one router, each with a copy, are taken for two sides")
	}
	if _, two := compareOne(t, inOneFile(a[:len(a)/2], a[len(a)/2:])); two {
		t.Error("two interfaces of one router, the one after the other, are taken for two sides")
	}
	if _, two := compareOne(t, scene.PcapngOf(a)); two {
		t.Error("one interface is taken for two sides")
	}
}

// What moncap writes as pcapng, it reads again as the two sides that it was made of: also when B's
// packets come first.
func TestAReportInPcapngIsReadAgain(t *testing.T) {
	s := scene.New(t)
	s.SA(1).Up()
	s.Traffic(5, false)
	r := s.Compare()
	var file bytes.Buffer
	if err := render.PCAPNG(&file, r, bytes.NewReader(scene.Pcap(s.Sorted(0))),
		bytes.NewReader(scene.Pcap(s.Sorted(1)))); err != nil {
		t.Fatal(err)
	}
	again, err := analysis.Compare(context.Background(), analysis.Side{File: "one", Open: scene.Opener(file.Bytes())}, nil,
		analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if again.Sides.B == nil || again.Pairs != r.Pairs || again.Verdict.Outcome != r.Verdict.Outcome ||
		again.Sides.A.Addresses[0] != r.Sides.A.Addresses[0] {
		t.Errorf("it was %s with %+v, and is %s with %+v", r.Verdict.Outcome, r.Pairs, again.Verdict.Outcome, again.Pairs)
	}
}

// merged are the packets of captures in the order of their times, as of one interface.
func merged(sides ...[]scene.Record) []scene.Record {
	all := slices.Concat(sides...)
	slices.SortStableFunc(all, func(x, y scene.Record) int { return cmp.Compare(x.Nanos, y.Nanos) })
	return all
}

// lowered are packets behind so many routers.
func lowered(all []scene.Record, by byte) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		r.Nanos += 1_000_000
		r.Data = bytes.Clone(r.Data)
		r.Data[22] -= by
		return []scene.Record{r}
	})
}

// Both sides in one file are told apart by what routers do to a packet and by who speaks to whom on
// a link, and judged as the two files are. Where they are not told apart, no failure is hidden, and
// nothing is certain that two files do not show.
func TestOneFileIsJudgedAsTwo(t *testing.T) {
	told, all := [2]int{}, 0
	check := func(name string, rows [2][]scene.Record) {
		t.Run(name, func(t *testing.T) {
			all++
			apart := compareRows(t, rows)
			for form, file := range [2][]byte{scene.Pcap(merged(rows[0], rows[1])), inOneFile(rows[0], rows[1])} {
				one := compareFile(t, file)
				was, is := apart.Verdict.ExitCode, one.Verdict.ExitCode
				if one.Sides.B != nil {
					if told[form]++; was != is || !slices.Equal(codes(one), codes(apart)) {
						t.Errorf("%d: two files %d %v, both sides of one %d %v", form, was, codes(apart), is, codes(one))
					}
				} else if is == 0 && was == 2 || is == 2 && was == 0 {
					t.Errorf("%d: two files %d %v, as one %d %v", form, was, codes(apart), is, codes(one))
				}
			}
		})
	}
	for _, name := range incidents(t) {
		check(name, [2][]scene.Record{readRecords(t, incident(name, "a.pcap")), readRecords(t, incident(name, "b.pcap"))})
	}
	for _, name := range fieldIncidents(t) {
		if w := parseTruth(t, field(name, "truth.json")); len(w.Files) == 0 && name != "unreadable-link-type" {
			check(name, [2][]scene.Record{readRecords(t, field(name, "a.pcap")), readRecords(t, field(name, "b.pcap"))})
		}
	}
	for name, play := range working {
		s := scene.New(t)
		play(s)
		check(name, [2][]scene.Record{s.Sorted(0), s.Sorted(1)})
	}
	if told[0]*10 < all*8 || told[1]*10 < all*9 {
		t.Errorf("of %d two sides are told apart in %d, and with an interface each in %d", all, told[0], told[1])
	}
}

// Memory grows with the number of places in a file, and not with its square.
func TestManyPlacesInOneFile(t *testing.T) {
	s := scene.New(t)
	scene.Healthy(s)
	allocated := func(places int) int {
		var all [][]scene.Record
		for i := range places {
			all = append(all, scene.MapRecords(s.Sorted(i%2), func(r scene.Record) []scene.Record {
				r.Data = bytes.Clone(r.Data)
				binary.BigEndian.PutUint16(r.Data[3:], uint16(2*i)) // the stations of a link
				binary.BigEndian.PutUint16(r.Data[9:], uint16(2*i+1))
				return []scene.Record{r}
			}))
		}
		file := scene.Pcap(merged(all...))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := compareFile(t, file)
		runtime.ReadMemStats(&after)
		if r.Sides.B == nil || r.Verdict.ExitCode != 0 {
			t.Errorf("%d places: two sides %v, exit code %d %v", places, r.Sides.B != nil, r.Verdict.ExitCode, codes(r))
		}
		return int(after.TotalAlloc - before.TotalAlloc)
	}
	allocated(2)
	const few, times, most = 100, 8, 12
	if one, more := allocated(few), allocated(few*times); more > most*one {
		t.Errorf("%d times the places: %d instead of %d bytes", times, more, one)
	}
}

func compareFile(t *testing.T, file []byte) *report.Report {
	t.Helper()
	r, err := analysis.Compare(t.Context(), analysis.Side{File: "one", Open: scene.Opener(file)}, nil, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	scene.Sound(t, r)
	return r
}

// onOtherLink are packets with other Ethernet addresses.
func onOtherLink(all []scene.Record) []scene.Record {
	return scene.MapRecords(all, func(r scene.Record) []scene.Record {
		r.Data = bytes.Clone(r.Data)
		r.Data[5] ^= 0x40
		r.Data[11] ^= 0x40
		return []scene.Record{r}
	})
}

// Packets that one router captures at two places, or a device between, are of one side, and judged
// as those of one of the places are.
func TestOneSideInOneFile(t *testing.T) {
	for kind, play := range map[string]func(*scene.Scene){
		"healthy": scene.Healthy,
		"unanswered": func(s *scene.Scene) {
			a := s.SA(0)
			a.Open()
			for range 4 {
				s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 200), scene.Fate{})
				s.Wait(2 * time.Second)
			}
		},
	} {
		s := scene.New(t)
		play(s)
		a := s.Sorted(0)
		alone := compareRows(t, [2][]scene.Record{a, nil})
		middle := lowered(a, 3)
		var sent, arrived []scene.Record
		for _, r := range a {
			if r.Data[22] == 255 {
				sent = append(sent, r)
			} else {
				arrived = append(arrived, r)
			}
		}
		handled := onOtherLink(shifted(200*time.Microsecond, 0)(slices.DeleteFunc(slices.Clone(a), func(r scene.Record) bool {
			const protocol, udp = 23, 17
			return r.Data[protocol] != udp
		})))
		for name, file := range map[string][]byte{
			"where its IKE is handled":    scene.Pcap(merged(a, handled)),
			"and its TTL is lowered":      scene.Pcap(merged(a, lowered(handled, 1))),
			"a capture":                   scene.Pcap(a),
			"copies":                      scene.Pcap(merged(a, shifted(200_000, 0)(a))),
			"two places of a gateway":     scene.Pcap(merged(a, lowered(a, 1))),
			"its two links":               scene.Pcap(merged(a, onOtherLink(lowered(a, 1)))),
			"its two interfaces":          inOneFile(a, lowered(a, 1)),
			"two places of a device":      scene.Pcap(merged(middle, lowered(a, 4))),
			"two links of a device":       scene.Pcap(merged(middle, onOtherLink(lowered(a, 4)))),
			"two interfaces of a device":  inOneFile(middle, lowered(a, 4)),
			"what is sent, what arrives":  inOneFile(sent, arrived),
			"what arrives on other links": scene.Pcap(merged(sent, onOtherLink(arrived))),
		} {
			r := compareFile(t, file)
			if r.Sides.B != nil {
				t.Errorf("%s, %s: taken for two sides, %s", kind, name, r.Verdict.Headline)
			}
			undivided := name == "two places of a gateway" || name == "two places of a device"
			if r.Verdict.ExitCode != alone.Verdict.ExitCode && !undivided {
				t.Errorf("%s, %s: %d %v, one place alone %d %v", kind, name, r.Verdict.ExitCode, codes(r),
					alone.Verdict.ExitCode, codes(alone))
			}
		}
	}
}

// Nor does that take IKE: ESP tells it too, also where it passes in one direction only.
func TestESPOfBothSidesAsOneInterface(t *testing.T) {
	for n := range 16 {
		blocked, udp, six := n&3, n>>2&1 == 1, n>>3&1 == 1
		s := scene.New(t)
		if six {
			s.Addr = scene.SixAddr
		}
		for i := range uint32(20) {
			for from := range 2 {
				s.ESP(from, 0xa0000001+uint32(from), 100+i, 100, udp, scene.Fate{Lost: blocked == from+1})
			}
			s.Wait(50 * time.Millisecond)
		}
		if blocked == 3 {
			continue
		}
		rows := [2][]scene.Record{s.Sorted(0), s.Sorted(1)}
		apart, one := compareRows(t, rows), compareRows(t, [2][]scene.Record{merged(rows[0], rows[1]), nil})
		if one.Sides.B == nil {
			t.Errorf("blocked %d, UDP %v, IPv6 %v: taken for one side", blocked, udp, six)
			continue
		}
		was, is := apart.Verdict.ExitCode, one.Verdict.ExitCode
		if was != is || (was == 2) != (blocked > 0) {
			t.Errorf("blocked %d, UDP %v, IPv6 %v: apart %d %v, as one %d %v", blocked, udp, six, was, codes(apart), is,
				codes(one))
		}
		r, err := analysis.Compare(t.Context(), analysis.Side{Open: scene.Opener(inOneFile(rows[0], rows[1]))}, nil,
			analysis.Options{})
		if err != nil || r.Sides.B == nil || r.Verdict.ExitCode != was {
			t.Errorf("blocked %d, UDP %v, IPv6 %v: apart %d %v, an interface each %v", blocked, udp, six, was, codes(apart), r)
		}
	}
}

// A datagram in IP fragments is put together of those of one place.
func TestFragmentsOfBothSidesAsOneInterface(t *testing.T) {
	for n := range 4 {
		from, six := n&1, n>>1 == 1
		s := scene.New(t)
		if six {
			s.Addr = scene.SixAddr
		}
		s.Delay = 0
		a := s.SA(from)
		a.Open()
		for id := range uint32(3) {
			for by := range 2 {
				s.IKE(from^by, 500, a.Sealed(ike.IKEAuth, from^by, id+1, by == 1, ike.PayloadIDi, 1500), scene.Fate{MTU: 1000})
			}
		}
		rows := [2][]scene.Record{s.Sorted(0), s.Sorted(1)}
		for at := range rows {
			for i := range rows[at] { // each arrives before the next one leaves
				rows[at][i].Nanos += int64(i)*100_000 + int64(at)*50_000
			}
		}
		apart, one := compareRows(t, rows), compareRows(t, [2][]scene.Record{merged(rows[0], rows[1]), nil})
		if one.Sides.B == nil || one.Pairs != apart.Pairs || !slices.Equal(codes(one), codes(apart)) {
			t.Errorf("from %d, IPv6 %v: apart %+v %v, as one %+v %v", from, six, apart.Pairs, codes(apart), one.Pairs,
				codes(one))
		}
	}
}

// As in the incident in which that showed: the device that drops fragments is no capture's filter.
func TestLostFragmentsAsOneInterface(t *testing.T) {
	for _, name := range []string{"first-fragments-lost-b-to-a", "ip-fragments-lost", "ipv6-fragments-lost"} {
		rows := [2][]scene.Record{readRecords(t, incident(name, "a.pcap")), readRecords(t, incident(name, "b.pcap"))}
		apart, one := compareRows(t, rows), compareRows(t, [2][]scene.Record{merged(rows[0], rows[1]), nil})
		if !slices.Equal(codes(one), codes(apart)) {
			t.Errorf("%s: apart %v, as one %v", name, codes(apart), codes(one))
		}
	}
}
