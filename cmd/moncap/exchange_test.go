package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const samples = "../../device/inventory/exchange/testdata"

// TestImportValidatePlan goes the whole way from what another tool knows to a plan, once for each
// kind of source.
func TestImportValidatePlan(t *testing.T) {
	netbox := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Token c4nary-token" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		name := "netbox-devices.json"
		if strings.HasPrefix(r.URL.Path, "/api/vpn/") {
			name = "netbox-terminations.json"
		}
		http.ServeFile(w, r, filepath.Join(samples, name))
	}))
	defer netbox.Close()
	t.Setenv("NETBOX_TOKEN", "c4nary-token")
	for _, tt := range []struct {
		kind, source, pairs, tunnel, plan string
		open                              bool // the source does not name the WAN
		more                              []string
	}{
		{kind: "ansible", source: samples + "/ansible/hosts.yml", pairs: "ansible/pairs.csv", tunnel: "ber-br01",
			plan: "permit udp host 203.0.113.10 host 198.51.100.21"},
		{kind: "ansible", source: samples + "/ansible/hosts.ini", pairs: "ansible/pairs.csv", tunnel: "ber-br02",
			plan: "interface TenGigabitEthernet0/0/1.101"},
		{kind: "pyats", source: samples + "/testbed.yaml", pairs: "testbed-pairs.csv", tunnel: "hub-spoke",
			plan: "interface GigabitEthernet2"},
		{kind: "nornir", source: samples + "/nornir", pairs: "nornir/pairs.csv", tunnel: "cmh-bma",
			plan: "permit udp host 203.0.113.41 host 203.0.113.42"},
		{kind: "csv", source: samples + "/routers.csv", tunnel: "hq-b1", plan: "interface Dialer1"},
		{kind: "containerlab", source: samples + "/lab.clab.yml", open: true},
		{kind: "containerlab", source: samples + "/lab.clab.yml", pairs: "lab-pairs.csv", tunnel: "r1-r3",
			plan: "interface GigabitEthernet3"},
		{kind: "netbox", source: netbox.URL, open: true, more: []string{"--token", "env:NETBOX_TOKEN"}},
		{kind: "netbox", source: netbox.URL, pairs: "netbox-pairs.csv", tunnel: "ams-fra",
			plan: "permit udp host 203.0.113.61 host 203.0.113.62", more: []string{"--token", "env:NETBOX_TOKEN"}},
	} {
		t.Run(tt.kind+" "+tt.tunnel, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "inventory.yaml")
			args := append([]string{"inventory", "import", "--from", tt.kind, tt.source, "-o", file}, tt.more...)
			if tt.pairs != "" {
				args = append(args, "--tunnels", filepath.Join(samples, tt.pairs))
			}
			r := moncap(t, args...)
			if r.code != exitOK || !strings.Contains(r.stderr, "taken    routers") {
				t.Fatalf("exit %d\n%s", r.code, r.stderr)
			}
			first, err := os.ReadFile(file)
			if err != nil || strings.Contains(string(first)+r.stdout+r.stderr, "c4nary") {
				t.Fatalf("%v, or a password in\n%s%s", err, first, r.stderr)
			}
			if r := moncap(t, args...); r.code != exitOK { // the same again is the same file
				t.Errorf("a second time: exit %d\n%s", r.code, r.stderr)
			}
			if tt.kind == "containerlab" || tt.kind == "netbox" { // whose users are not in the source
				addTo(t, file, "defaults: {", "defaults: {username: ops, ")
			}
			v := moncap(t, "inventory", "validate", "-i", file)
			if tt.open {
				if v.code != exitUsage || !strings.Contains(v.stderr, `wan.interface: "CHANGE-ME": want an interface`) ||
					!strings.Contains(v.stderr, "inventory.yaml:") {
					t.Errorf("an open interface: exit %d\n%s", v.code, v.stderr)
				}
				return
			}
			if v.code != exitOK {
				t.Fatalf("validate: exit %d\n%s\n%s", v.code, v.stderr, first)
			}
			if p := moncap(t, "plan", tt.tunnel, "-i", file); p.code != exitOK || !strings.Contains(p.stdout, tt.plan) {
				t.Errorf("plan: exit %d, want %q\n%s%s", p.code, tt.plan, p.stdout, p.stderr)
			}
		})
	}
}

