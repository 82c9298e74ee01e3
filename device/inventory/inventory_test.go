package inventory

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestExampleIsValid(t *testing.T) {
	inv, err := Load("../../inventory.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	tun, err := inv.Tunnel("hq-branch")
	if err != nil {
		t.Fatal(err)
	}
	a := tun.A
	if a.WAN.NATAddress != netip.MustParseAddr("198.51.100.1") || a.Username != "moncap" ||
		a.Password.String() != "env:MONCAP_PASSWORD" {
		t.Errorf("peer A is %+v", a)
	}
	if diff := cmp.Diff([]Jump{{"ops", "bastion.example.net", 22}}, a.Jump); diff != "" {
		t.Error(diff)
	}
	if !tun.B.LegacySSH || a.LegacySSH {
		t.Error("legacy_ssh is B's alone")
	}
	plant, err := inv.Tunnel("hq-plant")
	if err != nil {
		t.Fatal(err)
	}
	want := CaptureSettings{Name: "plant", BufferMB: 20, Duration: 5 * time.Minute, Packets: 50000, PacketLen: 1600,
		PPS: 2000, PacketTrace: 64, ControlPlane: true}
	if plant.Capture != want {
		t.Errorf("capture settings %+v, want %+v", plant.Capture, want)
	}
	if got := plant.B.Address(); got != "[2001:db8::30]:22" {
		t.Errorf("address %s", got)
	}
}

const valid = `version: 1
defaults: {username: u, password: "env:P"}
peers:
  a: {host: 192.0.2.1, wan: {interface: Gi1, address: 10.0.0.1}}
  b: {host: 192.0.2.2, wan: {interface: Gi1, address: 10.0.0.2}}
tunnels:
  t: {a: a, b: b}
`

func TestTimeouts(t *testing.T) {
	text := strings.Replace(valid, "username: u", "username: u, timeouts: {dial: 60s, command: 45s}", 1)
	inv, err := Parse("inv.yaml",
		strings.NewReader(strings.Replace(text, "host: 192.0.2.2", "host: 192.0.2.2, timeouts: {idle: 2m, command: 1m}", 1)))
	if err != nil {
		t.Fatal(err)
	}
	if got := inv.Peers["a"].Timeouts; got != (Timeouts{Dial: time.Minute, Command: 45 * time.Second}) {
		t.Errorf("the defaults': %+v", got)
	}
	if got := inv.Peers["b"].Timeouts; got != (Timeouts{Dial: time.Minute, Command: time.Minute, Idle: 2 * time.Minute}) {
		t.Errorf("the peer's: %+v", got)
	}
}

func TestWhatIsWrongIsNamedWithItsLine(t *testing.T) {
	tests := []struct{ name, old, new, want string }{
		{"unknown key", "host: 192.0.2.1,", "host: 192.0.2.1, hots: x,",
			"inv.yaml:4: peers.a.hots: unknown key; want one of"},
		{"legacy for all", "username: u,", "username: u, legacy_ssh: true,",
			"inv.yaml:2: defaults.legacy_ssh: outdated algorithms are allowed router by router"},
		{"duplicate peer", "  b: {host", "  a: {host", "inv.yaml:5: peers.a: it stands on line 4 already"},
		{"missing peer", "b: b}", "b: c}", `inv.yaml:7: tunnels.t.b: there is no peer "c"; want one of a, b`},
		{"no address", "10.0.0.1}", "10.0.0.300}",
			`inv.yaml:4: peers.a.wan.address: "10.0.0.300": want the IPv4 or IPv6 address`},
		{"prefix length", "10.0.0.1}", "10.0.0.1/24}", `inv.yaml:4: peers.a.wan.address: "10.0.0.1/24"`},
		{"injection by interface", "interface: Gi1, address: 10.0.0.1", `interface: "Gi1\nreload", address: 10.0.0.1`,
			`inv.yaml:4: peers.a.wan.interface: "Gi1\nreload": want an interface like`},
		{"injection by VRF", "address: 10.0.0.1}", `address: 10.0.0.1, vrf: "x | reload"}`, "peers.a.wan.vrf"},
		{"injection by host", "host: 192.0.2.1", `host: "-oProxyCommand=x"`, "inv.yaml:4: peers.a.host"},
		{"plain secret", `"env:P"`, "hunter2", "inv.yaml:2: defaults.password: want where the secret is kept"},
		{"no way in", `, password: "env:P"`, "", "inv.yaml:4: peers.a: there is no way to log in"},
		{"no interface", "interface: Gi1, address: 10.0.0.1", "address: 10.0.0.1",
			"inv.yaml:4: peers.a: wan.interface is missing; it is never guessed"},
		{"same peer twice", "b: b}", "b: a}", "inv.yaml:7: tunnels.t: a and b are the same peer"},
		{"families", "10.0.0.2}", "2001:db8::2}",
			"inv.yaml:7: tunnels.t: the VPN addresses 10.0.0.1 and 2001:db8::2 are not of one family"},
		{"version", "version: 1", "version: 2", "inv.yaml:1: version"},
		{"no version", "version: 1\n", "\n", "inv.yaml:2: version: it is missing; want version: 1"},
		{"insecure", `"env:P"`, `"env:P", host_key: insecure`, "inv.yaml:2: defaults.host_key"},
		{"port", "host: 192.0.2.1", "host: 192.0.2.1, port: 99999",
			`inv.yaml:4: peers.a.port: "99999": want a number from 1 to 65535`},
		{"duration", "b: b}", "b: b, capture: {duration: 90}}", "inv.yaml:7: tunnels.t.capture.duration"},
		{"timeout without a unit", "host: 192.0.2.1", "host: 192.0.2.1, timeouts: {dial: 60}",
			`inv.yaml:4: peers.a.timeouts.dial: "60": want a duration from 2s to 5m0s`},
		{"timeout that is none", "username: u", "username: u, timeouts: {login: 60s}",
			"inv.yaml:2: defaults.timeouts.login: unknown key; want one of command, dial, idle"},
		{"merge key", "  b: {host: 192.0.2.2,", "  b: {<<: {}, host: 192.0.2.2,", "inv.yaml:5: peers.b: want a plain key"},
		{"same address", "10.0.0.2}", "10.0.0.1}", "inv.yaml:7: tunnels.t: a and b have the same VPN address 10.0.0.1"},
		{"same address by NAT", "10.0.0.2}", "10.0.0.2, nat_address: 10.0.0.1}",
			"inv.yaml:7: tunnels.t: a and b have the same VPN address 10.0.0.1"},
		{"loopback", "10.0.0.1}", "127.0.0.1}", `inv.yaml:4: peers.a.wan.address: "127.0.0.1": want`},
		{"capture name", "b: b}", "b: b, capture: {name: a/b}}", `inv.yaml:7: tunnels.t.capture.name: "a/b": want a letter`},
		{"tags that are no list", "b: b}", "b: b, tags: nightly}", "inv.yaml:7: tunnels.t.tags: want a list of names"},
		{"tag that is no name", "b: b}", `b: b, tags: [good, "a b"]}`, "inv.yaml:7: tunnels.t.tags: want a list of names"},
		{"tag twice", "b: b}", "b: b, tags: [x, x]}", `inv.yaml:7: tunnels.t.tags: "x" stands there twice`},
		{"second document", "tunnels:", "---\ntunnels:", "inv.yaml:6: a second document begins"},
		{"no YAML", "tunnels:", "tunnels: }", "inv.yaml:6: want YAML: "},
		{"open quote", "host: 192.0.2.2", `host: "192.0.2.2`, "want YAML: "},
		{"tab", "  t:", "\tt:", "inv.yaml:7: want YAML: "},
		{"NUL", "  t:", "  t\x00:", "inv.yaml:7: want text in UTF-8"},
		{"UTF-16", "b: b", "b: \xff\xfe", "inv.yaml:7: want text in UTF-8"},
		{"unknown alias", "b: b}", "b: *b}", "inv.yaml:7: want YAML: unknown anchor"},
		{"not a mapping", "  b: {host: 192.0.2.2, wan: {interface: Gi1, address: 10.0.0.2}}", "  b: [1]",
			"inv.yaml:5: peers.b: want a mapping"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(valid, tt.old) {
				t.Fatalf("%q is not in the valid inventory", tt.old)
			}
			_, err := Parse("inv.yaml", strings.NewReader(strings.Replace(valid, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v\nwant %s", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Error("the error repeats the secret")
			}
		})
	}
}

// Each line of a message is one mistake of the file, not another consequence of it.
func TestOneMistakeIsOneLine(t *testing.T) {
	tests := []struct{ name, text string }{
		{"secret", strings.Replace(valid, "env:P", "hunter2", 1)},
		{"version", strings.Replace(valid, "version: 1", "version: 3", 1)},
		{"list", "[1, 2]"},
		{"empty", "# nothing"},
		{"long value", strings.Replace(valid, "10.0.0.1", strings.Repeat("9", 1e6), 1)},
		{"deep nesting", strings.Repeat("[", 1e5)},
		{"bad bytes", valid + "\xff\xfe"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("f", strings.NewReader(tt.text))
			if err == nil || strings.Count(err.Error(), "\n") != 0 || len(err.Error()) > 300 ||
				!strings.HasPrefix(err.Error(), "f:") {
				t.Errorf("want one short line with file and line, got\n%v", err)
			}
		})
	}
}

// TestExampleHasEveryKey keeps the example the place where people look keys up.
func TestExampleHasEveryKey(t *testing.T) {
	b, err := os.ReadFile("../../inventory.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// An unknown key makes the parser name those that it knows, so one in each mapping makes it name
	// them all.
	const unknown = `
zz: 1
defaults: {zz: 1, limits: {zz: 1}, timeouts: {zz: 1}}
peers: {p: {zz: 1, wan: {zz: 1}}}
tunnels: {t: {zz: 1, capture: {zz: 1}}}
schedules: {s: {zz: 1, tunnels: {zz: 1}, blackout: [{zz: 1}]}}
`
	_, err = Parse("f", strings.NewReader(unknown))
	all := map[string]bool{}
	for _, m := range regexp.MustCompile(`unknown key; want one of (.*)`).FindAllStringSubmatch(fmt.Sprint(err), -1) {
		for k := range strings.SplitSeq(m[1], ", ") {
			all[k] = true
		}
	}
	if len(all) < 56 {
		t.Fatalf("only %d keys are known: %v", len(all), err)
	}
	for k := range all {
		if !regexp.MustCompile(`(?m)(?:^|[ {])` + regexp.QuoteMeta(k) + `:`).Match(b) {
			t.Errorf("the example does not show %s", k)
		}
	}
}

func TestEveryProblemIsReportedAtOnce(t *testing.T) {
	broken := strings.NewReplacer("10.0.0.1", "nonsense", "b: b}", "b: zz}", "Gi1, address: 10.0.0.2",
		"eth;0, address: 10.0.0.2").Replace(valid)
	_, err := Parse("f", strings.NewReader(broken))
	if err == nil || strings.Count(err.Error(), "\n") != 2 {
		t.Errorf("want three lines, got:\n%v", err)
	}
}

func TestSecretsNeverPrint(t *testing.T) {
	const canary = "c4n4ry-5ecret"
	s := NewSecret(canary)
	j, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), string(j),
		s.LogValue().String()} {
		if strings.Contains(out, canary) {
			t.Errorf("printed: %s", out)
		}
	}
	if s.Reveal() != canary {
		t.Error("Reveal must return it")
	}
}

