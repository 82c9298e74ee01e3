package main

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/device/inventory"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// keyTable is the name that Wireshark gives the file in its folder of preferences.
const keyTable = "ikev2_decryption_table"

// keyAlgorithms are the names of algorithms as Wireshark's table has them; it takes no others.
var keyAlgorithms = []string{
	"3DES [RFC2451]", "AES-CBC-128 [RFC3602]", "AES-CBC-192 [RFC3602]", "AES-CBC-256 [RFC3602]", "NULL [RFC2410]",
	"AES-GCM-128 with 8 octet ICV [RFC5282]", "AES-GCM-192 with 8 octet ICV [RFC5282]",
	"AES-GCM-256 with 8 octet ICV [RFC5282]",
	"AES-GCM-128 with 12 octet ICV [RFC5282]", "AES-GCM-192 with 12 octet ICV [RFC5282]",
	"AES-GCM-256 with 12 octet ICV [RFC5282]",
	"AES-GCM-128 with 16 octet ICV [RFC5282]", "AES-GCM-192 with 16 octet ICV [RFC5282]",
	"AES-GCM-256 with 16 octet ICV [RFC5282]",
	"HMAC_MD5_96 [RFC2403]", "HMAC_SHA1_96 [RFC2404]", "HMAC_MD5_128 [RFC4595]", "HMAC_SHA1_160 [RFC4595]",
	"HMAC_SHA2_256_96 [draft-ietf-ipsec-ciph-sha-256-00]", "HMAC_SHA2_256_128 [RFC4868]", "HMAC_SHA2_384_192 [RFC4868]",
	"HMAC_SHA2_512_256 [RFC4868]", "NONE [RFC4306]",
}

var keyNoise = lazyregexp.New(`\s*\[.*\]|[\s_-]`)

func keyAlgorithm(given string) string {
	plain := func(s string) string { return strings.ToLower(keyNoise.Get().ReplaceAllString(s, "")) }
	for _, known := range keyAlgorithms {
		if plain(known) == plain(given) {
			return known
		}
	}
	return strings.TrimSpace(given)
}

// maxKeyTable bounds a table of keys: a line of it has some hundred bytes.
const maxKeyTable = 16 << 20

// writeKeys puts the keys of those IKE SAs that the report shows into a folder beside the pcapng
// file, as a preference file of Wireshark, and says how to use it. The keys were checked when the
// captures were compared.
func (a *app) writeKeys(d document, pcapng string) error {
	source, err := inventory.ReadRegular(d.keys, maxKeyTable, nil)
	if err != nil {
		return err
	}
	table, n := keysOf(string(source), d.report)
	if n == 0 {
		a.progress("keys: %s has none of an IKE SA in these captures, so no companion file was written", d.keys)
		return nil
	}
	folder := pcapng + ".keys"
	if err := errors.Join(os.MkdirAll(folder, 0o700),
		os.WriteFile(filepath.Join(folder, keyTable), []byte(table), 0o600)); err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	a.progress("keys: %s; open both with  WIRESHARK_CONFIG_DIR=%s wireshark %s  or copy the file into your "+
		"Wireshark profile", filepath.Join(folder, keyTable), shellWord(folder), shellWord(pcapng))
	return nil
}

// keysOf are the lines of a key table that are about conversations of r, in Wireshark's own form,
// and how many there are.
func keysOf(source string, r *report.Report) (table string, n int) {
	wanted := map[string]bool{}
	for _, c := range r.Conversations {
		wanted[c.SPIi+c.SPIr] = true
	}
	var b strings.Builder
	for line := range strings.Lines(source) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		f, err := csv.NewReader(strings.NewReader(line)).Read()
		if err != nil || len(f) != 8 {
			continue
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
			if i != 4 && i != 7 {
				f[i] = strings.ToLower(strings.TrimPrefix(f[i], "0x"))
			}
		}
		if !wanted[f[0]+f[1]] {
			continue
		}
		n++
		fmt.Fprintf(&b, "%s,%s,%s,%s,%q,%s,%s,%q\n", f[0], f[1], f[2], f[3], keyAlgorithm(f[4]), f[5], f[6],
			keyAlgorithm(f[7]))
	}
	return b.String(), n
}

var plainWord = lazyregexp.New(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shellWord quotes a word for a shell where that is needed.
func shellWord(s string) string {
	if plainWord.Get().MatchString(s) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
