package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeysForWireshark writes both captures and their keys, and lets tshark decrypt them with
// nothing but the folder that was written.
func TestKeysForWireshark(t *testing.T) {
	incident := filepath.Join("..", "..", "testdata", "incidents", "nat")
	table, err := os.ReadFile(filepath.Join(incident, keyTable))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	given, out := filepath.Join(dir, "keys"), filepath.Join(dir, "both.pcapng")
	// As people write it: a comment, another SA's line, no references behind the algorithms.
	loose := strings.NewReplacer(" [RFC3602]", "", " [RFC4868]", "").Replace(string(table))
	other := "0123456789abcdef,0123456789abcdef" + loose[33:]
	if err := os.WriteFile(given, []byte("# keys\n"+other+loose), 0o600); err != nil {
		t.Fatal(err)
	}
	r := moncap(t, "analyze", filepath.Join(incident, "a.pcap"), filepath.Join(incident, "b.pcap"), "--keys", given,
		"--format", "pcapng", "-o", out)
	if r.code > exitCritical {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	written, err := os.ReadFile(filepath.Join(out+".keys", keyTable))
	if err != nil || string(written) != string(table) {
		t.Errorf("%v: the companion file is not Wireshark's:\n%s", err, written)
	}
	if info, err := os.Stat(filepath.Join(out+".keys", keyTable)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v: mode %v", err, info.Mode())
	}
	if strings.Contains(r.stderr, string(table[40:60])) {
		t.Error("a key is printed")
	}
	bin, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed")
	}
	cmd := exec.CommandContext(t.Context(), bin, "-r", out, "-V")
	cmd.Env = append(os.Environ(), "WIRESHARK_CONFIG_DIR="+out+".keys")
	shown, err := cmd.Output()
	if err != nil || strings.Count(string(shown), "Decrypted Data") != 4 {
		t.Errorf("tshark: %v: %d messages are decrypted, want IKE_AUTH's two on both sides", err,
			strings.Count(string(shown), "Decrypted Data"))
	}
}
