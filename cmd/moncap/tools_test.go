package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
)

// toolRows are the rows of docs/tools.md: what moncap does, and what the other tool does where it
// is installed.
var toolRows = map[string]struct{ ours, theirs func(t *testing.T) }{
	"exchange-43": {
		func(t *testing.T) {
			listHas(t, tunnelFile(intermediate()), "IKE_INTERMEDIATE MID=01 Initiator Request")
		},
		func(t *testing.T) {
			toolSays(t, "Unknown 43 MID=01", "tshark", "-r", saved(t, tunnelFile(intermediate())))
		},
	},
	"tcp-4500": {
		func(t *testing.T) { listHas(t, tcpStream(), "IKE_SA_INIT MID=00 Initiator Request") },
		func(t *testing.T) { noneIsIKE(t, tcpStream()) },
	},
	"udp-848": {
		func(t *testing.T) {
			listHas(t, tunnelFile(groupKeys()),
				"848 -> 848 Len=92 GSA_AUTH MID=01 Initiator Request [group keys (GDOI, G-IKEv2), none of a tunnel]")
		},
		func(t *testing.T) { noneIsIKE(t, tunnelFile(groupKeys())) },
	},
	"ios-dump": {
		func(t *testing.T) { listHas(t, dumpText(), "IKE_INTERMEDIATE MID=01", "INFORMATIONAL MID=02") },
		text2pcapTakesNothing,
	},
	"cut-file-merge": {cutFileIsUsed, mergecapLeavesOut},
	"cut-file-copy":  {cutFileIsUsed, editcapExitsZero},
	"one-interface":  {aSideAnInterface, mergecapJoins},
	"two-link-types": {bothInterfacesAreRead, tcpdumpStops},
	"first-request": {
		func(t *testing.T) { listHas(t, tunnelFile(liveness()), "INFORMATIONAL MID=00 Responder Request") },
		tcpdumpCallsParent,
	},
	"ipv6-fragments": {fragmentsAreCaught, tcpdumpMissesFragments},
	"one-spi":        {noLossOfOneSPI, tsharkMixesSPIs},
	"scapy-4500":     {func(t *testing.T) { listHas(t, tunnelFile(intermediate()), "ISAKMP") }, scapySaysESP},
	"left-on-router": {everyPointEnds, ciscodumpLeaves},
}

// TestOtherTools holds each row of docs/tools.md.
func TestOtherTools(t *testing.T) {
	page, err := os.ReadFile("../../docs/tools.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([a-z0-9-]+) \|`).FindAllStringSubmatch(string(page), -1) {
		rows = append(rows, m[1])
	}
	for _, name := range rows {
		row, ok := toolRows[name]
		if !ok {
			t.Errorf("row %s has no test", name)
			continue
		}
		t.Run(name+"/moncap", func(t *testing.T) { t.Parallel(); row.ours(t) })
		t.Run(name+"/tool", func(t *testing.T) { t.Parallel(); row.theirs(t) })
	}
	if len(rows) != len(toolRows) {
		t.Errorf("%d rows, %d tests", len(rows), len(toolRows))
	}
}

// tool returns the program's path, or skips; the packages of .ci/run must be there when
// MONCAP_REFEREES says so.
func tool(t *testing.T, name string) string {
	t.Helper()
	bin, err := exec.LookPath(name)
	wireshark := slices.Contains([]string{"tshark", "text2pcap", "mergecap", "editcap", "capinfos"}, name)
	switch {
	case err == nil:
		return bin
	case wireshark && os.Getenv("MONCAP_REFEREES") != "":
		t.Fatalf("%s is not installed, and MONCAP_REFEREES wants it", name)
	default:
		t.Skipf("%s is not installed", name)
	}
	return ""
}

// ofBranch skips for another branch of a program than the page speaks of: later ones read more.
func ofBranch(t *testing.T, name, branch string) {
	t.Helper()
	out, _ := call(t, name, "--version")
	if first, _, _ := strings.Cut(out, "\n"); !strings.Contains(out, branch) {
		t.Skipf("not %s%s: %s", name, branch, first)
	}
}

func wireshark40(t *testing.T) {
	t.Helper()
	ofBranch(t, "mergecap", " 4.0.") // quicker to answer than tshark
}

