package ike

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/testdata"
)

func incidentV1(t *testing.T, name string) (keys *Keys, messages [][]byte) {
	t.Helper()
	table, err := fs.ReadFile(testdata.Incidents(), name+"/ikev1_decryption_table")
	if err != nil {
		t.Fatal(err)
	}
	if keys, err = ParseKeyTable(bytes.NewReader(table)); err != nil || keys.Len() != 1 {
		t.Fatal(err)
	}
	b, err := fs.ReadFile(testdata.Incidents(), name+"/a.pcap")
	if err != nil {
		t.Fatal(err)
	}
	return keys, udpPayloads(bytes.NewReader(b))
}

func openAllV1(t *testing.T, o *Opener, messages [][]byte) (chains []string, errs []error) {
	t.Helper()
	for _, b := range messages {
		m, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		in, err := o.Open(m, b)
		if in == nil {
			chains, errs = append(chains, ""), append(errs, err)
			continue
		}
		var names []string
		for _, p := range in.Payloads {
			names = append(names, PayloadName(1, p.Type()))
		}
		chains, errs = append(chains, strings.Join(names, " ")), append(errs, err)
	}
	return chains, errs
}

func TestMainModeAndQuickModeOpen(t *testing.T) {
	keys, messages := incidentV1(t, "ikev1-main-mode")
	chains, errs := openAllV1(t, NewOpener(keys), messages)
	want := []string{"", "", "", "", "ID HASH", "ID HASH", "HASH SA NONCE ID ID", "HASH SA NONCE ID ID", "HASH"}
	if !slices.Equal(chains, want) || errors.Join(errs...) != nil {
		t.Errorf("%q %v", chains, errs)
	}
	for name, c := range map[string]struct {
		messages [][]byte
		last     error
	}{
		"without the key exchange":   {messages[4:], ErrBeginning},
		"without the end of phase 1": {slices.Delete(slices.Clone(messages), 5, 6), ErrSense},
	} {
		if _, errs := openAllV1(t, NewOpener(keys), c.messages); !slices.ContainsFunc(errs,
			func(err error) bool { return errors.Is(err, c.last) }) {
			t.Errorf("%s: %v", name, errs)
		}
	}
	wrong, _ := ParseKeyTable(strings.NewReader("08da515069a9d46a," + strings.Repeat("ab", 32)))
	if chains, _ := openAllV1(t, NewOpener(wrong), messages); strings.Join(chains, "") != "" {
		t.Errorf("opened with a wrong key: %q", chains)
	}
	if _, errs := openAllV1(t, NewOpener(nil), messages); !errors.Is(errs[5], ErrNoKeys) {
		t.Errorf("%v", errs)
	}
}

// A message that is sent again is decrypted as before, and does not move the chain on.
func TestRetransmissionsOpenAgain(t *testing.T) {
	keys, messages := incidentV1(t, "ikev1-main-mode")
	var twice [][]byte
	for _, b := range messages {
		twice = append(twice, b, b)
	}
	twice = append(twice, messages[4], messages[6])
	chains, errs := openAllV1(t, NewOpener(keys), twice)
	want := []string{"ID HASH", "HASH SA NONCE ID ID"}
	if errors.Join(errs...) != nil || !slices.Equal(chains[len(chains)-2:], want) || chains[9] != "ID HASH" {
		t.Errorf("%q %v", chains, errs)
	}
}

