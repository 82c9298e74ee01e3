package event

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// Lines as routers and relays send them: Cisco's manuals, and what operators published of their own
// (rsyslog #3069, go-syslog #22, elastic/integrations #2607, syslog-ng #3683 and #3843,
// graylog2-server #4631), names and addresses changed.
func TestParseSyslogReadsEveryFormOfHeader(t *testing.T) {
	const text = "%SYS-5-CONFIG_I: Configured from console by vty2 (192.0.2.195)"
	for _, c := range []struct {
		line, host, at string
		sequence       uint64
		priority       int
		unsure         bool
	}{
		{"<189>82: 00:20:10: " + text, "", "", 82, 189, false},
		{"<189>83: *Feb 28 00:20:10: " + text, "", "2026-02-28T00:20:10Z", 83, 189, true},
		{"<189>88: *Feb 28 00:20:10.663: " + text, "", "2026-02-28T00:20:10.663Z", 88, 189, true},
		{"<189>86: *Feb 28 2010 00:20:10: " + text, "", "2010-02-28T00:20:10Z", 86, 189, true},
		{"<189>90: Feb 28 2010 00:20:10.663: " + text, "", "2010-02-28T00:20:10.663Z", 90, 189, true},
		{"<189>93: Nov 28 00:20:10.663 UTC: " + text, "", "2026-11-28T00:20:10.663Z", 93, 189, false},
		{"<189>94: .Nov 18 2026 21:03:22.631 GMT: " + text, "", "2026-11-18T21:03:22.631Z", 94, 189, true},
		{"<188>179767: fakhost: Nov 23 22:23:27.833 NewYork: " + text, "fakhost", "2026-11-23T22:23:27.833Z", 179767, 188,
			true},
		{"<190>421370: 421366: Nov 23 22:23:27: " + text, "", "2026-11-23T22:23:27Z", 421366, 190, true},
		{"<165>7433: ASR920: 007439: 2y10w: " + text, "ASR920", "", 7439, 165, false},
		{"<45>9121: EDGE-02: 008944: 13w1d: " + text, "EDGE-02", "", 8944, 45, false},
		{"<45>9121: EDGE-02: 008944: May 21 10:00:00.000: " + text, "EDGE-02", "2026-05-21T10:00:00Z", 8944, 45, true},
		{"<0>91: *Oct 07 03:10:04: mydevice.example " + text, "mydevice.example", "2026-10-07T03:10:04Z", 91, 0, true},
		{"*Mar  1 18:46:11: " + text, "", "2026-03-01T18:46:11Z", 0, -1, true},
		{"*Mar  1 00:00:00.000: " + text, "", "2026-03-01T00:00:00Z", 0, -1, true},
		{"000123: *Mar  1 00:00:00.000 MET: " + text, "", "2026-03-01T00:00:00Z", 123, -1, true},
		{text, "", "", 0, -1, false},
		{"<189>Nov 29 11:59:58 site-a 82: *Nov 29 11:59:57.001: " + text, "site-a", "2026-11-29T11:59:57.001Z", 82, 189,
			true},
		{"<189>Nov 29 11:59:58 192.0.2.10 82: Nov 29 11:59:57.001 UTC: " + text, "192.0.2.10", "2026-11-29T11:59:57.001Z", 82,
			189, false},
		{"<189>2026-11-29T11:59:58.5+01:00 site-a 82: " + text, "site-a", "2026-11-29T10:59:58.5Z", 82, 189, false},
		{"<189>1 2026-11-29T11:59:58.123456Z site-a - - - - " + text, "site-a", "2026-11-29T11:59:58.123456Z", 0, 189, false},
		{`<189>1 2026-11-29T11:59:58Z site-a %SYS-5-CONFIG_I - - [x@9 a="]\"" b="1"][y] Configured from console by vty2 (192.0.2.195)`,
			"site-a", "2026-11-29T11:59:58Z", 0, 189, false},
		{"<189>1 - - - - - - \ufeff12: Nov 29 11:00:00.000 UTC: " + text + "\r\n\x00", "", "2026-11-29T11:00:00Z", 12, 189,
			false},
	} {
		m, err := ParseSyslog([]byte(c.line), now)
		if err != nil {
			t.Errorf("%q: %v", c.line, err)
			continue
		}
		at := ""
		if !m.Time.IsZero() {
			at = m.Time.UTC().Format(time.RFC3339Nano)
		}
		if m.Host != c.host || at != c.at || m.Sequence != c.sequence || m.Priority != c.priority || m.Unsure != c.unsure {
			t.Errorf("%q:\nhost %q at %s sequence %d priority %d unsure %v", c.line, m.Host, at, m.Sequence, m.Priority,
				m.Unsure)
		}
		if m.Code()+": "+m.Text != text {
			t.Errorf("%q: read as %q", c.line, m.Code()+": "+m.Text)
		}
	}
}

func TestTheYearOfALineIsTheLastOneThatItCanBeOf(t *testing.T) {
	for _, c := range []struct{ now, line, want string }{
		{"2027-01-01T00:00:10Z", "Dec 31 23:59:59", "2026-12-31"}, {"2026-12-31T23:59:50Z", "Jan  1 00:00:02", "2027-01-01"},
		{"2026-12-31T23:59:50Z", "Jan 20 00:00:02", "2026-01-20"}, {"2026-06-01T00:00:00Z", "Jul  1 00:00:00", "2025-07-01"},
	} {
		at, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ParseSyslog([]byte(c.line+" UTC: %SYS-5-X: y"), at)
		if got := m.Time.Format(time.DateOnly); err != nil || got != c.want {
			t.Errorf("%s read at %s: %s, %v; want %s", c.line, c.now, got, err, c.want)
		}
	}
}

