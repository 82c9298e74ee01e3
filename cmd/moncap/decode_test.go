package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/moncap/moncap/testdata"
)

// decodeOutput runs moncap decode on a file from stdin.
func decodeOutput(t *testing.T, file []byte, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), environment{
		args: append([]string{"decode", "-"}, args...), stdin: bytes.NewReader(file), stdout: &out, stderr: &errs,
		getenv: func(string) string { return "" }, width: func() int { return 80 },
	})
	return out.String(), errs.String(), code
}

func incident(t *testing.T, name string) testdata.Incident {
	t.Helper()
	i, err := testdata.Load(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestDecodeListsLikeWireshark(t *testing.T) {
	out, _, code := decodeOutput(t, incident(t, "psk-mismatch").A)
	if code != exitOK {
		t.Fatalf("exit code %d", code)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	want := []string{
		"IKE_SA_INIT MID=00 Initiator Request", "IKE_SA_INIT MID=00 Responder Response",
		"IKE_AUTH MID=01 Initiator Request", "IKE_AUTH MID=01 Responder Response",
	}
	if len(lines) != 1+len(want) ||
		strings.Join(strings.Fields(lines[0]), " ") != "No. Time Source Destination Protocol Length Info" {
		t.Fatalf("list:\n%s", out)
	}
	for i, info := range want {
		f := strings.Fields(lines[i+1])
		if f[0] != fmt.Sprint(i+1) || f[4] != "ISAKMP" || !strings.HasSuffix(lines[i+1], info) {
			t.Errorf("line %d: %s", i+1, lines[i+1])
		}
		if source := []string{"192.168.1.1", "192.168.2.1"}[i%2]; f[2] != source {
			t.Errorf("line %d: source %s", i+1, f[2])
		}
	}
}

func TestDecodeTreeShowsEveryPayload(t *testing.T) {
	out, _, _ := decodeOutput(t, incident(t, "ike-proposal-mismatch").A, "-V")
	for _, want := range []string{
		"Initiator SPI: 2b913a7d7ba9f5bd", "Payload: SA (33), 48 bytes at 28",
		"Transform ENCR (1): ENCR_AES_CBC (12), key length 256",
		"Payload: KE (34)", "NAT_DETECTION_SOURCE_IP (16388)", "NO_PROPOSAL_CHOSEN (14)", "Flags: 0x20, responder, response",
		"Time to live: 64",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the tree has no %q:\n%s", want, out)
		}
	}
}

// object is a packet in JSON as the design promises it.
type object struct {
	Frame                int
	Time, Src, Dst       string
	Sport, Dport, Length int
	Protocol, Info       string
	Fragments            []int
	IKE                  *struct {
		Version   string
		SPIi      string `json:"spi_i"`
		SPIr      string `json:"spi_r"`
		Exchange  int
		Name      string `json:"exchange_name"`
		Flags     int
		MessageID int `json:"message_id"`
		Length    int
		Payloads  []map[string]any
		Malformed []struct {
			Offset int
			Reason string
		}
	}
	ESP *struct {
		SPI          string
		Seq          int
		Encapsulated *bool `json:"udp_encapsulated"`
	}
}

func objects(t *testing.T, ndjson string) []object {
	t.Helper()
	var all []object
	for line := range strings.Lines(ndjson) {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, o)
	}
	return all
}

func TestDecodeNDJSON(t *testing.T) {
	out, _, _ := decodeOutput(t, incident(t, "ike-proposal-mismatch").A, "--format", "ndjson")
	all := objects(t, out)
	if len(all) != 2 {
		t.Fatalf("%d objects", len(all))
	}
	o := all[0]
	if o.Frame != 1 || o.Src != "192.168.1.1" || o.Dst != "192.168.2.1" || o.Sport != 500 || o.Dport != 500 ||
		o.Length != 506 || o.Protocol != "IKE" || o.Info != "IKE_SA_INIT MID=00 Initiator Request" ||
		len(o.Time) != len("2026-11-23T15:52:58.476392000Z") {
		t.Errorf("%+v", o)
	}
	m := o.IKE
	if m == nil || m.Version != "2.0" || m.SPIi != "2b913a7d7ba9f5bd" || m.SPIr != strings.Repeat("0", 16) ||
		m.Exchange != 34 ||
		m.Name != "IKE_SA_INIT" || m.Flags != 8 || m.MessageID != 0 || m.Length != 464 {
		t.Fatalf("%+v", m)
	}
	var chain []string
	for _, p := range m.Payloads {
		chain = append(chain, fmt.Sprintf("%v %v", p["type"], p["name"]))
	}
	if got := strings.Join(chain, ", "); got != "33 SA, 34 KE, 40 Nonce, 41 N, 41 N, 41 N, 41 N, 41 N" {
		t.Errorf("chain %s", got)
	}
}

func TestDecodeJSONIsOneArray(t *testing.T) {
	for _, filter := range []string{"", "ike.version == 1"} {
		out, _, _ := decodeOutput(t, incident(t, "esp-blocked-a-to-b").A, "--format", "json", "--filter", filter)
		var all []object
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		esp := 0
		for _, o := range all {
			if o.Protocol == "ESP" && o.ESP != nil && strings.HasPrefix(o.ESP.SPI, "0x") && o.ESP.Encapsulated != nil {
				esp++
			}
		}
		if want := map[string]int{"": 40}[filter]; esp != want {
			t.Errorf("filter %q: %d ESP packets, want %d", filter, esp, want)
		}
	}
}

func TestDecodeNamesTheFragmentsOfAMessage(t *testing.T) {
	out, _, _ := decodeOutput(t, incident(t, "ip-fragments-lost").A, "--format", "ndjson")
	all := objects(t, out)
	whole := all[3]
	if all[2].IKE != nil || all[2].Protocol != "other" || whole.IKE == nil || fmt.Sprint(whole.Fragments) != "[3 4]" {
		t.Errorf("%+v\n%+v", all[2], whole)
	}
}

func TestDecodeCount(t *testing.T) {
	out, _, _ := decodeOutput(t, incident(t, "esp-blocked-a-to-b").A, "--format", "ndjson", "-c", "3", "--filter", "esp")
	if got := len(objects(t, out)); got != 3 {
		t.Errorf("%d packets", got)
	}
}

// A capture that is still going on is shown as far as it came, in every form, while its pipe is
// open.
func TestDecodeShowsWhatCameSoFar(t *testing.T) {
	file := incident(t, "healthy").A
	for _, args := range [][]string{{}, {"-V"}, {"--format", "ndjson"}, {"--format", "json"}} {
		in, writer := io.Pipe()
		seen, out := io.Pipe()
		done := make(chan int)
		go func() {
			code := run(t.Context(), environment{args: append([]string{"decode", "-"}, args...), stdin: in, stdout: out,
				stderr: io.Discard, getenv: func(string) string { return "" }, width: func() int { return 0 }})
			_ = out.Close()
			done <- code
		}()
		const globalHeader, recordHeader, lengthAt = 24, 16, 8
		first := globalHeader + recordHeader + int(binary.LittleEndian.Uint32(file[globalHeader+lengthAt:]))
		go func() { _, _ = writer.Write(file[:first]) }()
		// The first word comes without the rest of the file, or this waits for good.
		word := make([]byte, 1)
		if n, err := seen.Read(word); n != 1 || err != nil {
			t.Fatalf("%q: %d bytes, %v", args, n, err)
		}
		go func() {
			_, _ = writer.Write(file[first:])
			_ = writer.Close()
		}()
		rest, err := io.ReadAll(seen)
		if code := <-done; code != exitOK || err != nil || !strings.Contains(string(word)+string(rest), "IKE_AUTH") {
			t.Errorf("%q: exit %d, %v\n%s", args, code, err, rest)
		}
	}
}

func TestDecodeSaysWhatIsDamaged(t *testing.T) {
	file := incident(t, "healthy").A
	out, errs, code := decodeOutput(t, file[:len(file)-5])
	if code != exitFailed || !strings.Contains(errs, "ends inside") || !strings.Contains(errs, "fetch or copy") ||
		strings.Count(out, "\n") != 4 {
		t.Errorf("exit code %d, %q\n%s", code, errs, out)
	}
	for _, args := range [][]string{{"--stats"}, {"--format", "json"}, {"-Y", "esp"}} {
		if _, errs, code = decodeOutput(t, file[:len(file)-5], args...); code != exitFailed {
			t.Errorf("%q: exit code %d, %q", args, code, errs)
		}
	}
	// What is damaged behind the last packet that was wanted was not read.
	if _, errs, code = decodeOutput(t, file[:len(file)-5], "-c", "1"); code != exitOK || errs != "" {
		t.Errorf("exit code %d, %q", code, errs)
	}
	_, errs, code = decodeOutput(t, []byte("not a capture"))
	if code != exitUsage || !strings.Contains(errs, "neither pcap") {
		t.Errorf("exit code %d, %q", code, errs)
	}
}

// rawIP makes a pcap file of one UDP datagram.
func rawIP(payload []byte) []byte {
	b, _ := hex.DecodeString("d4c3b2a1020004000000000000000000ffff000065000000" + "00000000" + "00000000")
	n := uint32(28 + len(payload))
	b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, n), n)
	b = append(b, 0x45, 0, byte(n>>8), byte(n), 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2)
	b = append(b, 1, 0xf4, 1, 0xf4, byte((n-20)>>8), byte(n-20), 0, 0)
	return append(b, payload...)
}

