package render

import (
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0 s", 480 * time.Microsecond: "480 µs",
		1520 * time.Millisecond: "1.52 s",
		10 * time.Millisecond:   "10 ms", 100 * time.Millisecond: "100 ms", 125 * time.Second: "2 min 5 s",
		3 * time.Hour: "3 h 0 min", -2 * time.Second: "-2 s"} {
		if got := duration(d); got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}

func TestMergedActions(t *testing.T) {
	a := report.Action{Side: report.A, Device: "a", Mode: "exec", Commands: []string{"show clock"}, Why: "w"}
	b := a
	b.Side, b.Device = report.B, "b"
	c := b
	c.Why = "other"
	got := merged([]report.Action{a, b, c})
	if len(got) != 2 || got[0].Side != "" || got[1].Why != "other" || a.Side != report.A {
		t.Errorf("%+v", got)
	}
}

func TestCausesComeBeforeWhatTheyCause(t *testing.T) {
	f := []report.Finding{{Code: "x", CausedBy: "y"}, {Code: "y"}, {Code: "p", CausedBy: "q"}, {Code: "q", CausedBy: "p"}}
	indices, depth := order(f)
	if len(indices) != 4 || indices[0] != 1 || indices[1] != 0 || depth[1] != 1 {
		t.Errorf("%v %v", indices, depth)
	}
}

// Who moves answers to both addresses: no transmission of it is a repetition of the other. Ports
// and a NAT's addresses are no move.
func TestMovedIsNoRepetition(t *testing.T) {
	at := func(src, dst string) *report.Sighting { return &report.Sighting{Frame: 1, Src: src, Dst: dst} }
	b, moved := at("192.0.2.2:4500", "192.0.2.1:4500"), at("192.0.2.2:4500", "192.0.2.9:4500")
	for _, tt := range []struct {
		what string
		sent []report.Transmission
		want []string
		of   int
	}{
		{"moved", []report.Transmission{{A: b, B: b}, {A: moved, B: moved}},
			[]string{"192.0.2.2 to 192.0.2.1", "192.0.2.2 to 192.0.2.9"}, 1},
		{"one capture", []report.Transmission{{A: b}, {A: moved}},
			[]string{"192.0.2.2 to 192.0.2.1", "192.0.2.2 to 192.0.2.9"}, 1},
		{"other ports", []report.Transmission{{B: b}, {B: at("192.0.2.2:500", "192.0.2.1:500")}}, []string{""}, 2},
		{"seen at one end each", []report.Transmission{{B: b}, {A: at("198.51.100.1:4500", "192.0.2.1:4500")}}, []string{""},
			2},
		{"IPv6", []report.Transmission{{B: at("[2001:db8::2]:500", "[2001:db8::1]:500")},
			{B: at("[2001:db8::2]:500", "[2001:db8::1]:4500")}}, []string{""}, 2},
	} {
		l := &Ladder{}
		l.addConversation(&report.Conversation{Messages: []report.Message{{From: report.B, Transmissions: tt.sent}}})
		rows := l.Grouped().Rows
		if len(rows) != len(tt.want) {
			t.Errorf("%s: %d rows, want %d", tt.what, len(rows), len(tt.want))
			continue
		}
		for i, row := range rows {
			if row.Between != tt.want[i] || row.Of != tt.of || row.Nth != 1 {
				t.Errorf("%s: %q, %d of %d", tt.what, row.Between, row.Nth, row.Of)
			}
		}
	}
}

func TestFoldAccountsForEveryMessage(t *testing.T) {
	l := &Ladder{}
	for i := range 1000 {
		row := Row{Kind: RowMessage, Number: i + 1, NS: int64(i), Fate: report.Lost}
		if i%3 == 0 {
			row.Findings = []int{0}
		}
		l.Rows = append(l.Rows, row)
	}
	for _, limit := range []int{1, 2, 10, 100, 999, 1000, 0} {
		f, n := l.Fold(limit), 0
		for _, r := range f.Rows {
			n += r.Count
			if r.Kind == RowMessage {
				n++
			}
		}
		if n != 1000 || limit > 0 && len(f.Rows) > limit+1 {
			t.Errorf("limit %d: %d messages in %d rows", limit, n, len(f.Rows))
		}
	}
}

