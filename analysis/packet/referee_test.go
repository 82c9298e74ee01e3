package packet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moncap/moncap/testdata"
)

// refereeFields are what tshark is asked for, in the order of a verdict's fields.
var refereeFields = []string{
	"frame.protocols", "ip.src", "ipv6.src", "udp.srcport", "udp.dstport", "esp.spi", "esp.sequence",
	"isakmp.exchangetype", "isakmp.messageid", "isakmp.flags", "isakmp.ispi", "isakmp.rspi", "isakmp.length",
	"isakmp.typepayload", "isakmp.tf.type", "isakmp.tf.id.encr", "isakmp.tf.id.prf", "isakmp.tf.id.integ",
	"isakmp.tf.id.dh", "isakmp.tf.id.esn", "isakmp.trans.id", "isakmp.notify.msgtype", "_ws.malformed",
	"isakmp.prop.number", "isakmp.prop.protoid", "isakmp.trans.number", "isakmp.ike2.attr.key_length",
	"isakmp.key_exchange.dh_group",
	"isakmp.frag.number", "isakmp.frag.total", "isakmp.id.type", "isakmp.auth.method", "isakmp.cert.encoding",
	"isakmp.delete.protoid",
	"isakmp.notify.data.accepted_dh_group", "isakmp.notify.data.signature_hash_algorithms", "isakmp.cfg.type",
	"isakmp.ts.number",
	"isakmp.vid_bytes", "isakmp.nonce", "isakmp.version", "isakmp.ts.start_ipv4", "isakmp.ts.end_ipv4",
	"isakmp.ts.start_ipv6", "isakmp.ike.attr.type", "isakmp.ipsec.attr.type", "isakmp.criticalpayload",
}

// verdict is what tshark says of one frame: the values of each field.
type verdict map[string][]string

func (v verdict) has(protocol string) bool {
	return len(v["frame.protocols"]) > 0 && strings.Contains(":"+v["frame.protocols"][0]+":", ":"+protocol+":")
}

// number returns the first value of a field: those of a quoted packet come later.
func (v verdict) number(field string) uint64 {
	values := v[field]
	if len(values) == 0 {
		return 0
	}
	n, _ := strconv.ParseUint(values[0], 0, 64)
	return n
}

// askTshark returns a verdict a frame.
func askTshark(t testing.TB, file []byte, options ...string) []verdict {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-n", "-r", path, "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;", "-E",
		"separator=|"}, options...)
	for _, f := range refereeFields {
		args = append(args, "-e", f)
	}
	cmd := exec.CommandContext(t.Context(), "tshark", args...)
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+t.TempDir())
	out, err := cmd.Output()
	if err != nil && len(out) == 0 {
		t.Fatalf("tshark: %v", err)
	}
	var all []verdict
	for line := range strings.Lines(string(out)) {
		v := verdict{}
		for i, text := range strings.Split(strings.TrimSuffix(line, "\n"), "|") {
			if text != "" {
				v[refereeFields[i]] = strings.Split(text, ";")
			}
		}
		all = append(all, v)
	}
	return all
}

// captures returns the incidents and, where they are, the public captures, by a name.
func captures(t testing.TB) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	incidents, err := testdata.List()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range incidents {
		all[i.Name+"/a"] = i.A
		if !bytes.Equal(i.A, i.B) {
			all[i.Name+"/b"] = i.B
		}
	}
	dir := os.DirFS(filepath.Join("..", "..", "..", "shared", "corpus"))
	names, err := fs.Glob(dir, "*.pcap*")
	if err != nil {
		t.Fatal(err)
	}
	if len(names) == 0 {
		t.Log("../shared/corpus is absent: only the incidents are compared")
	}
	for _, n := range names {
		if all[n], err = fs.ReadFile(dir, n); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// quotesIPv6 says whether there is IPv6 inside of the ICMPv6 of a stack of protocols.
func quotesIPv6(protocols string) bool {
	_, inside, _ := strings.Cut(protocols, "icmpv6")
	return strings.Contains(inside, "ipv6")
}

func needTshark(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Skip("tshark is not installed")
	}
}

