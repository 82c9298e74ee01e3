package iosxe

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func name(t *testing.T, s string) Name {
	t.Helper()
	n, err := ParseName(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func gigabit(t *testing.T) Interface {
	t.Helper()
	i, err := ParseInterface("GigabitEthernet1")
	if err != nil {
		t.Fatal(err)
	}
	return i
}

var (
	addrA = netip.MustParseAddr("192.168.1.1")
	addrB = netip.MustParseAddr("192.168.2.1")
)

// The guide's two commands, with its names: the extended access list and the capture point.
func TestTheCommandsAreTheGuides(t *testing.T) {
	acl, err := ACL(name(t, "cap"), []Entry{{UDP, addrA, addrB}, {UDP, addrB, addrA}, {ESP, addrA, addrB},
		{ESP, addrB, addrA}, {ICMPUnreachable, netip.Addr{}, addrA}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"ip access-list extended cap",
		"permit udp host 192.168.1.1 host 192.168.2.1",
		"permit udp host 192.168.2.1 host 192.168.1.1",
		"permit esp host 192.168.1.1 host 192.168.2.1",
		"permit esp host 192.168.2.1 host 192.168.1.1",
		"permit icmp any host 192.168.1.1 unreachable",
	}
	if diff := cmp.Diff(want, acl.Lines); diff != "" {
		t.Error(diff)
	}
	define, err := DefineCapture(CapturePoint{Name: name(t, "cap"), ACL: name(t, "cap"), Interface: gigabit(t),
		BufferMB: 10, Duration: time.Minute, Packets: 1000})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := define[0].Lines[0],
		"monitor capture cap access-list cap buffer size 10 interface GigabitEthernet1 both"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got, want := define[1].Lines[0], "monitor capture cap limit duration 60 packets 1000"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func everyCommand(t *testing.T) []Command {
	t.Helper()
	n := name(t, "mc1a2b3c")
	f, err := ParseFile("bootflash:mc1a2b3c.pcap")
	if err != nil {
		t.Fatal(err)
	}
	all := []Command{
		TerminalLength(), TerminalWidth(), ShowCaptures(), ShowCapture(n), ShowCaptureParameter(n), ShowBuffer(n),
		ShowBrief(n),
		ShowDump(n), Dir(), DirFile(f), VerifyMD5(f), DeleteFile(f), ShowVersion(), ShowClock(), ShowNTP(), ShowPrivilege(),
		ShowInterfaces(),
		ShowACL(n), ShowACLs(), ShowSDWAN(), ShowRedundancy(), ShowCPU(), ShowMemory(), ShowUsers(), ShowLines(), ShowLog(),
		ShowDebug(),
		ShowIKEv2Proposal(), ShowIKEv2Policy(), ShowIKEv2Profile(), ShowIKEv2Stats(), ShowIKEv2Diagnose(), ShowEventTrace(),
		ShowISAKMPSA(),
		ShowISAKMPPolicy(), ShowTransformSet(), ShowIPsecProfile(), ShowCryptoMap(), StartCapture(n), StopCapture(n),
		ClearCapture(n), ExportCapture(n, f), ExportUpload(n, upload(t, "scp://ops@192.0.2.5"), f),
		ExportUpload(n, upload(t, "scp://ops@[2001:db8::5]:2222//srv/pcap"), f), NoCapture(n), NoACL(n, false),
		NoACL(n, true),
	}
	add := func(cs []Command, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, cs...)
	}
	one := func(c Command, err error) { t.Helper(); add([]Command{c}, err) }
	six := netip.MustParseAddr("2001:db8::1")
	one(ACL(n, []Entry{{UDP, addrA, addrB}, {AH, addrA, addrB}, {ICMPUnreachable, netip.Addr{}, addrA}}))
	one(ACL(n, []Entry{{UDP, six, six}, {ICMPTooBig, netip.Addr{}, six}}))
	point := CapturePoint{Name: n, ACL: n, Interface: gigabit(t), BufferMB: 10, Duration: time.Minute, Packets: 10,
		PacketLen: 128, PPS: 100, Circular: true}
	add(DefineCapture(point))
	point.Also = []Interface{gigabit(t)}
	add(DefineCapture(point))
	point.ACL, point.Local, point.Remote = Name{}, addrA, addrB
	add(DefineCapture(point))
	add(DebugOn(addrA))
	add(DebugOff(addrA))
	for _, peer := range []netip.Addr{addrA, six} {
		trace := PacketTrace{Peer: peer, Interfaces: []Interface{gigabit(t)}, Packets: 64}
		add(trace.Conditions())
		add(trace.NoConditions())
		one(trace.Keep())
		one(trace.NoKeep())
	}
	add([]Command{StartConditions(), StopConditions(), ShowConditions(), ShowTraceConfiguration(), ShowTraceSummary(),
		ShowTracedPackets()}, nil)
	red, err := ParseVRF("red")
	if err != nil {
		t.Fatal(err)
	}
	one(ShowIPsecSA(addrA, VRF{}))
	one(ShowIPsecSA(addrA, red))
	one(ShowIPsecSADetail(six, red))
	add(ShowDrops(gigabit(t)), nil)
	add(ShowIKECounters(), nil)
	one(BinaryTrace(time.Minute, addrA), nil)
	for _, p := range []CapturePoint{
		{ACL: name(t, "x")}, {Local: addrA, Remote: addrB, UDPOnly: true},
		{Local: six, Remote: netip.MustParseAddr("2001:db8::2"), UDPOnly: true},
	} {
		p.Name, p.ControlPlane, p.BufferMB, p.Duration, p.Packets = name(t, "xp"), true, 1, time.Minute, ControlPlanePackets
		add(DefineCapture(p))
	}
	one(ShowCryptoSession(six))
	one(ShowIKEv2SA(addrA))
	one(ShowIKEv2SA(six))
	for _, line := range []string{"clear crypto session remote 192.0.2.1", "ping vrf X 192.0.2.1 source Gi1 repeat 3",
		"clear crypto ikev2 sa remote 192.0.2.1", "clear crypto sa peer 192.0.2.1", "clear crypto sa peer vrf red 192.0.2.1",
		"clear crypto session remote 192.0.2.1 fvrf red"} {
		tr, err := ParseTrigger(line)
		one(tr.Command, err)
	}
	return all
}

func TestEveryConstructedCommandIsAllowed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range everyCommand(t) {
		seen[c.Name] = true
		if !Allowed(c) {
			t.Errorf("%s: %q is not in the list of commands that may be sent", c.Name, c.Lines)
		}
	}
	session := []string{"enable", "configure", "end", "exit", "scp"} // sent by the session itself
	for _, d := range AllCommands() {
		if !seen[d.Name] && !slices.Contains(session, d.Name) {
			t.Errorf("%s is listed, but nothing makes it", d.Name)
		}
	}
}

func TestNothingElseIsAllowed(t *testing.T) {
	bad := []Command{
		{Name: "reload", Lines: []string{"reload"}},
		{Name: "show-version", Lines: []string{"show version | redirect bootflash:x"}},
		{Name: "show-version", Lines: []string{"show version\nreload"}},
		{Name: "show-version", Lines: []string{"show version", "reload"}},
		{Name: "show-version", Mode: Config, Lines: []string{"show version"}},
		{Name: "define-acl", Mode: Config, Lines: []string{"ip access-list extended x", "permit ip any any"}},
		{Name: "define-acl", Mode: Config, Lines: []string{"ip access-list extended x", "exit"}},
		{Name: "delete-file", Lines: []string{"delete /force bootflash:../x"}},
		{Name: "delete-file", Lines: []string{"delete /force bootflash:*"}},
		{Name: "clear-crypto-session", Lines: []string{"clear crypto session"}},
		{Name: "show-version", Lines: []string{"show version"}, Answers: []Answer{{Confirm().Prompt, "y"}}},
		{Name: "show-version"},
	}
	for _, c := range bad {
		if Allowed(c) {
			t.Errorf("%s %q is allowed", c.Name, c.Lines)
		}
	}
}

func TestValuesThatCouldLeaveTheLineAreRefused(t *testing.T) {
	bad := []string{"", "a b", "a\nreload", "a|b", "a?", "a;b", "0a", "-a", "a\x1b", "mc…", strings.Repeat("a", 16),
		"export", "All"}
	for _, s := range bad {
		if _, err := ParseName(s); err == nil {
			t.Errorf("name %q was taken", s)
		}
	}
	for _, s := range []string{"", "Gi", "1", "Gi1;x", "Gi1\n", "Gi 1 both", "Gi1/0/0/0/0", "Gi1 | x"} {
		if _, err := ParseInterface(s); err == nil {
			t.Errorf("interface %q was taken", s)
		}
	}
	for _, s := range []string{"", "../x", "a/b", "flash:x", "a b", "bootflash:", ".x", "a*"} {
		if _, err := ParseFile(s); err == nil {
			t.Errorf("file %q was taken", s)
		}
	}
	for _, s := range []string{"reload", "clear crypto session", "clear crypto sa", "clear crypto session remote any",
		"ping", "ping 10.0.0.1 repeat 100000", "ping 10.0.0.1 source x;y", "clear crypto session remote 10.0.0.1 extra"} {
		if _, err := ParseTrigger(s); err == nil {
			t.Errorf("trigger %q was taken", s)
		}
	}
}

func TestCaptureBounds(t *testing.T) {
	good := CapturePoint{Name: name(t, "cap"), ACL: name(t, "cap"), Interface: gigabit(t), BufferMB: 10,
		Duration: time.Minute, Packets: 1000}
	for what, change := range map[string]func(*CapturePoint){
		"no duration": func(p *CapturePoint) { p.Duration = 0 }, "half a second": func(p *CapturePoint) {
			p.Duration = time.Second / 2
		},
		"no packets": func(p *CapturePoint) { p.Packets = 0 }, "buffer": func(p *CapturePoint) { p.BufferMB = 101 },
		"length": func(p *CapturePoint) { p.PacketLen = 63 }, "no filter": func(p *CapturePoint) { p.ACL = Name{} },
	} {
		p := good
		change(&p)
		if _, err := DefineCapture(p); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
}

func TestRefused(t *testing.T) {
	show, start, export := ShowCaptures(), StartCapture(name(t, "cap")),
		Command{Name: "export-capture", Lines: []string{"monitor capture cap export bootflash:x"}}
	tests := []struct {
		cmd    Command
		output string
		kind   RefusalKind
	}{
		{start, "              ^\r\n% Invalid input detected at '^' marker.\r\n", InvalidInput},
		{start, "Command authorization failed.\r\n", Unauthorized},
		{start, "Capture point does not exist : cap", Missing},
		{NoCapture(name(t, "cap")), "Capture does not exist", Missing},
		{StopCapture(name(t, "cap")), "Capture cap is not active\r\n\r\nUnable to deactivate Capture.", NotActive},
		{Command{Name: "define-capture", Lines: []string{"x"}},
			"Non-existent access-list specified\r\n\r\nFailed to attach existing ACL", Missing},
		{ClearCapture(name(t, "cap")), "Clear not supported for capture configured with file options", Unsupported},
		{export, "Failed to Export", Unclassified},
		{export, "%Error opening bootflash:x (No space left on device)", NoSpace},
		{show, "% Some message of a release to come", Unclassified},
	}
	for _, tt := range tests {
		r := Refused(tt.cmd, tt.output)
		if r == nil || r.Kind != tt.kind || r.Command != tt.cmd.Lines[0] {
			t.Errorf("%q: got %+v, want kind %d", tt.output, r, tt.kind)
		}
	}
	for _, fine := range []string{
		"", "Started capture point : cap\r\n", "Exported Successfully\r\n",
		"*Feb  3 00:58:13.901: %BUFCAP-6-ENABLE: Capture Point TEST enabled.\r\n",
		"% Warning: something minor\r\n",
	} {
		if r := Refused(start, fine); r != nil {
			t.Errorf("%q is no refusal: %+v", fine, r)
		}
	}
	if Refused(ShowLog(), strings.Repeat("line\n", 10)+"% Invalid input, quoted from long ago\n") != nil {
		t.Error("what a log quotes is no refusal")
	}
}

func TestCleanTakesOutWhatIsNotOutput(t *testing.T) {
	in := "Load for five secs: 2%/0%; one minute: 7%; five minutes: 8%\r\nTime source is NTP, 18:31:17.685 EST Thu Sep " +
		"8     \r\nline 1\r\n*Feb  3 00:58:13.901: %BUFCAP-6-ENABLE: Capture Point TEST enabled.\r\n" +
		"000123: Nov 23 2026 10:00:00.123 UTC: %SYS-5-CONFIG_I: Configured from console by x on vty0 (10.0.0.1)\r\n" +
		" SECURITY WARNING - Module: SSH, Command: x\r\nli\x08\x08line 2\r\n"
	if got := Clean(in); got != "line 1\nline 2" {
		t.Errorf("got %q", got)
	}
}

func TestPrompts(t *testing.T) {
	long := "a-router-with-a-very-long-name"
	for _, s := range []string{"\r\nR1#", "\r\nR1>", "x\r\nR1(config)#", "\nR1(config-ext-nacl)# "} {
		if !Prompt("R1").MatchString(s) {
			t.Errorf("%q is R1's prompt", s)
		}
	}
	if !Prompt(long).MatchString("\r\n" + long[:20] + "(config-ext-nacl)#") {
		t.Error("the shortened name of a configuration prompt")
	}
	for _, s := range []string{"\r\nR2#", "R1# show version", "\r\nsomething R1#", "\r\n0001 R1#\r\n"} {
		if Prompt("R1").MatchString(s) {
			t.Errorf("%q is not R1's prompt", s)
		}
	}
	for _, s := range []string{"\r\nPassword: ", "Enable password:", "passwd:"} {
		if !PasswordPrompt.Get().MatchString(s) {
			t.Errorf("%q asks for a password", s)
		}
	}
	for _, s := range []string{"Replace with specified filter?[confirm]", "Delete filename [x]? ",
		"overwrite? [yes/no]: "} {
		if !Dialog.Get().MatchString(s) {
			t.Errorf("%q is a dialog", s)
		}
	}
}

// The router complains of a VRF without a percent sign, so that it looked like success.
func TestUnknownVRFIsRefused(t *testing.T) {
	tr, err := ParseTrigger("clear crypto session remote 192.0.2.1 fvrf red")
	if err != nil {
		t.Fatal(err)
	}
	if r := Refused(tr.Command, " No VRF named red exists\n"); r == nil || r.Kind != Missing {
		t.Errorf("%+v", r)
	}
	for _, bad := range []string{"clear crypto session remote 192.0.2.1 fvrf",
		"clear crypto session remote fvrf red 192.0.2.1", "clear crypto sa peer vrf red",
		"clear crypto sa peer vrf re;d 192.0.2.1", "clear crypto session remote", "clear crypto session"} {
		if _, err := ParseTrigger(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}
