package iosxe

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
	"unicode/utf8"
)

func TestExchangesOfRecordedOutput(t *testing.T) {
	all := ParseExchanges(sample(t, "genie-ShowCryptoIkev2StatsExchange-output.txt"))
	want := map[string]ExchangeCount{
		"IKE_SA_INIT":   {"IKE_SA_INIT", 84, 19343, 20740, 83},
		"IKE_AUTH":      {"IKE_AUTH", 83, 19340, 19340, 83},
		"INFORMATIONAL": {"INFORMATIONAL", 27365, 188162, 188824, 11691},
		"INVALID_SPI":   {"INVALID_SPI", 0, 0, 288, 0},
	}
	found := 0
	for _, c := range all {
		if w, ok := want[c.Name]; ok {
			if found++; c != w {
				t.Errorf("%+v, want %+v", c, w)
			}
		}
		if c.Name == "CFG_REQUEST" || c.Name == "NO_NAT" {
			t.Errorf("%s has other columns", c.Name)
		}
	}
	if found != len(want) {
		t.Errorf("%d of %d are there: %v", found, len(want), all)
	}
}

func TestTimeoutsOfRecordedOutput(t *testing.T) {
	got := ParseTimeouts(sample(t, "genie-ShowCryptoIkev2StatsTimeout-output.txt"))
	if len(got) != 4 || got[RetransmitTimer] != 7736 {
		t.Errorf("%v", got)
	}
	for _, name := range []string{ExternalServiceTimer, AuthTimer, DPDTimer} {
		if n, there := got[name]; !there || n != 0 {
			t.Errorf("%s: %d, %t", name, n, there)
		}
	}
}

func TestEventTraceOfRecordedOutputs(t *testing.T) {
	all := ParseEventTrace(sample(t, "genie-ShowMonitorEventTraceCryptoIkev2EventAll-output.txt"))
	if len(all) != 30 || all[0].Remote != netip.MustParseAddrPort("30.1.1.2:500") ||
		all[0].Stamp != "Apr 4 00:16:59.484" ||
		all[0].Text != "Sending DELETE INFO message for IPsec SA [SPI: 0x28DC063C]" {
		t.Errorf("%d lines, the first %+v", len(all), all[0])
	}
	pki := ParseEventTrace(sample(t, "genie-ShowMonitorEventTraceCryptoPkiErrorAll-output.txt"))
	if len(pki) != 4 || pki[0].Remote.IsValid() || pki[0].Text != "Trustpoint- rootca:HTTP Server is disabled." {
		t.Errorf("%+v", pki)
	}
	for _, e := range ParseEventTrace(sample(t, "genie-ShowMonitorEventTraceCryptoAllDetail-output.txt")) {
		if strings.Contains(e.Text, "Traceback") {
			t.Errorf("a traceback is no event: %q", e.Text)
		}
	}
	for _, none := range []string{"", "Tracing currently disabled, from exec command\n",
		"% Invalid input detected at '^' marker."} {
		if got := ParseEventTrace(none); len(got) != 0 {
			t.Errorf("%q: %v", none, got)
		}
	}
}

func TestBinaryTraceOfRecordedOutput(t *testing.T) {
	all := ParseBinaryTrace(sample(t, "genie-ShowLoggingProcessIosModulePkiLevelNotice-output.txt"))
	if len(all) == 0 || all[0].Module != "pki" || !all[0].IsError() || !all[0].AboutIKE() ||
		all[0].Text != "CRYPTO_CS_OPENSSL: open envelope: Decrypted PKCS7" ||
		all[0].Stamp != "2025/06/09 18:56:14.446143266" {
		t.Fatalf("%d lines: %+v", len(all), all)
	}
	for _, e := range all {
		if strings.Contains(e.Text, "UTM") || strings.Contains(e.Text, "===") {
			t.Errorf("what the decoder says of itself is no event: %q", e.Text)
		}
	}
	if !strings.HasSuffix(all[5].Text, "could not be deleted. % You need to delete it manually.") {
		t.Errorf("the second line of an event is lost: %q", all[5].Text)
	}
	other := ParseBinaryTrace("2026/05/08 08:16:35.632007249 {iosrp_R0-0}{1}: [feat-telem] [6472]: UUID: 0, ra: 0 " +
		"(note): FT-BG-Process: timer expired.\n")
	if len(other) != 1 || other[0].AboutIKE() || other[0].IsError() || other[0].Level != "note" {
		t.Errorf("%+v", other)
	}
}

// Of the whole process's lines those of IKE are kept as they were printed, and those
// that name the peer.
func TestWhatIsKeptOfTheBinaryTrace(t *testing.T) {
	const head = "2026/05/08 08:16:35.632007249 {iosrp_R0-0}{1}: "
	lines := []string{
		head + "[ikev2] [6472]: UUID: 0, ra: 0 (ERR): auth failed",
		head + "[parser] [6472]: (note): username admin password 0 secret",
		head + "[sysmgr] [6472]: (note): reached 192.0.2.1 again",
		head + "[sysmgr] [6472]: (note): reached 192.0.2.10 again",
		head + "[pki] [6472]: (ERR): no CRL\n  for the certificate",
	}
	got := BinaryTrace(time.Minute, netip.MustParseAddr("192.0.2.1")).
		Excerpt("Logging display requested\n\n" + strings.Join(lines, "\n") + "\n=====\n UTM [PCAP] . 0\n")
	if want := lines[0] + "\n" + lines[2] + "\n" + lines[4] + "\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if again := ParseBinaryTrace(got); len(again) != 3 {
		t.Errorf("what is kept cannot be read: %v", again)
	}
}

