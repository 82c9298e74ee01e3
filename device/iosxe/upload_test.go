package iosxe

import (
	"strings"
	"testing"
)

func upload(t *testing.T, url string) Upload {
	t.Helper()
	u, err := ParseUpload(url)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestUploadURLs(t *testing.T) {
	f, err := ParseFile("mc1a2b3c.pcap")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ url, address, path, typed string }{
		{"scp://ops@192.0.2.5", "192.0.2.5:22", "mc1a2b3c.pcap", "scp://ops@192.0.2.5/mc1a2b3c.pcap"},
		{"scp://ops@192.0.2.5/", "192.0.2.5:22", "mc1a2b3c.pcap", "scp://ops@192.0.2.5/mc1a2b3c.pcap"},
		{"scp://ops@files.example.net/captures/vpn", "files.example.net:22", "captures/vpn/mc1a2b3c.pcap",
			"scp://ops@files.example.net/captures/vpn/mc1a2b3c.pcap"},
		{"scp://ops@192.0.2.5:2222//srv/pcap/", "192.0.2.5:2222", "/srv/pcap/mc1a2b3c.pcap",
			"scp://ops@192.0.2.5:2222//srv/pcap/mc1a2b3c.pcap"},
		{"scp://ops@[2001:db8::5]/x", "[2001:db8::5]:22", "x/mc1a2b3c.pcap", "scp://ops@[2001:db8::5]/x/mc1a2b3c.pcap"},
	} {
		u := upload(t, tt.url)
		if u.Address() != tt.address || u.Path(f) != tt.path || u.URL(f) != tt.typed {
			t.Errorf("%s: %s, %s, %s", tt.url, u.Address(), u.Path(f), u.URL(f))
		}
		again, g, err := ParseUploaded(u.URL(f))
		if err != nil || again != u || g != f {
			t.Errorf("%s: read back as %+v %s, %v", u.URL(f), again, g, err)
		}
	}
}

func TestUploadURLsThatAreRefused(t *testing.T) {
	for _, url := range []string{
		"", "scp://", "scp://192.0.2.5/x", "ftp://ops@192.0.2.5", "scp://ops@192.0.2.5/a b", "scp://ops@192.0.2.5/a\nreload",
		"scp://ops@192.0.2.5/a;b",
		"scp://ops@192.0.2.5/../x", "scp://ops@192.0.2.5/x/../y", "scp://ops@192.0.2.5/x?y", "scp://ops@192.0.2.5:0/x",
		"scp://ops@192.0.2.5:99999/x",
		"scp://ops@[192.0.2.5]/x", "scp://ops@[::zz]/x", "scp://o ps@192.0.2.5/x", "scp://ops@192.0.2.5/-rf",
		"scp://ops@192.0.2.5/$(x)", "scp://ops@-oProxyCommand=x/y",
	} {
		if u, err := ParseUpload(url); err == nil {
			t.Errorf("%q was read as %+v", url, u)
		}
	}
	_, err := ParseUpload("scp://ops:hunter2@192.0.2.5/x")
	if err == nil || !strings.Contains(err.Error(), "password") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a password in the URL: %v", err)
	}
}

func TestParseUploadSize(t *testing.T) {
	out := "Writing cap1.pcap \nPassword:\n Sink: C0644 946 cap1.pcap\n!\nExported Successfully\n"
	if n, err := ParseUploadSize(out); err != nil || n != 946 {
		t.Errorf("%d, %v", n, err)
	}
	if _, err := ParseUploadSize("Exported Successfully"); err == nil {
		t.Error("a size out of nothing")
	}
}