// Every cipher and hash of phase 1, with messages made after RFC 2409, Appendix B.
func TestEveryPhase1SuiteOpens(t *testing.T) {
	sum := map[int]func(b []byte) []byte{
		1: func(b []byte) []byte { s := md5.Sum(b); return s[:] },
		2: func(b []byte) []byte { s := sha1.Sum(b); return s[:] },
		5: func(b []byte) []byte { s := sha512.Sum384(b); return s[:] },
		6: func(b []byte) []byte { s := sha512.Sum512(b); return s[:] },
	}
	key := repeated(7, 32)
	block := map[int]func() (cipher.Block, error){
		1: func() (cipher.Block, error) { return des.NewCipher(key[:8]) },
		5: func() (cipher.Block, error) { return des.NewTripleDESCipher(key[:24]) },
		7: func() (cipher.Block, error) { return aes.NewCipher(key[:24]) },
	}
	for encryption, newBlock := range block {
		for hash, digest := range sum {
			b, err := newBlock()
			if err != nil {
				t.Fatal(err)
			}
			size := b.BlockSize()
			sa := hexPayload(t, V1PayloadSA,
				fmt.Sprintf("00000001 00000001 0000001c 01010001 00000014 01010000 8001%04x 8002%04x 800e00c0", encryption, hash))
			messages := [][]byte{
				chainOf(0x10, V1Aggressive, sa, rawPayload{V1PayloadKE, []byte("initiator")}),
				chainOf(0x10, V1Aggressive, sa, rawPayload{V1PayloadKE, []byte("responder")}),
			}
			iv := digest([]byte("initiatorresponder"))[:size]
			last := iv
			for _, id := range []uint32{0, 0, 77, 77} {
				if id == 77 && len(messages) == 4 {
					iv = digest(binary.BigEndian.AppendUint32(bytes.Clone(last), id))[:size]
				}
				text := append([]byte{0, 0, 0, 12, byte(len(messages)), 2, 3, 4, 5, 6, 7, 8}, make([]byte, 4)...)
				cipher.NewCBCEncrypter(b, iv).CryptBlocks(text, text)
				iv = text[len(text)-size:]
				if id == 0 {
					last = iv
				}
				h := Header{SPIi: 0x1122334455667788, SPIr: 2, NextPayload: V1PayloadHASH, Version: 0x10, Exchange: 32,
					Flags: FlagV1Encryption, MessageID: id, Length: 28 + 16}
				messages = append(messages, append(h.append(nil), text...))
			}
			keys, _ := ParseKeyTable(strings.NewReader(fmt.Sprintf("1122334455667788,%x", key)))
			chains, errs := openAllV1(t, NewOpener(keys), messages)
			if !slices.Equal(chains, []string{"", "", "HASH", "HASH", "HASH", "HASH"}) || errors.Join(errs...) != nil {
				t.Errorf("encryption %d, hash %d: %q %v", encryption, hash, chains, errs)
			}
		}
	}
}

func TestFragmentsOfIKEv1AreAssembled(t *testing.T) {
	message := everyMessage(t)["IKEv1"]
	a, b := netip.MustParseAddrPort("192.0.2.1:500"), netip.MustParseAddrPort("192.0.2.2:500")
	fragment := func(id, part, last byte, data []byte) *Message {
		m, err := Parse(chainOf(0x10, V1MainMode, rawPayload{V1PayloadFrag, append([]byte{0, id, part, last}, data...)}))
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	one, two, three := fragment(1, 1, 0, message[:100]), fragment(1, 2, 0, message[100:200]),
		fragment(1, 3, 1, message[200:])
	for _, order := range [][]*Message{{one, two, three}, {three, one, two}, {one, one, three, two}} {
		var g Assembler
		for i, m := range order {
			if g.Add(fragment(1, 1, 0, []byte("other side")), b, 100) != nil ||
				g.Add(fragment(2, byte(i+1), 0, []byte("other message")), a, 200) != nil {
				t.Fatal("fragments of others complete a message")
			}
			w := g.Add(m, a, i+1)
			if (w != nil) != (i == len(order)-1) {
				t.Fatalf("fragment %d: %v", i, w)
			}
			if w != nil && (!bytes.Equal(w.Bytes, message) || len(w.Frames) != 3 || !slices.IsSorted(w.Frames)) {
				t.Errorf("%+v", w)
			}
		}
	}
	var g Assembler
	for i := range 10 * maxPending {
		g.Add(&Message{Header: Header{SPIi: SPI(i), Version: 0x10}, Payloads: []Payload{&Frag{Part: 1}}}, a, i)
	}
	if len(g.pending) > maxPending || len(g.order) > maxPending {
		t.Errorf("%d messages are kept", len(g.pending))
	}
	if g.Add(fragment(3, 0, 1, nil), a, 1) != nil {
		t.Error("fragment 0 completes a message")
	}
}