// call runs a program without a configuration of the user's.
func call(t *testing.T, name string, args ...string) (out string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), tool(t, name), args...)
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+t.TempDir(), "TZ=UTC")
	b, _ := cmd.CombinedOutput()
	return string(b), cmd.ProcessState.ExitCode()
}

func toolSays(t *testing.T, want, name string, args ...string) {
	t.Helper()
	if name == "tcpdump" {
		ofBranch(t, name, " 4.99.")
	} else {
		wireshark40(t)
	}
	if out, _ := call(t, name, args...); !strings.Contains(out, want) {
		t.Errorf("%s %v does not say %q:\n%s", name, args, want, out)
	}
}

func saved(t *testing.T, file []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// listHas decodes a file, whose last lines must have these texts.
func listHas(t *testing.T, file []byte, want ...string) {
	t.Helper()
	out, errs, code := decodeOutput(t, file)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	lines = lines[max(0, len(lines)-len(want)):]
	for i, w := range want {
		if code != exitOK || i >= len(lines) || !strings.Contains(lines[i], w) {
			t.Errorf("exit %d, no %q in the last lines of:\n%s%s", code, w, out, errs)
		}
	}
}

func noneIsIKE(t *testing.T, file []byte) {
	t.Helper()
	wireshark40(t)
	cmd := exec.CommandContext(t.Context(), tool(t, "tshark"), "-r", saved(t, file), "-Y", "isakmp")
	if out, err := cmd.Output(); err != nil || len(out) != 0 {
		t.Errorf("tshark sees IKE: %v\n%s", err, out)
	}
}

// The packets. Gateways are 192.0.2.1 and 192.0.2.2, and 2001:db8::1 and ::2.

var gatewayA, gatewayB = netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")

// ikeMessage is a message with one encrypted payload, or with a nonce where it is the first of all.
func ikeMessage(exchange, flags byte, id uint32, size int) []byte {
	b, next := bytes.Repeat([]byte{0x11}, 8), byte(46)
	if exchange == 34 {
		b, next = append(b, make([]byte, 8)...), 40
	} else {
		b = append(b, bytes.Repeat([]byte{0x22}, 8)...)
	}
	b = append(b, next, 0x20, exchange, flags)
	b = binary.BigEndian.AppendUint32(b, id)
	b = binary.BigEndian.AppendUint32(b, uint32(32+size))
	b = append(b, 0, 0, byte((4+size)>>8), byte(4+size))
	return append(b, bytes.Repeat([]byte{0xaa}, size)...)
}

func udp(port uint16, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16(nil, port)
	b = binary.BigEndian.AppendUint16(b, port)
	b = binary.BigEndian.AppendUint16(b, uint16(8+len(payload)))
	return append(append(b, 0, 0), payload...)
}

func ipv4(from, to netip.Addr, protocol byte, payload []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	return slices.Concat(b, from.AsSlice(), to.AsSlice(), payload)
}

// ipv6Fragments are the two pieces of a datagram.
func ipv6Fragments(datagram []byte) [][]byte {
	from, to := netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2")
	piece := func(offset uint16, more byte, part []byte) []byte {
		b := []byte{0x60, 0, 0, 0, 0, 0, 44, 64}
		binary.BigEndian.PutUint16(b[4:], uint16(8+len(part)))
		b = slices.Concat(b, from.AsSlice(), to.AsSlice(), []byte{17, 0, byte(offset >> 8), byte(offset) | more, 0, 0, 0, 7})
		return append(b, part...)
	}
	return [][]byte{piece(0, 1, datagram[:1232]), piece(1232, 0, datagram[1232:])}
}

// tunnelFile is a pcap file of IP packets, a second apart.
func tunnelFile(packets ...[]byte) []byte {
	b, _ := hex.DecodeString("d4c3b2a1020004000000000000000000ffff000065000000")
	for i, p := range packets {
		for _, v := range []uint32{uint32(1700000000 + i), 0, uint32(len(p)), uint32(len(p))} {
			b = binary.LittleEndian.AppendUint32(b, v)
		}
		b = append(b, p...)
	}
	return b
}

func intermediate() []byte {
	return ipv4(gatewayA, gatewayB, 17, udp(4500, append(make([]byte, 4), ikeMessage(43, 0x08, 1, 60)...)))
}

func groupKeys() []byte {
	return ipv4(gatewayA, gatewayB, 17, udp(848, ikeMessage(39, 0x08, 1, 60)))
}

// liveness is the first request of the gateway that answered the set-up.
func liveness() []byte {
	return ipv4(gatewayB, gatewayA, 17, udp(500, ikeMessage(37, 0, 0, 60)))
}

func lastWords() []byte {
	return ipv4(gatewayA, gatewayB, 17, udp(500, ikeMessage(37, 0x08, 2, 60)))
}

// tcpStream is a connection to TCP 4500 with the first message in it.
func tcpStream() []byte {
	segment := func(from, to uint16, seq uint32, flags byte, data []byte) []byte {
		b := binary.BigEndian.AppendUint16(nil, from)
		b = binary.BigEndian.AppendUint16(b, to)
		b = binary.BigEndian.AppendUint32(b, seq)
		b = binary.BigEndian.AppendUint32(b, 2)
		return append(append(b, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0), data...)
	}
	m := ikeMessage(34, 0x08, 0, 32)
	data := binary.BigEndian.AppendUint16([]byte("IKETCP"), uint16(6+len(m)))
	data = slices.Concat(data, make([]byte, 4), m)
	return tunnelFile(
		ipv4(gatewayA, gatewayB, 6, segment(50000, 4500, 1, 2, nil)),
		ipv4(gatewayB, gatewayA, 6, segment(4500, 50000, 1, 0x12, nil)),
		ipv4(gatewayA, gatewayB, 6, segment(50000, 4500, 2, 0x18, data)))
}

// dumpText is two packets as `show monitor capture NAME buffer dump` prints them.
func dumpText() []byte {
	var b bytes.Buffer
	fmt.Fprintln(&b, "site-a#show monitor capture cap buffer dump")
	for i, p := range [][]byte{intermediate(), lastWords()} {
		p = slices.Concat(bytes.Repeat([]byte{2}, 12), []byte{8, 0}, p)
		fmt.Fprintln(&b, i)
		for at := 0; at < len(p); at += 16 {
			row := p[at:min(at+16, len(p))]
			var columns []string
			for part := range slices.Chunk(row, 4) {
				columns = append(columns, fmt.Sprintf("%X", part))
			}
			fmt.Fprintf(&b, "  %04X:  %-35s   %s\n", at, strings.Join(columns, " "), strings.Repeat(".", len(row)))
		}
		fmt.Fprintln(&b)
	}
	return b.Bytes()
}

func text2pcapTakesNothing(t *testing.T) {
	wireshark40(t)
	out, code := call(t, "text2pcap", saved(t, dumpText()), filepath.Join(t.TempDir(), "out"))
	if code != 0 || !strings.Contains(out, "wrote 0 packets") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

// cutAndWhole are two captures of five packets each, in step, of which the first ends
// inside its fourth.
func cutAndWhole() (cut, whole []byte) {
	p := ipv4(gatewayA, gatewayB, 17, udp(500, ikeMessage(34, 0x08, 0, 32)))
	whole = tunnelFile(p, p, p, p, p)
	return whole[:24+3*(16+len(p))+20], whole
}

func cutFileIsUsed(t *testing.T) {
	cut, whole := cutAndWhole()
	r := moncap(t, "analyze", saved(t, cut), saved(t, whole), "--format", "json")
	var d report.Report
	if err := json.Unmarshal([]byte(r.stdout), &d); err != nil {
		t.Fatal(err)
	}
	if a, b := d.Sides.A.Packets, d.Sides.B.Packets; r.code == exitOK || a != 3 || b != 5 {
		t.Errorf("exit %d, %d packets of A, %d of B", r.code, a, b)
	}
	if !strings.Contains(r.stdout, `"capture-damaged"`) {
		t.Errorf("no finding:\n%s", r.stdout)
	}
}

func mergecapLeavesOut(t *testing.T) {
	wireshark40(t)
	cut, whole := cutAndWhole()
	merged := filepath.Join(t.TempDir(), "merged")
	call(t, "mergecap", "-w", merged, saved(t, cut), saved(t, whole))
	out, _ := call(t, "capinfos", "-c", "-T", "-r", "-M", merged)
	if f := strings.Fields(out); len(f) == 0 || !slices.Contains([]string{"5", "6", "7"}, f[len(f)-1]) {
		t.Errorf("not fewer than the eight whole packets:\n%s", out)
	}
}

func editcapExitsZero(t *testing.T) {
	wireshark40(t)
	cut, _ := cutAndWhole()
	out, code := call(t, "editcap", saved(t, cut), filepath.Join(t.TempDir(), "copy"))
	if code != 0 || !strings.Contains(out, "cut short") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func aSideAnInterface(t *testing.T) {
	file := filepath.Join(t.TempDir(), "both.pcapng")
	i := incident(t, "healthy")
	r := moncap(t, "analyze", saved(t, i.A), saved(t, i.B),
		"--name-a", "hq", "--name-b", "branch", "--format", "pcapng", "-o", file)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v\n%s", err, r.stderr)
	}
	for _, side := range []string{"hq", "branch"} {
		if !bytes.Contains(b, []byte(side)) {
			t.Errorf("no interface is named %s", side)
		}
	}
	if n := interfaces(b); n != 2 {
		t.Errorf("%d interfaces", n)
	}
}

// interfaces counts the interface blocks of a little-endian pcapng file.
func interfaces(b []byte) (n int) {
	for len(b) >= 12 {
		size := int(binary.LittleEndian.Uint32(b[4:]))
		if binary.LittleEndian.Uint32(b) == 1 {
			n++
		}
		if size < 12 || size > len(b) {
			break
		}
		b = b[size:]
	}
	return n
}

func mergecapJoins(t *testing.T) {
	wireshark40(t)
	merged := filepath.Join(t.TempDir(), "merged")
	call(t, "mergecap", "-w", merged, saved(t, tunnelFile(intermediate())), saved(t, tunnelFile(liveness())))
	b, err := os.ReadFile(merged)
	if n := interfaces(b); err != nil || n != 1 {
		t.Errorf("%d interfaces, %v", n, err)
	}
}

// twoLinkTypes is a pcapng file with two packets of an interface of IP packets and
// two of an Ethernet.
func twoLinkTypes() []byte {
	block := func(kind uint32, body []byte) []byte {
		body = append(body, make([]byte, (4-len(body)%4)%4)...)
		size := uint32(12 + len(body))
		b := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, kind), size)
		return binary.LittleEndian.AppendUint32(append(b, body...), size)
	}
	file, _ := hex.DecodeString("4d3c2b1a01000000ffffffffffffffff")
	file = block(0x0a0d0d0a, file)
	for _, link := range []byte{101, 1} {
		file = append(file, block(1, []byte{link, 0, 0, 0, 0, 0, 4, 0})...)
	}
	for i, p := range [][]byte{intermediate(), liveness(), lastWords(), lastWords()} {
		if i%2 == 1 {
			p = slices.Concat(bytes.Repeat([]byte{2}, 12), []byte{8, 0}, p)
		}
		var body []byte
		for _, v := range []uint32{uint32(i % 2), 0, uint32(i), uint32(len(p)), uint32(len(p))} {
			body = binary.LittleEndian.AppendUint32(body, v)
		}
		file = append(file, block(6, append(body, p...))...)
	}
	return file
}

