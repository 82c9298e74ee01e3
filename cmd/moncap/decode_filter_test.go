package main

import (
	"strings"
	"testing"
)

func TestDecodeFilter(t *testing.T) {
	for filter, want := range map[string]int{
		"":                               48,
		"ike":                            4,
		"esp":                            40,
		"!ike && !esp":                   4,
		"exchange == IKE_AUTH":           2,
		"ike.exchange == 34 && response": 1,
		"exchange==ike_auth||esp":        42,
		"(request or response) and ip.src == 192.168.1.1": 2,
		"ip == 192.168.0.0/16 && ike":                     4,
		"ip.dst != 192.168.2.1 && ike":                    2,
		"ike.payload == SK":                               2,
		"ike.notify == NAT_DETECTION_SOURCE_IP":           2,
		"encrypted":                                       2,
		"frame <= 3":                                      3,
		"frame > 3 && frame <= 5":                         2,
		"length >= 100000":                                0,
		"mid == 1":                                        2,
		"ike.version == 2.0":                              4,
		"port == 500 && ike":                              4,
		"side == A":                                       48,
		"side == B":                                       0,
		"protocol == ESP":                                 40,
		"malformed":                                       0,
		"isakmp && ip.addr == 192.168.1.1":                4,
		"isakmp.exchangetype == 35":                       2,
		"frame.number == 3":                               1,
		"ike.version != 1":                                4,
		"ike.exchange eq IKE_AUTH":                        2,
		"frame gt 3 and frame le 5":                       2,
		"udp":                                             4,
		"udp && udp.port ne 500":                          0,
		"ike.notify contains NAT_DETECTION":               2,
		"ike.notify contains nat_detection":               0,
		"ike.notify matches ^nat_.*_ip$":                  2,
		`info matches "mid=0[01] (init|resp)"`:            4,
		`_ws.col.info ~ 'IKE_(AUTH|SA_INIT)' and !esp`:    4,
		"info contains 'IKE_AUTH MID=01 Initiator'":       1,
		"protocol contains SP":                            40,
		"frame contains 00:00:00:00 and ike":              2,
		`frame matches "\x22\x20\x22"`:                    0,
		"not info~esp":                                    6,
		"protocol == IKE":                                 4,
		"protocol == ISAKMP":                              4,
		"protocol == isakmp or protocol == 0x88cc":        4,
		"ike.notify == 16388":                             2,
		"ike.notify == 'private status 40961'":            0,
		"ike.notify == NO-PROPOSAL-CHOSEN":                0,
		"ike.payload == HASH":                             0,
		"ike.exchange == 'exchange 200'":                  0,
	} {
		out, errs, code := decodeOutput(t, incident(t, "esp-blocked-a-to-b").A, "--format", "ndjson", "--filter", filter)
		if got := len(objects(t, out)); got != want || code != exitOK {
			t.Errorf("%q: %d packets, want %d; %s", filter, got, want, errs)
		}
	}
}

func TestDecodeFilterBySPI(t *testing.T) {
	file := incident(t, "ike-proposal-mismatch").A
	for filter, want := range map[string]int{
		"ike.spi == 0x2b913a7d7ba9f5bd": 2,
		"ike.spi_i == 2B913A7D7BA9F5BD": 2,
		"ike.spi_r == 2b913a7d7ba9f5bd": 0,
		"spi == 0x2b913a7d7ba9f5bd":     2,
		"ike.spi == 1":                  0,
		"ike.spi != 1":                  2,
		`exchange == "IKE_SA_INIT"`:     2,
		"esp.spi == 0x2b913a7d":         0,
	} {
		out, _, _ := decodeOutput(t, file, "--format", "ndjson", "--filter", filter)
		if got := len(objects(t, out)); got != want {
			t.Errorf("%q: %d packets, want %d", filter, got, want)
		}
	}
}

func TestDecodeRefusesWrongFilters(t *testing.T) {
	for filter, want := range map[string]string{
		"exchange =": "=", "nonsense": "nonsense", "ip == x": "neither an address", "ike &&": "ends where",
		"(ike": "parenthesis", "ike ike": "in the way", "frame == many": "no number", "ike.spi == xyz": "hex",
		"ip contains 192": "is of words", "info == x": "only contains and matches", "info matches (": "missing closing",
		"info contains": "missing", `info contains ""`: "missing", `info contains "x`: "not closed",
		"frame contains '":                          "missing",
		"info matches " + strings.Repeat("a", 2000): "longer than", `info matches "(a{1000}){1000}"`: "invalid repeat",
		"exchange < 3": "only == and !=", "colour == red": "no field", "frame ==": "missing",
		strings.Repeat("(", 500) + "ike": "deeply",
		"ike.exchange == IKE_SA_INTI":    "there is no \"IKE_SA_INTI\" (did you mean IKE_SA_INIT?)",
		"ike.notify != COOKEI":           "there is no \"COOKEI\" (did you mean COOKIE?)",
		"ike.payload == SAA":             "there is no \"SAA\" (did you mean SA?)",
		"protocol == IKEE":               "there is no", "exchange == 256": "there is no", "side == left": "there is no",
	} {
		_, errs, code := decodeOutput(t, incident(t, "healthy").A, "--filter", filter)
		if code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%q: exit code %d, %s", filter, code, errs)
		}
	}
}
