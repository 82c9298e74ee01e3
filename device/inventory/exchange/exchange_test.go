package exchange

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moncap/moncap/device/inventory"
)

func sample(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func written(t testing.TB, d *Draft) string {
	t.Helper()
	var b bytes.Buffer
	if err := d.WriteYAML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func readText(t *testing.T, kind, text, pairs string) *Draft {
	t.Helper()
	var p []byte
	if pairs != "" {
		p = []byte(pairs)
	}
	d, err := Read(kind, nil, "x", []byte(text), p)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// noted says whether the account has a line of a kind that contains text and concerns who.
func noted(d *Draft, kind, text, who string) bool {
	return slices.ContainsFunc(d.Notes(), func(n Note) bool {
		return n.Kind == kind && strings.Contains(n.Text, text) && slices.Contains(n.Who, who)
	})
}

func TestINIAsAnsibleReadsIt(t *testing.T) {
	d := readText(t, "ansible", `
r[01:05:2]-x:2022 ansible_network_os=ios ansible_user='a b' # comment
r[a:b] ansible_network_os="ios"
edge ansible_host=2001:db8::1 ansible_network_os=ios
[g]
r01-x
[g:vars]
ansible_user = inner # is part of the value
[outer:children]
g
[outer:vars]
ansible_user=outer
ansible_port=2222
`, "")
	text := written(t, d)
	for _, want := range []string{
		"  r01-x:\n    host: r01-x\n    port: 2022\n    username: \"a b\"", "  r05-x:", "  ra:\n    host: ra\n",
		"    host: \"2001:db8::1\"\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, bad := range []string{"[g\nx", "[g:other]\n", "x 'open\n", "r[5:1]\n", "r[1:999999999]\n", "x word\n",
		"[g:vars]\nword\n"} {
		if _, err := Read("ansible", nil, "hosts", []byte(bad), nil); err == nil || !strings.Contains(err.Error(), "hosts:") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNoPasswordIsSharedByGuess(t *testing.T) {
	d := readText(t, "csv",
		"name,host,username,password\nr1,192.0.2.1,u,c4nary-one\nr2,192.0.2.2,u,c4nary-two\nr3,192.0.2.3,u,\n"+
			"r4,192.0.2.4,u,env:MINE\n", "")
	text := written(t, d)
	for _, want := range []string{`"env:MONCAP_PASSWORD_R1"`, `"env:MONCAP_PASSWORD_R2"`, `"env:MONCAP_PASSWORD"`,
		`"env:MINE"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
	if all := text + fmt.Sprint(d.Notes()); strings.Contains(all, "c4nary") {
		t.Errorf("a password is in\n%s", all)
	}
	same := readText(t, "csv", "name,username,password\nr1,u,c4nary\nr2,u,c4nary\n", "")
	if got := written(t, same); !strings.Contains(got, `defaults: {username: u, password: "env:MONCAP_PASSWORD"}`) {
		t.Errorf("one login for all:\n%s", got)
	}
}

func TestWhatCannotBeReadIsSaidWithItsLine(t *testing.T) {
	for _, tt := range []struct{ kind, text, want string }{
		{"csv", "name,colour\nx,red\n", `column 2, "colour"`},
		{"csv", "host\n192.0.2.1\n", "no column name"},
		{"csv", "name,port\nr1,99999\n", "x:2: port"},
		{"csv", "name,tunnel,side\nr1,t,c\n", "x:2: tunnel"},
		{"csv", "name\n\"open\n", "x: "},
		{"csv", "name,host\nr1,192.0.2.1\nr1,192.0.2.2\n", `x:3: router "r1": an earlier row has another host`},
		{"csv", "", "first row"},
		{"nornir", "r1: {groups: [nowhere], platform: ios}\n", `x:1`},
		{"pyats", "a: 1\n", "devices"},
		{"containerlab", "a: [\n", "want YAML"},
		{"ansible", "---\n- a\n", "groups"},
		{"ansible", `{"all": {}}`, "_meta"},
		{"ansible", "#!/usr/bin/env python\n", "is a program"},
		{"ansible", "[a:children]\nb\n[b:children]\na\n", "in each other"},
		{"ansible", "---\nall: &a\n  children: {all: *a}\n", "32 deep"},
	} {
		_, err := Read(tt.kind, nil, "x", []byte(tt.text), nil)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: %v, want %q", tt.kind, tt.text, err, tt.want)
		}
	}
	// Aliases that name each other take no time to speak of.
	bomb := "---\nx0: &x0 {k: v}\n"
	for i := 1; i < 40; i++ {
		bomb += fmt.Sprintf("x%d: &x%d {children: {a: *x%d, b: *x%d, c: *x%d}}\n", i, i, i-1, i-1, i-1)
	}
	if _, err := Read("ansible", nil, "x.yml", []byte(bomb), nil); err == nil {
		t.Error("aliases without end are read")
	}
}

const kept = `version: 1 # ours
defaults: {username: ops, password: "env:OPS"}
peers: # by site
    # the hub, mind the NAT
    hub: {host: 192.0.2.1, wan: {interface: Gi1, address: 203.0.113.1}}

tunnels:
    old: {a: hub, b: hub2}
    # the end`

func TestARouterHasOneEnd(t *testing.T) {
	routers := "name,host\nhub,192.0.2.1\nx,192.0.2.2\ny,192.0.2.3\n"
	pairs := "tunnel,a,b,a_address\nt1,hub,x,203.0.113.1\nt2,hub,y,203.0.113.%d\n"
	readText(t, "csv", routers, fmt.Sprintf(pairs, 1))
	_, err := Read("csv", nil, "x", []byte(routers), []byte(fmt.Sprintf(pairs, 2)))
	if err == nil || !strings.Contains(err.Error(), `:3: router "hub": an earlier row has another address`) {
		t.Errorf("two addresses of a router: %v", err)
	}
}

func TestMergeChangesNothingThatIsThere(t *testing.T) {
	d := readText(t, "csv", "name,host,username,interface,address\nhub,198.51.100.9,x,Gi9,10.9.9.9\nnew,192.0.2.2,ops,,\n",
		"tunnel,a,b\nhub-new,hub,new\n")
	got, had, err := d.Merge("inv.yaml", []byte(kept))
	if err != nil || !slices.Equal(had, []string{"hub"}) {
		t.Fatalf("%v, %v", had, err)
	}
	rest := string(got)
	for line := range strings.Lines(kept) {
		before, after, ok := strings.Cut(rest, line)
		if !ok || strings.Contains(before, "hub: {host: 198") {
			t.Fatalf("%q is gone from\n%s", line, got)
		}
		rest = after
	}
	for _, want := range []string{"\n    new:\n      host: 192.0.2.2\n", "\n    hub-new: {a: hub, b: new}\n"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	again, _, err := d.Merge("inv.yaml", got)
	if err != nil || !bytes.Equal(again, got) {
		t.Errorf("a second time: %v\n%s", err, again)
	}
	without, _, err := d.Merge("inv.yaml", []byte("version: 1"))
	if err != nil || !strings.Contains(string(without), "version: 1\npeers:\n  hub:\n") {
		t.Errorf("into almost nothing: %v\n%s", err, without)
	}
	for _, bad := range []string{"{version: 1, peers: {}}", "version: 1\npeers: {hub: {host: h}}\n", "- a\n", "a: [\n"} {
		if _, _, err := d.Merge("inv.yaml", []byte(bad)); err == nil {
			t.Errorf("merged into %q", bad)
		}
	}
}

// netbox stands in for one: its lists, in pages of one entry, and what it is asked.
func netbox(t *testing.T, asked *[]string, lists map[string][]byte) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*asked = append(*asked, r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Authorization"))
		b, ok := lists[r.URL.Path]
		switch {
		case !ok:
			http.NotFound(w, r)
		case b == nil:
			http.Error(w, "no", http.StatusForbidden)
		default:
			_, _ = w.Write(b)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestNetBox(t *testing.T) {
	lists := map[string][]byte{"/api/dcim/devices/": sample(t, "netbox-devices.json"),
		"/api/vpn/tunnel-terminations/": sample(t, "netbox-terminations.json")}
	var asked []string
	s := netbox(t, &asked, lists)
	nb := NetBox{URL: s.URL, Token: "c4nary", Limit: 100, Filter: map[string][]string{"tag": {"vpn"}}}
	d, err := ReadNetBox(t.Context(), nb, nil)
	if err != nil {
		t.Fatal(err)
	}
	text := written(t, d)
	for _, want := range []string{
		"  ams-vpn-1:\n    host: 192.0.2.61\n    wan: {interface: CHANGE-ME, address: 203.0.113.61} # one of these? " +
			"Tunnel100\n",
		"  ams-fra: {a: ams-vpn-1, b: fra-vpn-1}\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if !noted(d, dropped, "not IOS XE", "ams-sw-1") || !noted(d, dropped, "neither two routers", "ams-cloud") {
		t.Errorf("%v", d.Notes())
	}
	if len(asked) != 2 || !strings.HasPrefix(asked[0], "GET /api/dcim/devices/?limit=250&offset=0&tag=vpn Token c4nary") {
		t.Errorf("asked %q", asked)
	}

	delete(lists, "/api/vpn/tunnel-terminations/")
	if d, err = ReadNetBox(t.Context(), nb, sample(t, "netbox-pairs.csv")); err != nil || len(d.Tunnels) != 1 ||
		!noted(d, dropped, "3.7", strings.TrimPrefix(s.URL, "http://")) {
		t.Errorf("an old NetBox: %v", err)
	}
	nb.Limit = 2
	refused := func(want string) {
		t.Helper()
		if _, err := ReadNetBox(t.Context(), nb, nil); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "c4nary") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	refused("--limit")
	nb.Limit = 100
	lists["/api/dcim/devices/"] = nil
	refused("the token is not good")
	lists["/api/dcim/devices/"] = []byte("<html>")
	refused("want its JSON")
	nb.URL = "http://netbox.example.net"
	refused("want https://")
	nb.URL = "https://user:pw@netbox.example.net"
	refused("without a user")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ReadNetBox(ctx, NetBox{URL: s.URL, Limit: 1}, nil); err == nil {
		t.Error("asked without time")
	}
}

// The token goes to no other place than it is meant for.
func TestNetBoxIsNotFollowedElsewhere(t *testing.T) {
	var asked, elsewhere []string
	other := netbox(t, &elsewhere, nil)
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer s.Close()
	if _, err := ReadNetBox(t.Context(), NetBox{URL: s.URL, Token: "c4nary", Limit: 1}, nil); err == nil ||
		len(elsewhere) > 0 {
		t.Errorf("%v, asked elsewhere %q", err, elsewhere)
	}
	// A page that names the next one elsewhere is asked for the rest itself.
	page := `{"count": 2, "next": "` + other.URL + `", "results": [{"name": "r1", "platform": {"slug": "iosxe"}}]}`
	s2 := netbox(t, &asked,
		map[string][]byte{"/api/dcim/devices/": []byte(page),
			"/api/vpn/tunnel-terminations/": []byte(`{"count": 0, "results": []}`)})
	if _, err := ReadNetBox(t.Context(), NetBox{URL: s2.URL, Token: "c4nary", Limit: 9}, nil); err != nil ||
		len(elsewhere) > 0 || len(asked) != 3 {
		t.Errorf("%v, asked %q, elsewhere %q", err, asked, elsewhere)
	}
}

const full = `version: 1
defaults: {username: u, password: "env:PW"}
peers:
  a: {host: 192.0.2.1, port: 2022, enable: "env:EN", jump: [x@192.0.2.9, 192.0.2.8], wan: {interface: Gi1, address: 10.0.0.1, nat_address: 198.51.100.1, vrf: INET, also: [GigabitEthernet0/0/2, Dialer1]}}
  b.c: {host: "2001:db8::2", key_file: /k, wan: {interface: Dialer1, address: 203.0.113.2}}
  lone: {host: lone.example.net, password: "cmd:pass show x", wan: {interface: Gi2, address: 203.0.113.3}}
tunnels:
  a-b: {a: a, b: b.c, tags: [prod, night]}
`

// What is exported and imported again is the same.
func TestRoundTrip(t *testing.T) {
	inv, err := inventory.Parse("inv.yaml", strings.NewReader(full))
	if err != nil {
		t.Fatal(err)
	}
	for target, pairs := range map[string]string{"ansible": "tunnel,a,b,tags\na-b,a,b.c,prod;night\n", "csv": ""} {
		var b bytes.Buffer
		if err := Write(&b, target, inv); err != nil {
			t.Fatal(err)
		}
		back, err := inventory.Parse("back.yaml",
			strings.NewReader(written(t, readText(t, target, strings.Replace(b.String(), "# Made", "---\n# Made", 1), pairs))))
		if err != nil {
			t.Fatalf("%s: %v\n%s", target, err, b.String())
		}
		for name, p := range inv.Peers {
			q := back.Peers[name]
			if q == nil || q.Address() != p.Address() || q.Username != p.Username || !reflect.DeepEqual(q.WAN, p.WAN) ||
				fmt.Sprint(q.Jump) != fmt.Sprint(p.Jump) || q.KeyFile != p.KeyFile {
				t.Errorf("%s: %s is %+v, was %+v", target, name, q, p)
			}
			// A command is run by nobody else: what Ansible cannot look up is left to the operator.
			if q != nil && q.Password.String() != p.Password.String() && (target == "csv" || !p.Password.Runs()) {
				t.Errorf("%s: the password of %s is at %s, was at %s", target, name, q.Password, p.Password)
			}
		}
		if tun := back.Tunnels["a-b"]; tun == nil || tun.A.Name != "a" || tun.B.Name != "b.c" ||
			!slices.Equal(tun.Tags, []string{"prod", "night"}) {
			t.Errorf("%s: tunnels %v", target, back.TunnelNames())
		}
	}
	var b bytes.Buffer
	if err := Write(&b, "prometheus-sd", inv); err != nil || !strings.Contains(b.String(), `"[2001:db8::2]:22"`) ||
		!strings.Contains(b.String(), `"tunnels": ",a-b,"`) ||
		strings.Count(b.String(), `"wan_also": ",GigabitEthernet0/0/2,Dialer1,"`) != 1 {
		t.Errorf("%v\n%s", err, b.String())
	}
}

// A spreadsheet computes nothing of an exported table, and what is computed nowhere is imported as
// it was.
func TestFormulasAreQuoted(t *testing.T) {
	inv, err := inventory.Parse("inv.yaml", strings.NewReader(strings.Replace(full, "username: u", `username: "=1+1"`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Write(&b, "csv", inv); err != nil || !strings.Contains(b.String(), ",'=1+1,") {
		t.Fatalf("%v\n%s", err, b.String())
	}
	if d := readText(t, "csv", b.String(), ""); d.Peers[0].Username != "=1+1" {
		t.Errorf("%q", d.Peers[0].Username)
	}
}

// FuzzRead: whatever a source holds, reading it ends, and what is written is an inventory whose
// only faults are values.
func FuzzRead(f *testing.F) {
	for i, kind := range Sources {
		for _, name := range map[string][]string{
			"ansible": {"ansible/hosts.yml", "ansible/hosts.ini"}, "pyats": {"testbed.yaml"}, "nornir": {"nornir/hosts.yaml"},
			"containerlab": {"lab.clab.yml"}, "csv": {"routers.csv"},
		}[kind] {
			f.Add(uint8(i), sample(f, name), sample(f, "ansible/pairs.csv"))
		}
	}
	f.Add(uint8(0), []byte(
		`{"_meta": {"hostvars": {"r1": {"ansible_network_os": "ios", "ansible_host": "192.0.2.1\n}"}}}}`),
		[]byte("tunnel,a,b\n"))
	f.Fuzz(func(t *testing.T, which uint8, text, pairs []byte) {
		kind := Sources[int(which)%len(Sources)]
		if kind == "netbox" {
			kind = "ansible"
		}
		if text == nil {
			text = []byte{}
		}
		d, err := Read(kind, fstest.MapFS{}, "x", text, pairs)
		if err != nil {
			return
		}
		out := written(t, d)
		tree, err := readTree("out", []byte(out))
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		for _, p := range d.Peers {
			if host := tree.text(tree.root, "peers", p.Name, "host"); host != strings.ToValidUTF8(p.Host, "\ufffd") {
				t.Fatalf("%q: host %q, want %q\n%s", p.Name, host, p.Host, out)
			}
		}
		for _, tun := range d.Tunnels {
			if a := tree.text(tree.root, "tunnels", tun.Name, "a"); a != tun.A {
				t.Fatalf("%q: a is %q, want %q\n%s", tun.Name, a, tun.A, out)
			}
		}
		if _, _, err := d.Merge("out", []byte(out)); err != nil {
			t.Fatalf("merged into itself: %v\n%s", err, out)
		}
	})
}

// BenchmarkImport reads 10,000 hosts. The bar is a second and 100 MB.
func BenchmarkImport(b *testing.B) {
	sources := map[string]func(i int) string{
		"json": func(i int) string {
			return fmt.Sprintf(
				`"r%05d": {"ansible_host": "10.%d.%d.1", "ansible_network_os": "cisco.ios.ios", "ansible_user": "u", "site": "s%d", "tags": ["a", "b"], "ansible_password": "secret"},`, i, i>>8, i&255, i%300)
		},
		"yaml": func(i int) string {
			return fmt.Sprintf("    r%05d: {ansible_host: 10.%d.%d.1, ansible_network_os: cisco.ios.ios, ansible_user: u, "+
				"site: s%d}\n", i, i>>8, i&255, i%300)
		},
		"ini": func(i int) string {
			return fmt.Sprintf("r%05d ansible_host=10.%d.%d.1 ansible_network_os=cisco.ios.ios ansible_user=u\n", i, i>>8, i&255)
		},
	}
	for _, kind := range []string{"json", "yaml", "ini"} {
		var text strings.Builder
		text.WriteString(map[string]string{"json": `{"_meta": {"hostvars": {`, "yaml": "---\nall:\n  hosts:\n",
			"ini": ""}[kind])
		for i := range 10_000 {
			text.WriteString(sources[kind](i))
		}
		all := []byte(text.String())
		if kind == "json" {
			all = append(all[:len(all)-1], "}}}"...)
		}
		b.Run(kind, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d, err := Read("ansible", nil, "x", all, nil)
				if err != nil || len(d.Peers) != 10_000 {
					b.Fatalf("%v", err)
				}
				written(b, d)
			}
		})
	}
}