func addTo(t *testing.T, file, old, with string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil || !strings.Contains(string(b), old) {
		t.Fatalf("%v, or no %q in\n%s", err, old, b)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), old, with, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What is there is neither replaced nor changed.
func TestImportKeepsWhatIsThere(t *testing.T) {
	file := filepath.Join(t.TempDir(), "inventory.yaml")
	mine := "version: 1\n# mine\ndefaults: {username: u, agent: true}\npeers:\n  branch1: {host: 192.0.2.99, wan: " +
		"{interface: Gi7, address: 10.0.0.7}}\n"
	if err := os.WriteFile(file, []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"inventory", "import", "--from", "csv", samples + "/routers.csv", "-o", file}
	if r := moncap(t, args...); r.code != exitUsage || !strings.Contains(r.stderr, "--merge") {
		t.Errorf("exit %d\n%s", r.code, r.stderr)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != mine {
		t.Errorf("%v: it is now\n%s", err, b)
	}
	for range 2 {
		r := moncap(t, append(args, "--merge")...)
		if r.code != exitOK || !strings.Contains(r.stderr, "already, as they are (1): branch1") &&
			!strings.Contains(r.stderr, "(3): branch1, hq") {
			t.Errorf("exit %d\n%s", r.code, r.stderr)
		}
	}
	if r := moncap(t, "plan", "hq-b1", "-i", file); r.code != exitOK || !strings.Contains(r.stdout, "interface Gi7") {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	r := program{stdin: "name,host\nr1,192.0.2.1\n"}.run(t.Context(), "inventory", "import", "--from", "csv", "-", "-q",
		"-f", "json")
	if r.code != exitOK || !strings.Contains(r.stdout, `"kind": "missing"`) {
		t.Errorf("exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
}

// TestAnsibleIsTheReferee: the files of an inventory, read here, give what Ansible makes of them;
// and Ansible reads what is exported.
func TestAnsibleIsTheReferee(t *testing.T) {
	bin, err := exec.LookPath("ansible-inventory")
	if err != nil {
		if os.Getenv("MONCAP_REFEREES") != "" {
			t.Fatal("ansible-core is not installed, and MONCAP_REFEREES wants it")
		}
		t.Skip("ansible-core is not installed")
	}
	listed := func(file string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), bin, "-i", file, "--list")
		c.Env = append(os.Environ(), "ANSIBLE_HOME="+t.TempDir(), "ANSIBLE_NOCOLOR=1", "LC_ALL=C.UTF-8")
		out, err := c.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", file, err, out)
		}
		return string(out)
	}
	pairs := []string{"--tunnels", samples + "/ansible/pairs.csv"}
	var files []string
	for _, name := range []string{"hosts.yml", "hosts.ini"} {
		file := filepath.Join(samples, "ansible", name)
		theirs := program{stdin: listed(file)}.run(t.Context(),
			append([]string{"inventory", "import", "--from", "ansible", "-"}, pairs...)...)
		ours := moncap(t, append([]string{"inventory", "import", "--from", "ansible", file}, pairs...)...)
		if ours.code != exitOK || theirs.code != exitOK || ours.stdout != theirs.stdout {
			t.Errorf("%s: read here\n%s%s\nby Ansible\n%s%s", name, ours.stdout, ours.stderr, theirs.stdout, theirs.stderr)
		}
		files = append(files, ours.stdout)
	}
	dir := t.TempDir()
	file, exported := filepath.Join(dir, "inventory.yaml"), filepath.Join(dir, "hosts.yml")
	if err := os.WriteFile(file, []byte(files[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := moncap(t, "inventory", "export", "--to", "ansible", "-o", exported, "-i", file); r.code != exitOK {
		t.Fatalf("exit %d\n%s", r.code, r.stderr)
	}
	t.Setenv("NET_PASSWORD", "x")
	back := program{stdin: listed(exported)}.run(t.Context(),
		append([]string{"inventory", "import", "--from", "ansible", "-"}, pairs...)...)
	if back.code != exitOK || back.stdout != files[0] {
		t.Errorf("exit %d, there and back\n%s\nwas\n%s%s", back.code, back.stdout, files[0], back.stderr)
	}
}