// An address is named where it stands by itself, whatever stands around it, with
// its port or without.
func TestWhomALineNames(t *testing.T) {
	for text, want := range map[string]string{
		"reached 10.0.0.1.":                "10.0.0.1:0",
		"(10.0.0.1/500) retransmits":       "10.0.0.1:0",
		"from 10.0.0.1:4500, no answer":    "10.0.0.1:4500",
		"Remote:10.0.0.1:500 Local:None":   "10.0.0.1:500",
		"to [2001:DB8::1]:500":             "[2001:db8::1]:0",
		"peer=::ffff:10.0.0.1":             "10.0.0.1:0",
		"reached 10.0.0.10, 10.0.0.1":      "10.0.0.10:0 10.0.0.1:0",
		"reached 110.0.0.1":                "110.0.0.1:0",
		"reached 2001:db8::1a":             "[2001:db8::1a]:0",
		"rootca:HTTP Server is disabled.":  "",
		"at 10:30:15 IKEv2::open failed: ": "",
		"":                                 "",
	} {
		var got []string
		for _, p := range (TracedEvent{Text: text}).Peers() {
			got = append(got, p.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	about := ParseEventTrace("*Nov 14 22:13:21.484: SA ID:1 SESSION ID:5 Remote: 192.0.2.1/62034 Local: 192.0.2.9/4500 " +
		"aborted, 192.0.2.7 has it\n")
	if len(about) != 1 || !slices.Equal(about[0].Peers(), []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:62034")}) {
		t.Errorf("%v", about)
	}
}

// The router decodes no more than was asked for, whatever was asked for.
func TestBinaryTraceIsBounded(t *testing.T) {
	for last, want := range map[time.Duration]string{0: "last 10 seconds", 90 * time.Second: "last 90 seconds",
		48 * time.Hour: "last 1800 seconds"} {
		c := BinaryTrace(last, netip.Addr{})
		if !strings.HasSuffix(c.Lines[0], want) || c.MaxOutput == 0 || !OnlyReads(c) {
			t.Errorf("%s: %q, at most %d bytes", last, c.Lines[0], c.MaxOutput)
		}
	}
	for software, want := range map[string]bool{"17.3.4a": true, "26.2.1": true, "16.12.5": false, "03.16.00.S": false,
		"": false, "x": false} {
		if HasBinaryTrace(software) != want {
			t.Errorf("%q: %t", software, !want)
		}
	}
}

// Nothing is made out of an output that was cut anywhere, or of numbers that no counter has.
func TestIKECountersOfBadOutputs(t *testing.T) {
	for _, name := range []string{
		"genie-ShowCryptoIkev2StatsExchange-output.txt", "genie-ShowCryptoIkev2StatsTimeout-output.txt",
		"genie-ShowMonitorEventTraceCryptoIkev2EventAll-output.txt",
		"genie-ShowLoggingProcessIosModulePkiLevelNotice-output.txt",
	} {
		whole := sample(t, name)
		for i := 0; i < len(whole); i += 7 {
			ParseExchanges(whole[:i])
			ParseTimeouts(whole[:i])
			ParseEventTrace(whole[:i])
			ParseBinaryTrace(whole[:i])
		}
	}
	const huge = "IKE_AUTH 1 2 3 99999999999999999999999\nAUTH TIMER 99999999999999999999999\n"
	if got := ParseExchanges(huge); len(got) != 0 {
		t.Errorf("%v", got)
	}
	if got := ParseTimeouts(huge); len(got) != 0 {
		t.Errorf("%v", got)
	}
}

// What a router may be made to write is read in the time that its size takes: a line after which
// nothing but continuations come is no reason to hang.
func TestBinaryTraceOfOneEndlessEvent(t *testing.T) {
	const more = 128 << 10
	out := "2026/05/08 08:16:35.632007249 {iosrp_R0-0}{1}: [ikev2] [6472]: (ERR): no profile\n" +
		strings.Repeat("a\n", more)
	all := ParseBinaryTrace(out)
	if len(all) != 1 || all[0].Text != "no profile"+strings.Repeat(" a", more) || all[0].raw != out {
		t.Fatalf("%d events", len(all))
	}
	allocated := testing.AllocsPerRun(1, func() { ParseBinaryTrace(out) })
	if allocated > more/4 {
		t.Errorf("%.0f allocations for %d lines: each joins all before it", allocated, more)
	}
}

// However much the trace has of the tunnel, its beginning, its end and the errors between the two
// are kept, in order, and what is left out is counted. What is of no tunnel takes no room.
func TestALargeBinaryTraceIsKeptInPart(t *testing.T) {
	at := func(i int) string { return fmt.Sprintf("2026/05/08 %02d:%02d:%02d.0", i/3600, i/60%60, i%60) }
	var b strings.Builder
	const events, fault = 20_000, 9_000
	for i := range events {
		level := "note"
		if i == fault {
			level = "ERR"
		}
		fmt.Fprintf(&b, "%s {iosrp_R0-0}{1}: [ikev2] [6472]: (%s): event %d %s\r\n", at(i), level, i, strings.Repeat("x", 40))
		fmt.Fprintf(&b, "%s {iosrp_R0-0}{1}: [parser] [6472]: (note): CMD: show %s\r\n", at(i), strings.Repeat("y", 200))
	}
	kept, err := ReadBinaryTrace(strings.NewReader(b.String()), netip.Addr{})
	if err != nil || len(kept.Text) > 700<<10 || len(kept.Text) < 500<<10 {
		t.Fatalf("%d bytes, %v", len(kept.Text), err)
	}
	all := ParseBinaryTrace(kept.Text)
	if len(all)+kept.Left != events || kept.Left == 0 {
		t.Errorf("%d lines are kept and %d left out, of %d", len(all), kept.Left, events)
	}
	if !slices.IsSortedFunc(all, func(a, b TracedEvent) int { return strings.Compare(a.Stamp, b.Stamp) }) {
		t.Error("they are out of order")
	}
	if all[0].Stamp != at(0) || all[len(all)-1].Stamp != at(events-1) {
		t.Errorf("from %s to %s", all[0].Stamp, all[len(all)-1].Stamp)
	}
	if !slices.ContainsFunc(all, func(e TracedEvent) bool { return e.Stamp == at(fault) && e.IsError() }) {
		t.Error("the error in the middle is lost")
	}
	small := "2026/05/08 08:16:35.0 {iosrp_R0-0}{1}: [pki] [6472]: (ERR): no CRL\n  for the certificate\n"
	if kept, err := ReadBinaryTrace(strings.NewReader("Displaying\n\n"+small+"===\n UTM\n"), netip.Addr{}); err != nil ||
		kept != (Traced{Text: small}) {
		t.Errorf("%+v, %v", kept, err)
	}
}

// An error of the reading costs nothing of what came before it, and an event of any length is
// kept within bounds.
func TestABinaryTraceThatBreaksOff(t *testing.T) {
	const row = "2026/05/08 08:16:35.0 {iosrp_R0-0}{1}: [ikev2] [6472]: (ERR): no profile\n"
	broken := errors.New("closed")
	for name, tt := range map[string]struct {
		more io.Reader
		err  error
	}{
		"closed":             {iotest.ErrReader(broken), broken},
		"an endless line":    {strings.NewReader(strings.Repeat("x", 2<<20)), bufio.ErrTooLong},
		"an endless event":   {strings.NewReader(strings.Repeat("x\n", 2<<20)), nil},
		"no line of its own": {strings.NewReader(row[:20]), nil},
	} {
		kept, err := ReadBinaryTrace(io.MultiReader(strings.NewReader(row), tt.more), netip.Addr{})
		if !errors.Is(err, tt.err) || !strings.HasPrefix(kept.Text, row) || len(kept.Text) > 64<<10 {
			t.Errorf("%s: %d bytes, %v", name, len(kept.Text), err)
		}
	}
}

// Behind a line without anything, as behind the decoder's own, the trace goes on.
func TestABinaryTraceWithGaps(t *testing.T) {
	const row = "2026/05/08 08:16:35.0 {iosrp_R0-0}{1}: [ikev2] [6472]: (ERR): no profile\n"
	for _, gap := range []string{"\n", "=== of the next\nUTM\n", "\nsaid by nobody\n"} {
		all := ParseBinaryTrace(row + gap + row)
		if len(all) != 2 || all[0].Text != "no profile" || all[1].Text != "no profile" {
			t.Errorf("%q: %+v", gap, all)
		}
	}
}

// An event whose first line alone is long is no exception, and nothing comes out of order for it.
func TestABinaryTraceWithALongFirstLine(t *testing.T) {
	row := func(second int, text string) string {
		return fmt.Sprintf("2026/05/08 08:16:%02d.0 {iosrp_R0-0}{1}: [ikev2] [6472]: (ERR): %s\n", second, text)
	}
	long := strings.Repeat("é", 150<<10)
	kept, err := ReadBinaryTrace(strings.NewReader(row(1, "a")+row(2, long)+row(3, long)+row(4, "b")), netip.Addr{})
	if err != nil || len(kept.Text) > 64<<10 || kept.Left != 0 || !utf8.ValidString(kept.Text) {
		t.Errorf("%d bytes, %d left out, %v", len(kept.Text), kept.Left, err)
	}
	all := ParseBinaryTrace(kept.Text)
	inOrder := slices.IsSortedFunc(all, func(a, b TracedEvent) int { return strings.Compare(a.Stamp, b.Stamp) })
	if len(all) != 4 || !inOrder {
		t.Errorf("%d events, or out of order", len(all))
	}
}