// Text from packets must not reach the terminal as control characters, in any form of the output.
func TestDecodeShowsNoControlCharacters(t *testing.T) {
	evil := "\x1b]0;owned\x07\x1b[31m\u009b31m\u202e" + "end"
	// aggressive mode, ID
	b, _ := hex.DecodeString("0102030405060708" + "0000000000000000" + "05100400" + "00000000" + "00000000")
	id := append([]byte{0, 0, 0, byte(8 + len(evil)), 2, 17, 1, 0xf4}, evil...)
	b = append(b, id...)
	binary.BigEndian.PutUint32(b[24:], uint32(len(b)))
	for _, args := range [][]string{nil, {"-V"}, {"-V", "-x"}, {"--format", "json"}, {"--format", "ndjson"}} {
		out, _, code := decodeOutput(t, rawIP(b), args...)
		if code != exitOK || !strings.Contains(out, "Aggressive") {
			t.Errorf("%v: exit code %d: %s", args, code, out)
		}
		if i := strings.IndexFunc(out,
			func(r rune) bool { return r != '\n' && (r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e') }); i >= 0 {
			t.Errorf("%v: control character at %d in %q", args, i, out)
		}
	}
}

func TestDecodeMarksMalformedMessages(t *testing.T) {
	file := incident(t, "ike-proposal-mismatch").B
	at := bytes.Index(file, []byte{0x22, 0, 0, 0x30}) // the SA payload: next KE, 48 bytes
	if at < 0 {
		t.Fatal("no SA payload of 48 bytes")
	}
	file = bytes.Clone(file)
	file[at+2] = 0x7f
	out, _, _ := decodeOutput(t, file, "--format", "ndjson", "--filter", "malformed")
	all := objects(t, out)
	if len(all) != 1 || len(all[0].IKE.Malformed) == 0 || all[0].IKE.Malformed[0].Offset != 30 ||
		all[0].IKE.Malformed[0].Reason == "" {
		t.Errorf("%s", out)
	}
}

func TestDecodeWithKeys(t *testing.T) {
	keys := filepath.Join("..", "..", "testdata", "incidents", "ike-fragmentation", "ikev2_decryption_table")
	out, errs, code := decodeOutput(t, incident(t, "ike-fragmentation").A, "--format", "ndjson", "--keys", keys)
	if code != exitOK {
		t.Fatalf("exit code %d: %s", code, errs)
	}
	var inner []string
	states := map[string]int{}
	for _, o := range objects(t, out) {
		for _, p := range o.IKE.Payloads {
			if state, ok := p["decryption"].(string); ok {
				states[state]++
			}
			list, _ := p["payloads"].([]any)
			for _, i := range list {
				inner = append(inner, fmt.Sprint(i.(map[string]any)["name"]))
			}
		}
	}
	if states["done"] == 0 || len(states) != 2 || !slices.Contains(inner, "IDi") || !slices.Contains(inner, "AUTH") ||
		!slices.Contains(inner, "TSr") {
		t.Errorf("states %v, inner payloads %v", states, inner)
	}
	out, _, _ = decodeOutput(t, incident(t, "ike-fragmentation").A, "-V", "--keys", keys)
	if !strings.Contains(out, "Decrypted: ") || !strings.Contains(out, "Payload: TSi (44)") {
		t.Errorf("the tree shows nothing that was decrypted:\n%s", out)
	}
	out, _, _ = decodeOutput(t, incident(t, "ike-fragmentation").A, "--format", "ndjson", "--keys", keys, "--filter",
		"ike.payload == IDi")
	if n := len(objects(t, out)); n != 1 {
		t.Errorf("the filter finds %d messages by an inner payload, want 1", n)
	}
}

func TestDecodeWithWrongKeys(t *testing.T) {
	_, errs, code := decodeOutput(t, incident(t, "healthy").A, "--keys", filepath.Join("..", "..", "go.mod"))
	if code != exitUsage || !strings.Contains(errs, "line 1") {
		t.Errorf("exit code %d: %s", code, errs)
	}
}

func TestDecodeSaysWhatEncryptedPayloadsHold(t *testing.T) {
	out, _, _ := decodeOutput(t, incident(t, "psk-mismatch").A, "--format", "ndjson")
	last := objects(t, out)[3].IKE.Payloads[0]
	low, okLow := last["plaintext_min"].(float64)
	high, okHigh := last["plaintext_max"].(float64)
	if !okLow || !okHigh || low > 8 || high < 8 || high-low > 16 {
		t.Errorf("an AUTHENTICATION_FAILED takes 8 bytes: %v", last)
	}
}

func TestDecodeChecksNATDetection(t *testing.T) {
	i := incident(t, "nat")
	for side, c := range map[string]struct {
		file []byte
		want string
	}{"A": {i.A, "true"}, "B": {i.B, "false"}} {
		out, _, _ := decodeOutput(t, c.file, "--format", "ndjson", "-c", "1")
		for _, p := range objects(t, out)[0].IKE.Payloads {
			if p["notify_name"] == "NAT_DETECTION_SOURCE_IP" && fmt.Sprint(p["matches_packet"]) != c.want {
				t.Errorf("side %s: matches_packet %v, want %s", side, p["matches_packet"], c.want)
			}
		}
	}
	out, _, _ := decodeOutput(t, i.B, "-V", "-c", "1", "--nat-search")
	if !strings.Contains(out, "Is the hash of "+testdata.A4.String()+":500") {
		t.Errorf("the private address was not found:\n%s", out)
	}
}

func TestDecodeChecksNATDetectionOfIKEv1(t *testing.T) {
	out, _, _ := decodeOutput(t, incident(t, "ikev1-main-mode").A, "--format", "ndjson", "--filter",
		"ike.payload == NAT-D")
	seen := 0
	for _, o := range objects(t, out) {
		for _, p := range o.IKE.Payloads {
			if p["name"] == "NAT-D" {
				seen++
				if p["matches_packet"] != true {
					t.Errorf("frame %d: %v", o.Frame, p)
				}
			}
		}
	}
	if seen != 4 {
		t.Errorf("%d NAT-D payloads, want 4", seen)
	}
}

func TestDecodeWithKeysOfIKEv1(t *testing.T) {
	keys := filepath.Join("..", "..", "testdata", "incidents", "ikev1-main-mode", "ikev1_decryption_table")
	out, errs, code := decodeOutput(t, incident(t, "ikev1-main-mode").A, "-V", "--keys", keys)
	if code != exitOK || !strings.Contains(out, "ID_IPV4_ADDR_SUBNET: 10.2.0.0/255.255.255.0") ||
		strings.Contains(out, "makes no sense") {
		t.Errorf("exit code %d: %s\n%s", code, errs, out)
	}
}

// A message in Cisco's fragments is shown whole with the fragment that completes it, in every form.
func TestDecodeAssemblesFragmentsOfIKEv1(t *testing.T) {
	message := func(next, exchange byte, payload ...byte) []byte {
		b, _ := hex.DecodeString("01020304050607080910111213141516")
		b = append(b, next, 0x10, exchange, 0, 0, 0, 0, 0, 0, 0, 0, byte(28+len(payload)))
		return append(b, payload...)
	}
	whole := message(13, 2, append([]byte{0, 0, 0, 12}, "CISCO-XY"...)...)
	fragment := func(part, last byte, data []byte) []byte {
		return message(132, 2, append([]byte{0, 0, 0, byte(8 + len(data)), 0, 1, part, last}, data...)...)
	}
	file := append(rawIP(fragment(2, 1, whole[20:])), rawIP(fragment(1, 0, whole[:20]))[24:]...)
	out, _, code := decodeOutput(t, file, "--format", "ndjson", "--filter", "ike.payload == VID")
	all := objects(t, out)
	if code != exitOK || len(all) != 1 || all[0].Frame != 2 {
		t.Fatalf("exit code %d: %s", code, out)
	}
	p := all[0].IKE.Payloads[0]
	inner, _ := p["message"].(map[string]any)
	if p["name"] != "FRAG" || fmt.Sprint(p["fragments"]) != "[1 2]" || inner["exchange"] != float64(2) ||
		!strings.Contains(fmt.Sprint(inner["payloads"]), "vendor:Cisco") {
		t.Errorf("%v", p)
	}
	out, _, _ = decodeOutput(t, file, "-V")
	if !strings.Contains(out, "[Completes the message of frames 1, 2: 40 bytes]") ||
		strings.Count(out, "Payload: VID (13)") != 1 {
		t.Errorf("%s", out)
	}
}

// A sender that fills AEAD plaintext up to a multiple of eight is known by its empty messages; from
// then on the range is exact to that, not to fifteen bytes.
func TestDecodeLearnsThePaddingHabit(t *testing.T) {
	message := func(next, exchange, flags byte, payload []byte) []byte {
		b, _ := hex.DecodeString("01020304050607080910111213141516")
		b = append(b, next, 0x20, exchange, flags, 0, 0, 0, 0, 0, 0, 0, byte(28+len(payload)))
		return append(b, payload...)
	}
	selection, _ := hex.DecodeString("00000028" + "00000024" + "01010003" + "0300000c01000014800e0100" +
		"0300000802000005" + "000000080400000e")
	file := rawIP(message(33, 34, 0x20, selection)) // AES-GCM-16
	for _, sk := range []struct{ first, ciphertext byte }{{42, 16}, {0, 8}, {42, 16}, {0, 16}} {
		n := 4 + 8 + sk.ciphertext + 16
		payload := append([]byte{sk.first, 0, 0, n}, make([]byte, n-4)...)
		file = append(file, rawIP(message(46, 37, 8, payload))[24:]...)
	}
	out, _, _ := decodeOutput(t, file, "--format", "ndjson", "--filter", "encrypted")
	var got []string
	for _, o := range objects(t, out) {
		got = append(got, fmt.Sprint(o.IKE.Payloads[0]["plaintext_min"], "-", o.IKE.Payloads[0]["plaintext_max"]))
	}
	// Not known; an empty message of 8 bytes; 16 bytes are then 8 to 15 of payloads.
	if want := []string{"0-15", "0-0", "8-15", "0-0"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestDecodeStats(t *testing.T) {
	file := incident(t, "esp-blocked-a-to-b").A
	out, _, code := decodeOutput(t, file, "--stats")
	if code != exitOK || !strings.HasPrefix(out, "48 packets, ") {
		t.Fatalf("exit code %d: %s", code, out)
	}
	for _, want := range []string{"40  ESP", "4  IKE", "2  IKE_SA_INIT", "2  IKE_AUTH", "2  SK (46)", "2  SA (33)"} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("no line %q in\n%s", want, out)
		}
	}
	out, _, _ = decodeOutput(t, file, "--stats", "--format", "json")
	var o struct {
		Packets   int
		Exchanges []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(out), &o); err != nil || o.Packets != 48 || len(o.Exchanges) != 2 {
		t.Errorf("%v in %s", err, out)
	}
	if _, _, code = decodeOutput(t, file, "--stats", "--filter", "ike"); code != exitUsage {
		t.Errorf("--stats with --filter gives exit code %d", code)
	}
}

// Whatever a message holds, every form of the output is well-formed and free of control characters.
func FuzzDecode(f *testing.F) {
	incidents, err := testdata.List()
	if err != nil {
		f.Fatal(err)
	}
	for _, i := range incidents {
		if len(i.A) > 24+16+42 {
			f.Add(i.A[24+16+42 : min(len(i.A), 24+16+42+600)])
		}
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		if len(message) > 60_000 {
			return
		}
		file := rawIP(message)
		for _, args := range [][]string{{"-V"}, {"--format", "ndjson"}} {
			out, errs, code := decodeOutput(t, file, args...)
			if code != exitOK || out == "" {
				t.Fatalf("%v: exit code %d: %s", args, code, errs)
			}
			if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
				t.Fatalf("%v: control character at %d in %q", args, i, out)
			}
			if args[0] != "-V" && !json.Valid([]byte(out)) {
				t.Fatalf("no JSON: %s", out)
			}
		}
	})
}