// differ names a frame that tshark reads otherwise, and says why ours is right.
var differ = map[string]string{
	"tcpdump__isakmp-delete-segfault.pcap frame 1": "version 11.14: tshark names no exchange and stops; the header's " +
		"bytes are where every version has them",
	"tcpdump__isakmp-ikev1_n_print-oobr.pcap frame 3": "a length of 620 MB: tshark leaves a length out that it calls " +
		"too large",
	"tcpdump__isakmp-various-oobr.pcap frame 1": "a length of 2 GB, in a message that the snap length cut: tshark " +
		"leaves it out",
	"tcpdump__isakmp-pointer-loop.pcap frame 1": "an initiator SPI of zero on port 500: tshark leaves such a message to " +
		"no dissector; tcpdump, whose test it is, reads it",
}

func TestTsharkIsTheReferee(t *testing.T) {
	needTshark(t)
	files := captures(t)
	merged := &ngFile{order: binary.LittleEndian}
	merged.section()
	var order []string
	frames := 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if addFile(t, merged, files[name]) {
			order = append(order, name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			verdicts := askTshark(t, files[name])
			frames += len(verdicts)
			compareFile(t, name, files[name], verdicts)
		})
	}
	verdicts := askTshark(t, merged.b)
	frames += len(verdicts)
	for _, name := range order {
		t.Run(name, func(t *testing.T) {
			verdicts = verdicts[compareFile(t, name, files[name], verdicts):]
		})
	}
	if len(verdicts) > 0 || frames < 200 {
		t.Errorf("%d frames were compared, tshark sees %d more", frames, len(verdicts))
	}
	t.Logf("%d frames compared", frames)
}

// addFile appends a file's packets to one that tshark reads all at once, since starting it takes
// longer than reading. Files with IP fragments stay alone: both sides of an incident have fragments
// of the same identification.
func addFile(t *testing.T, merged *ngFile, file []byte) bool {
	all, _ := readAll(t, file)
	if slices.ContainsFunc(all, func(p Packet) bool { return p.IsFragment }) {
		return false
	}
	merged.section()
	for i := range all {
		if i == 0 {
			merged.iface(all[0].Link, 0, 9, 0)
		}
		merged.captured(0, uint64(all[i].Nanos), all[i].Raw, all[i].WireLen)
	}
	return true
}

func compareFile(t *testing.T, name string, file []byte, verdicts []verdict) int {
	r, err := NewReader(bytes.NewReader(file), Options{CutFirst: true})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for p, err := range All(r) {
		if err != nil {
			t.Fatal(err)
		}
		if n++; n > len(verdicts) {
			t.Fatalf("tshark sees %d frames, and here are more", len(verdicts))
		}
		differences := compareFrame(p, verdicts[n-1])
		reason, known := differ[fmt.Sprintf("%s frame %d", name, n)]
		if known != (len(differences) > 0) {
			t.Errorf("frame %d: reason %q; differences:\n%s", n, reason, strings.Join(differences, "\n"))
		}
	}
	return n
}

// compareFrame says in which fields p is not what tshark says it is.
func compareFrame(p *Packet, v verdict) []string {
	var out []string
	check := func(field string, ours any, theirs any) {
		if fmt.Sprint(ours) != fmt.Sprint(theirs) {
			out = append(out, fmt.Sprintf("  %s: ours %v, tshark %v", field, ours, theirs))
		}
	}
	check("is ICMP error", p.Kind == ICMP, v.has("icmp") && v.has("ip") &&
		strings.Count(v["frame.protocols"][0], "ip") > 1 || v.has("icmpv6") && quotesIPv6(v["frame.protocols"][0]))
	if src := append(v["ip.src"], v["ipv6.src"]...); len(src) > 0 {
		check("source", p.Src, src[0])
	}
	if p.Kind == ICMP {
		return out
	}
	check("is IKE", p.Kind == IKE, v.has("isakmp") && !(p.Kind == Keepalive))
	check("is ESP", p.Kind == ESP, v.has("esp"))
	if p.SrcPort != 0 && v.has("udp") {
		check("ports", [2]uint64{uint64(p.SrcPort), uint64(p.DstPort)},
			[2]uint64{v.number("udp.srcport"), v.number("udp.dstport")})
	}
	switch p.Kind {
	case ESP:
		check("ESP SPI", p.SPI, v.number("esp.spi"))
		check("ESP sequence number", p.Seq, v.number("esp.sequence"))
	case IKE:
		out = append(out, compareIKE(p, v)...)
	}
	return out
}