func bothInterfacesAreRead(t *testing.T) {
	listHas(t, twoLinkTypes(), "IKE_INTERMEDIATE", "MID=00", "MID=02", "MID=02")
}

func tcpdumpStops(t *testing.T) {
	ofBranch(t, "tcpdump", " 4.99.")
	file := saved(t, twoLinkTypes())
	out, code := call(t, "tcpdump", "-nr", file)
	if code == 0 || !strings.Contains(out, "different from the type of the first interface") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func tcpdumpCallsParent(t *testing.T) {
	toolSays(t, "isakmp: parent_sa", "tcpdump", "-nr", saved(t, tunnelFile(liveness())))
}

// fragmented is one message of 1,500 bytes over IPv6, in two pieces.
func fragmented() []byte {
	return tunnelFile(ipv6Fragments(udp(500, ikeMessage(35, 0x08, 1, 1500)))...)
}

func fragmentsAreCaught(t *testing.T) {
	listHas(t, fragmented(), "IKE_AUTH MID=01 Initiator Request [reassembled from frames 1, 2]")
	l := newTestLab(t, "ipv6")
	r := moncap(t, "plan", "demo", "-i", l.inventory)
	if !strings.Contains(r.stdout, "permit udp host ") || regexp.MustCompile(`permit udp .* eq `).MatchString(r.stdout) {
		t.Errorf("the filter names ports, or there is none:\n%s", r.stdout)
	}
}

func tcpdumpMissesFragments(t *testing.T) {
	ofBranch(t, "tcpdump", " 4.99.")
	for filter, want := range map[string]int{"udp port 500": 0, "udp": 2} {
		out, _ := call(t, "tcpdump", "-nr", saved(t, fragmented()), filter)
		if n := strings.Count(out, "2001:db8::1 > "); n != want {
			t.Errorf("%q takes %d of 2\n%s", filter, n, out)
		}
	}
}

// oneSPI is ESP in both directions, nothing lost, under the same SPI.
func oneSPI() []byte {
	var all [][]byte
	for i := range uint32(4) {
		all = append(all, ipv4(gatewayA, gatewayB, 50, espPacket(1+i)), ipv4(gatewayB, gatewayA, 50, espPacket(101+i)))
	}
	return tunnelFile(all...)
}

func espPacket(seq uint32) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0, 0, 0x10, 1}, seq), make([]byte, 64)...)
}