func TestTitles(t *testing.T) {
	v1 := &report.Conversation{Version: 1, Messages: []report.Message{
		{Exchange: "Identity Protection (Main Mode)", Transmissions: []report.Transmission{{A: &report.Sighting{Frame: 1}}}},
		{Exchange: "Identity Protection (Main Mode)", Transmissions: []report.Transmission{{A: &report.Sighting{Frame: 2}}}},
		{Exchange: "Quick Mode", MessageID: 0xabc, Transmissions: []report.Transmission{{A: &report.Sighting{Frame: 3}}}},
		{Exchange: "Informational", MessageID: 0xabcdef01,
			Transmissions: []report.Transmission{{A: &report.Sighting{Frame: 4}}}}}}
	l := &Ladder{}
	l.addConversation(v1)
	for i, want := range []string{"Main Mode 1", "Main Mode 2", "Quick Mode 1 (00000abc)", "Informational (abcdef01)"} {
		if got := rowTitle(&l.Rows[i]); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestClockText(t *testing.T) {
	ms := func(v float64) *float64 { return &v }
	for want, c := range map[string]*report.Clock{
		"A clock was set once during the captures. Over the longest stretch: The clocks agree to within 2 ms (40 pairs).": {
			LowMS: ms(-2), HighMS: ms(2), Pairs: 40, Steps: 1},
		"The clocks agree to within 63 µs (4 pairs).": {OffsetMS: 0.023, LowMS: ms(-0.016),
			HighMS: ms(0.063), Pairs: 4},
		"B's clock is 2.5 s ahead of A's, give or take 2 ms (9 pairs, m).": {OffsetMS: 2500, LowMS: ms(2498),
			HighMS: ms(2502), Pairs: 9, Method: "m"},
		"B's clock is at most 10 ms behind A's (1 pair).":                  {OffsetMS: -10, LowMS: ms(-10), Pairs: 1},
		"B's clock is at least 5 ms ahead of A's (1 pair).":                {OffsetMS: 5, LowMS: ms(5), Pairs: 1},
		"B's clock is at most 7 ms ahead of A's (1 pair).":                 {OffsetMS: 7, HighMS: ms(7), Pairs: 1},
		"B's clock is at least 7 ms behind A's (1 pair).":                  {OffsetMS: -7, HighMS: ms(-7), Pairs: 1},
		"The clocks cannot be compared: no packet was seen on both sides.": nil,
		"B's clock is 60 s behind A's, and drifts by 20.0 ppm (1 pair).": {OffsetMS: -60000, LowMS: ms(-60000),
			HighMS: ms(-60000), DriftPPM: ms(20), Pairs: 1},
	} {
		if got := clockText(c); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestProofsSayThingsOnce(t *testing.T) {
	var list []report.Evidence
	for _, f := range []int{2, 3, 4, 9, 6, 7, 2} {
		list = append(list, report.Evidence{Side: report.A, Frame: f, Note: "lost"})
	}
	list = append(list, report.Evidence{Side: report.B, Frame: 5, Note: "lost"}, report.Evidence{Side: report.B, Frame: 8})
	p := proofs(list)
	if len(p) != 2 || p[0].text(false) != "A frames 2-4, 6, 7, 9; B frame 5: lost" || p[1].text(false) != "B frame 8" {
		t.Errorf("%+v", p)
	}
	list = nil
	for f := range 40 {
		list = append(list, report.Evidence{Side: report.A, Frame: 2*f + 1})
	}
	if got := proofs(list)[0].text(false); got != "A frames 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, and 28 more" {
		t.Errorf("%q", got)
	}
}

func TestIntervals(t *testing.T) {
	for want, ms := range map[string][]int{"0.5, 0.75, 1.13, 16 s": {501, 750, 1126, 16000}, "20 ms, 1 s": {20, 1000},
		"": nil, "1, 1, 1, 1, 1, 1, 1, 1 s, ...": {1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000}} {
		var list []time.Duration
		for _, n := range ms {
			list = append(list, time.Duration(n)*time.Millisecond)
		}
		if got := intervals(list); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCells(t *testing.T) {
	for _, c := range []struct {
		text    string
		cells   int
		columns int
		short   string
	}{
		{"site-a", 6, 6, "site-a"}, {"site-a", 6, 5, "sit.."}, {"東京支社", 8, 8, "東京支社"}, {"東京支社", 8, 7, "東京.."},
		{"東京支社", 8, 5, "東.."},
		{"Zu\u0308rich", 6, 6, "Zu\u0308rich"}, {"│──▶✗", 5, 5, "│──▶✗"}, {"서울", 4, 1, ".."}, {"", 0, 0, ""},
	} {
		if got := Cells(c.text); got != c.cells {
			t.Errorf("%q takes %d columns, want %d", c.text, got, c.cells)
		}
		if got := Shorten(c.text, c.columns); got != c.short {
			t.Errorf("%q in %d columns is %q, want %q", c.text, c.columns, got, c.short)
		}
	}
}

func TestPieces(t *testing.T) {
	for s, want := range map[string][]piece{
		"UDP 500 from site-a (192.168.1.1) to site-b.": {{"UDP 500 from ", false}, {"site-a", true},
			{" (192.168.1.1) to ", false}, {"site-b.", true}, {"", false}},
		"no name": {{"no name", false}},
		"":        {{"", false}},
	} {
		if got := pieces(s); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", s, got, want)
		}
	}
}

// Before the path is searched, the capture that proves nothing is put right.
func TestCaptureComesFirst(t *testing.T) {
	act := func(why string) []report.Action { return []report.Action{{Side: report.A, Mode: "exec", Why: why}} }
	empty := report.Finding{Code: "capture-empty", Severity: report.Warning, Actions: act("the capture")}
	loss := report.Finding{Code: "path-loss", Severity: report.Warning, Actions: act("the loss")}
	blocked := func(cause string) report.Finding {
		return report.Finding{Code: "path-blocked", Severity: report.Critical, CausedBy: cause, Conversation: "1",
			Actions: act("the path")}
	}
	for _, c := range []struct {
		findings []report.Finding
		want     string
	}{
		{[]report.Finding{empty, blocked("capture-empty")}, "capture-empty"},
		{[]report.Finding{empty, blocked("")}, "path-blocked"},
		{[]report.Finding{loss, blocked("path-loss")}, "path-blocked"},
		{[]report.Finding{{Code: "capture-empty", Severity: report.Warning}, blocked("capture-empty")}, "path-blocked"},
		{[]report.Finding{blocked("capture-empty")}, "path-blocked"},
	} {
		if f := firstActions(&report.Report{Findings: c.findings}); f == nil || f.Code != c.want {
			t.Errorf("%v: first %v, want %s", c.findings, f, c.want)
		}
	}
}

// A side that was not captured holds no number of packets, and a first fragment is no whole packet.
func TestFlowCountsSayWhatWasCaptured(t *testing.T) {
	a, b := &report.FlowSide{Packets: 60}, &report.FlowSide{Packets: 60, Pieces: 20}
	one := report.Sides{A: &report.SideInfo{Name: "site-a"}}
	both := report.Sides{A: one.A, B: &report.SideInfo{Name: "site-b"}}
	for _, tt := range []struct {
		sides       report.Sides
		flow        report.Flow
		route, want string
	}{
		{one, report.Flow{Direction: "A->B", A: a}, "site-a to side B", "60 at A"},
		{one, report.Flow{Direction: "B->A", A: a, Peer: "192.0.2.7"}, "192.0.2.7 to site-a", "60 at A"},
		{both, report.Flow{Direction: "A->B", A: a}, "site-a to site-b", "60 at A, 0 at B"},
		{both, report.Flow{Direction: "B->A", A: a}, "site-b to site-a", "0 at B, 60 at A"},
		{both, report.Flow{Direction: "A->B", A: a, B: b, Lost: 20}, "site-a to site-b",
			"60 at A, 40 whole at B, and of 20 the first IP fragment; 20 proven lost"},
	} {
		r := &report.Report{Sides: tt.sides}
		if got := flowCounts(r, &tt.flow); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
		if got := flowRoute(r, &tt.flow); got != tt.route {
			t.Errorf("%q, want %q", got, tt.route)
		}
	}
}

// What came again is counted as that, and not as what may be lost.
func TestPairsTellCopies(t *testing.T) {
	side := &report.SideInfo{}
	for _, tt := range []struct {
		pairs report.Pairs
		want  string
	}{
		{report.Pairs{Matched: 9}, "9 packets seen on both sides; none lost."},
		{report.Pairs{Matched: 9, OnlyB: 2, CopiesB: 31}, "9 packets seen on both sides; none lost; held again: 31 at B."},
		{report.Pairs{Matched: 9, OnlyB: 3, CopiesB: 2, UnpairedB: 1},
			"9 packets seen on both sides; none lost; held again: 2 at B; 1 at B alone, whose loss is not proven."},
		{report.Pairs{Matched: 9, OnlyA: 3, LostAtoB: 1},
			"9 packets seen on both sides; 1 lost from A to B, none from B to A; 2 at A alone, whose loss is not proven."},
	} {
		if got := pairsText(&report.Report{Sides: report.Sides{A: side, B: side}, Pairs: tt.pairs}); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
