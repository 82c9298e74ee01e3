package ike

import (
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// What a key server tells its members: an SA for ESP and one for rekeys, with delays for all.
const (
	selectors = "0711001007d007d0c0000201c0000201 0711001003500350ef010101ef010101"

	groupPolicies = "0304004c c0000001 " + selectors + // ESP: its SPI, then source and destination
		"0300000c 01000014 800e0100 00000008 05000000" + // AES-GCM-16 of 256 bits, and sequence numbers
		"00010004 00000e10 00030004 c0000002" + // for an hour; the next SPI
		"0610004e 1112131415161718 2122232425262728 " + selectors + "0000000c 01000014 800e0100" +
		"00020004 00000007 00630002 abcd" + // the first message ID; an attribute that nobody knows
		"0000000c 8001000a 80030008"

	keyBags = "0304001c c0000001 00010010 00000000 00000007 a1a2a3a4a5a6a7a8" +
		"00000027 0001000c 00000009 00000000 b1b2b3b4 00020003 30010a 00030001 05 000700033f3f3f"
)

func groupOf(t *testing.T, kind PayloadType, digits string) (Described, []string) {
	t.Helper()
	body, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	m := &Message{Header: Header{SPIi: 1, SPIr: 2, Version: 0x20, Exchange: 39, Flags: FlagInitiator},
		Payloads: []Payload{&Unknown{Number: kind, Data: body}}}
	b, err := m.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(b)
	if err != nil || len(got.Payloads) != 1 || len(got.Faults) > 0 {
		t.Fatalf("%v, %+v", err, got)
	}
	again, err := got.Append(nil)
	if err != nil || string(again) != string(b) {
		t.Errorf("%x becomes %x: %v", b, again, err)
	}
	d, ok := got.Payloads[0].(Described)
	if !ok {
		t.Fatalf("%T is not described", got.Payloads[0])
	}
	return d, Details(d)
}

// The policies and the key bags of a group are told by their names; what is not known keeps its
// number.
func TestGroupPayloads(t *testing.T) {
	_, policies := groupOf(t, PayloadGSA, groupPolicies)
	want := []string{"policy of ESP, SPI c0000001", "  source 192.0.2.1-192.0.2.1 protocol 17 ports 2000-2000",
		"  destination 239.1.1.1-239.1.1.1 protocol 17 ports 848-848", "  ENCR_AES_GCM_16_256",
		"  " + TransformName(TransformESN, 0), "  GSA_KEY_LIFETIME: 3600", "  GSA_NEXT_SPI: c0000002",
		"policy of GIKE_UPDATE, SPI 11121314151617182122232425262728",
		"  source 192.0.2.1-192.0.2.1 protocol 17 ports 2000-2000",
		"  destination 239.1.1.1-239.1.1.1 protocol 17 ports 848-848", "  ENCR_AES_GCM_16_256",
		"  GSA_INITIAL_MESSAGE_ID: 7", "  attribute 99: abcd", "group-wide policy", "  GWP_ATD: 10",
		"  GWP_SENDER_ID_BITS: 8"}
	if !slices.Equal(policies, want) {
		t.Errorf("policies:\n%s", strings.Join(policies, "\n"))
	}
	kd, bags := groupOf(t, PayloadKD, keyBags)
	want = []string{"key bag of ESP, SPI c0000001", "  SA_KEY: key 0, encrypted with key 7, 8 bytes", "member's key bag",
		"  WRAP_KEY: key 9, encrypted with key 0, 4 bytes", "  AUTH_KEY: 30010a", "  GM_SENDER_ID: 05",
		"  attribute 7: 3f3f3f"}
	if !slices.Equal(bags, want) {
		t.Errorf("key bags:\n%s", strings.Join(bags, "\n"))
	}
	var o Object
	o.Open()
	kd.Fields(&o)
	o.Close()
	var fields struct {
		Bags []struct {
			Attributes []map[string]any
			SPI        string
		} `json:"key_bags"`
	}
	if err := json.Unmarshal(o.Buf, &fields); err != nil || len(fields.Bags) != 2 || fields.Bags[0].SPI != "c0000001" ||
		fields.Bags[0].Attributes[0]["kwk_id"] != 7.0 || fields.Bags[1].Attributes[2]["name"] != "GM_SENDER_ID" {
		t.Errorf("%s: %v", o.Buf, err)
	}
}

// A layout that contradicts itself, as that of a draft, is told as bytes, and is no fault.
func TestGroupPayloadsOfAnotherLayout(t *testing.T) {
	for _, kind := range []PayloadType{PayloadGSA, PayloadKD} {
		whole := strings.ReplaceAll(map[PayloadType]string{PayloadGSA: groupPolicies, PayloadKD: keyBags}[kind], " ", "")
		ends := 0
		for n := 2; n < len(whole); n += 2 {
			if _, lines := groupOf(t, kind, whole[:n]); !strings.HasPrefix(lines[0], "data: ") {
				ends++ // between two substructures
			}
		}
		if want := map[PayloadType]int{PayloadGSA: 2, PayloadKD: 1}[kind]; ends != want {
			t.Errorf("%d: %d beginnings are whole, want %d", kind, ends, want)
		}
	}
}