func TestResolve(t *testing.T) {
	dir := t.TempDir()
	private := filepath.Join(dir, "private")
	public := filepath.Join(dir, "public")
	for path, mode := range map[string]os.FileMode{private: 0o600, public: 0o644} {
		if err := os.WriteFile(path, []byte("fromfile\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("INVENTORY_TEST_SECRET", "fromenv")
	ask := func(prompt string) (Secret, error) { return NewSecret("typed for " + prompt), nil }
	tests := []struct{ ref, want, wantErr string }{
		{"env:INVENTORY_TEST_SECRET", "fromenv", ""},
		{"env:INVENTORY_TEST_NOT_SET", "", "not set"},
		{"file:" + private, "fromfile", ""},
		{"file:" + public, "", "chmod 600"},
		{"file:" + dir + "/none", "", "no such file"},
		{"cmd:printf one\\ntwo", "one", ""},
		{"cmd:false", "", "exit status 1"},
		{"ask", "typed for password", ""},
	}
	for _, tt := range tests {
		t.Run(tt.ref, func(t *testing.T) {
			r, err := ParseSecretRef(tt.ref)
			if err != nil {
				t.Fatal(err)
			}
			s, err := r.Resolve(t.Context(), "password", ask)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || !strings.Contains(err.Error(), tt.ref) {
					t.Errorf("error %v, want it to name the reference and %q", err, tt.wantErr)
				}
				return
			}
			if err != nil || s.Reveal() != tt.want {
				t.Errorf("got %q, %v; want %q", s.Reveal(), err, tt.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add(valid)
	f.Add("a: &a [*a]")
	f.Add("version: 1\npeers: {a: {wan: {}}}\n")
	f.Fuzz(func(t *testing.T, s string) {
		inv, err := Parse("f", strings.NewReader(s))
		if err != nil {
			return
		}
		for _, p := range inv.Peers {
			if strings.ContainsAny(p.WAN.Interface+p.WAN.VRF+p.Host, "\n\r;|&?") {
				t.Errorf("a line of the router could be left by %+v", p)
			}
		}
	})
}