func TestParseSyslogRefusesWhatIsNoLineOfARouter(t *testing.T) {
	for _, line := range []string{
		"", "<", "<>", "<192>1: %SYS-5-X: y", "<-1>%SYS-5-X: y", "<0000>%SYS-5-X: y", "<189", "<189>", "hello",
		"<189>1 2026-11-29T11:59:58Z a b",
		"<189>1 - - - - - [x y", "%SYS-9-X: y", "%sys-5-x: y", "<189>12: Nov 29: 100 % of -5-",
		strings.Repeat("a", MaxLine+1),
	} {
		if m, err := ParseSyslog([]byte(line), now); err == nil {
			t.Errorf("%.60q is read as %+v", line, m)
		}
	}
}

// A user who calls himself like a mnemonic has his name logged.
func TestOnlyTheFirstMnemonicCounts(t *testing.T) {
	const forged = "<189>5: %SEC_LOGIN-4-LOGIN_FAILED: Login failed [user: %CRYPTO-5-SESSION_STATUS: Crypto tunnel " +
		"is DOWN. Peer 198.51.100.1:500] [Source: 203.0.113.9]"
	m, err := ParseSyslog([]byte(forged), now)
	if err != nil || m.Facility != "SEC_LOGIN" {
		t.Fatalf("%+v, %v", m, err)
	}
	if f, ok := Judge(m); ok {
		t.Errorf("it is taken for %+v", f)
	}
}

func TestEveryRuleReadsItsExample(t *testing.T) {
	for _, r := range Rules() {
		m, err := ParseSyslog([]byte("<189>7: *Nov 29 11:00:00.000: "+r.Example), now)
		if err != nil {
			t.Errorf("%s: %v", r.Code, err)
			continue
		}
		f, ok := Judge(m)
		if !ok || f.Kind != r.Kinds[0] {
			t.Errorf("%s: %+v, %v", r.Code, f, ok)
		}
		if strings.Contains(r.Example, "198.51.100.1") && f.Remote != netip.MustParseAddr("198.51.100.1") {
			t.Errorf("%s: far end %v", r.Code, f.Remote)
		}
	}
}

func TestJudge(t *testing.T) {
	for line, want := range map[string]Finding{
		"%CRYPTO-5-SESSION_STATUS: Crypto tunnel is UP  .  Peer 10.2.2.1:500       Id: 10.2.2.1": {
			Kind: SAUp, Remote: netip.MustParseAddr("10.2.2.1")},
		"%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is DOWN.  Peer 2001:DB8::1:4500       Id: r2.example": {
			Kind: SADown, Remote: netip.MustParseAddr("2001:db8::1")},
		"%CRYPTO-5-IKEV2_SESSION_STATUS: Crypto tunnel v2 is DOWN. Peer [2001:DB8::2]:500 f_vrf:  INET i_vrf: A Id: x": {
			Kind: SADown, Remote: netip.MustParseAddr("2001:db8::2")},
		"%LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel0, changed state to up": {
			Kind: LineUp, Interface: "Tunnel0"},
		"%CRYPTO-6-IKMP_MODE_FAILURE: Processing of Main Mode failed with peer 10.2.2.1": {
			Kind: NegotiationFailed, Remote: netip.MustParseAddr("10.2.2.1")},
		"%CRYPTO-4-RECVD_PKT_INV_SPI: decaps: rec'd IPSEC packet has invalid spi for destaddr=10.0.0.1, prot=50, spi=0x1": {
			Kind: InvalidSPI},
	} {
		m, err := ParseSyslog([]byte(line), now)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := Judge(m); !ok || f != want {
			t.Errorf("%s: %+v, %v", line, f, ok)
		}
	}
	for _, line := range []string{
		"%LINEPROTO-5-UPDOWN: Line protocol on Interface GigabitEthernet1, changed state to down",
		"%CRYPTO-6-ISAKMP_ON_OFF: ISAKMP is ON", "%SYS-5-CONFIG_I: Crypto tunnel is DOWN. Peer 10.0.0.1:500",
		"%CRYPTO-5-SESSION_STATUS: something else",
	} {
		m, err := ParseSyslog([]byte(line), now)
		if err != nil {
			t.Fatal(err)
		}
		if f, ok := Judge(m); ok {
			t.Errorf("%s is taken for %+v", line, f)
		}
	}
}

func FuzzParseSyslog(f *testing.F) {
	for _, r := range rules {
		f.Add([]byte("<189>7: *Nov 29 11:00:00.000: " + r.Example))
	}
	f.Add([]byte(`<189>1 2026-11-29T11:59:58Z site-a - - - [x@9 a="]"] %SYS-5-CONFIG_I: x`))
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := ParseSyslog(line, now)
		if err != nil {
			return
		}
		if m.Severity < 0 || m.Severity > 7 || m.Priority > 191 || m.Mnemonic == "" {
			t.Errorf("%q: %+v", line, m)
		}
		if strings.ContainsAny(m.Text+m.Host, "\x1b\n\r\x00") {
			t.Errorf("%q: control characters are left in %+v", line, m)
		}
		Judge(m)
	})
}