func noLossOfOneSPI(t *testing.T) {
	r := moncap(t, "analyze", saved(t, oneSPI()), "--format", "json")
	if strings.Contains(r.stdout, `"esp-`) {
		t.Errorf("a finding about ESP:\n%s", r.stdout)
	}
	if !strings.Contains(r.stdout, `"established"`) {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

func tsharkMixesSPIs(t *testing.T) {
	toolSays(t, "Wrong Sequence Number for SPI 00001001", "tshark", "-r", saved(t, oneSPI()), "-q", "-z", "expert")
}

func scapySaysESP(t *testing.T) {
	script := "import sys\nfrom scapy.all import conf, rdpcap\nprint(conf.version, rdpcap(sys.argv[1])[0].summary())\n"
	out, code := call(t, "python3", "-c", script, saved(t, tunnelFile(intermediate())))
	if code != 0 || !strings.Contains(out, "2.5.0 ") {
		t.Skip("no scapy 2.5.0")
	}
	if !strings.Contains(out, "/ ESP") {
		t.Errorf("scapy: %s", out)
	}
}

func everyPointEnds(t *testing.T) {
	l := newTestLab(t, "healthy")
	plan := moncap(t, "plan", "demo", "-i", l.inventory).stdout
	limits := strings.Count(plan, " limit duration ")
	if limits == 0 || limits != strings.Count(plan, " limit ") {
		t.Errorf("a capture point without an end:\n%s", plan)
	}
	if r := moncap(t, "run", "demo", "-i", l.inventory, "--duration", "1s", "--out",
		filepath.Join(l.dir, "run")); len(l.dirty()) != 0 {
		t.Errorf("left on %v\n%s", l.dirty(), r.stderr)
	}
}

// ciscodumpLeaves kills it in mid-capture.
func ciscodumpLeaves(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ciscodump is looked for where Debian has it")
	}
	found, err := filepath.Glob("/usr/lib/*/wireshark/extcap/ciscodump")
	if err != nil || len(found) == 0 {
		t.Skip("ciscodump is not installed")
	}
	wireshark40(t)
	l := newTestLab(t, "healthy")
	host, port, err := net.SplitHostPort(l.routers[0].Addr())
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), found[0], "--capture", "--extcap-interface=ciscodump",
		"--fifo="+filepath.Join(t.TempDir(), "out"),
		"--remote-host="+host, "--remote-port="+port, "--remote-username="+labUser, "--remote-password="+labPassword,
		"--remote-interface=GigabitEthernet1", "--remote-count=1000", "--remote-filter=permit udp any any")
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	made := func() bool {
		return len(l.routers[0].CapturePoints()) == 1 && strings.Contains(l.routers[0].RunningConfig(), "WSC_ACL")
	}
	for deadline := time.Now().Add(tooLong); !made() && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if !made() {
		t.Errorf("points %v\n%s", l.routers[0].CapturePoints(), l.routers[0].RunningConfig())
	}
}
