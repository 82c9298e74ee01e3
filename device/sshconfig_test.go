package device

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/device/simulator"
)

// sshG is what OpenSSH makes of a configuration for a host.
func sshG(t *testing.T, config, host string, options ...string) map[string][]string {
	t.Helper()
	ssh, err := exec.LookPath("ssh")
	if err != nil {
		t.Skip("OpenSSH is not installed")
	}
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), ssh,
		append(append([]string{"-G", "-F", file}, options...), host)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh -G: %v: %s\n%s", err, out, config)
	}
	said := map[string][]string{}
	for l := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(l), " ")
		said[key] = append(said[key], value)
	}
	return said
}

// asOpenSSH fails when we read a configuration for a host in another way than OpenSSH.
func asOpenSSH(t *testing.T, config, host string) {
	t.Helper()
	want := sshG(t, config, host)
	lines, err := parseConfig("config", config, "", 0)
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	got, err := (&sshConfig{lines: lines}).of(host, "")
	if err != nil {
		t.Fatalf("%v\n%s", err, config)
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if got.user == "" {
		got.user = me.Username
	}
	port := standardPort
	if got.port != "" {
		if port, err = portNumber(got.port); err != nil {
			t.Fatal(err)
		}
	}
	none := func(s string) string {
		if s == "none" {
			return ""
		}
		return s
	}
	for key, value := range map[string]string{"hostname": got.hostName, "user": got.user, "port": fmt.Sprint(port),
		"proxyjump": none(got.proxyJump), "proxycommand": none(got.proxyCommand)} {
		if w := strings.Join(want[key], " "); value != none(w) {
			t.Errorf("%s of %s is %q, OpenSSH says %q\n%s", key, host, value, w, config)
		}
	}
	if len(got.identityFiles) > 0 && !slices.Equal(got.identityFiles, want["identityfile"]) {
		t.Errorf("identity files of %s are %q, OpenSSH says %q\n%s", host, got.identityFiles, want["identityfile"], config)
	}
}

func TestSSHConfigAsOpenSSH(t *testing.T) {
	for name, config := range map[string]string{
		"first value":     "Host r1\n Port 3201\nHost r*\n Port 3202\n User x\nHost *\n User y\n",
		"quotes":          "Host \"r1\"\n HostName 127.0.0.1\n",
		"equals":          "Host=r1\n HostName = 127.0.0.1\nPort=99\n",
		"comment":         "Host r1 # the router\n HostName 127.0.0.1 # here\n",
		"negated":         "Host * !r1\n Port 3201\nHost r? !r2\n User z\n",
		"service":         "Host r1\n Port http\n",
		"host name match": "Host r1\n HostName 127.0.0.1\nMatch host 127.0.0.1\n Port 3201\n",
		"original host":   "Host r1\n HostName 127.0.0.1\nMatch originalhost r1\n Port 3201\nMatch host r1\n Port 3202\n",
		"not host":        "Match !host r2\n Port 3201\n",
		"user":            "Host r1\n User ops\nMatch user ops\n Port 3201\n",
		"user list":       "Match user \"a,*,!nobody\" host r1,r2\n Port 3201\n",
		"local user":      "Match localuser nobodyhere\n Port 3201\nMatch all\n Port 3202\n",
		"final": "Host r1\n HostName %h.example.net\nMatch final host r1.example.net\n Port 3201\nMatch final " +
			"all\n User last\n",
		"canonical":     "Match canonical\n Port 3201\nMatch all\n Port 3202\n",
		"tokens":        "Host r1\n HostName %h.lab%%1\n",
		"jump first":    "Host r1\n ProxyJump bastion\nHost *\n ProxyCommand nc %h %p\n",
		"command first": "Host r1\n ProxyCommand nc %h %p\nHost *\n ProxyJump bastion\n",
		"no jump":       "Host r1\n ProxyJump none\nHost *\n ProxyJump bastion\n",
		"no command":    "Host r1\n ProxyCommand none\nHost *\n ProxyJump bastion\n",
		"keys":          "Host r1\n IdentityFile /a\n IdentityFile \"/b c\"\n IdentityFile /a\n",
		"indentation":   "\tHost r1\n\n   Port   7\n#Port 8\n   # Port 9\n",
		"case":          "hOST r1\n pORT 7\nHost R1\n User upper\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, host := range []string{"r1", "r2", "R1"} {
				asOpenSSH(t, config, host)
			}
		})
	}
}

func TestAnySSHConfigAsOpenSSH(t *testing.T) {
	heads := []string{"Host r1", "Host *", "Host r? !r2", "Host r1 r2", "Match host r1", "Match host 10.0.0.?",
		"Match all", "Match originalhost r1,r3",
		"Match user ops", "Match !user ops host *", "Match final", "Match final host 10.*", "Match canonical all",
		"Match localuser root"}
	values := []string{"HostName 10.0.0.1", "HostName %h.net", "Port 2201", "Port 2202", "User ops", "User eve",
		"ProxyJump b1", "ProxyJump none",
		"ProxyCommand nc %h %p", "IdentityFile /k1", "IdentityFile /k2", "ForwardAgent no"}
	const rounds = 60
	rng := rand.New(rand.NewPCG(1, 2))
	for range rounds {
		var b strings.Builder
		for range rng.IntN(3) {
			b.WriteString(values[rng.IntN(len(values))] + "\n")
		}
		for range 1 + rng.IntN(5) {
			b.WriteString(heads[rng.IntN(len(heads))] + "\n")
			for range rng.IntN(4) {
				b.WriteString("  " + values[rng.IntN(len(values))] + "\n")
			}
		}
		asOpenSSH(t, b.String(), []string{"r1", "r2", "r3"}[rng.IntN(3)])
	}
}

func TestSSHConfigIncludes(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.conf": "Port 7\nHost r2\n User two\n", "b.conf": "Host r1\n User one\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, config := range []string{
		"Include " + dir + "/*.conf\nUser none\n", "Host r1\n Include " + dir + "/a.conf\n User x\n",
		"Host r2\nInclude " + dir + "/b.conf " + dir + "/a.conf\n User y\n", "Include " + dir + "/missing.conf\n",
	} {
		asOpenSSH(t, config, "r1")
		asOpenSSH(t, config, "r2")
	}
	round := filepath.Join(dir, "round")
	if err := os.WriteFile(round, []byte("Include "+round+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readConfig(round, dir, 0); err == nil || !strings.Contains(err.Error(), "include each other") {
		t.Errorf("a circle: %v", err)
	}
	if err := os.Chmod(round, 0o666); err != nil { // #nosec G302 -- that is the test
		t.Fatal(err)
	}
	if _, err := readConfig(round, dir, 0); err == nil || !strings.Contains(err.Error(), "somebody else") {
		t.Errorf("a file that others may write: %v", err)
	}
}

// What cannot be judged without running something is skipped and said, and ends nothing.
func TestMatchThatNobodyJudges(t *testing.T) {
	const config = "Host r1\n HostName 127.0.0.1\nMatch host 127.0.0.1 exec \"touch /tmp/never\"\n Port 1\nMatch host " +
		"other exec true\n Port 2\nMatch tagged x\n Port 3\nHost *\n Port 3201\n"
	lines, err := parseConfig("config", config, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := (&sshConfig{lines: lines}).of("r1", "")
	if err != nil || got.port != "3201" ||
		!slices.Equal(got.unjudged, []string{"config:3: Match exec", "config:7: Match tagged"}) {
		t.Errorf("%+v, %v", got, err)
	}
	for text, want := range map[string]string{"Host": "its value is missing", "Host r1\nPort": "config:2: Port: its value",
		"Host \"r1\n": "not closed"} {
		if _, err := parseConfig("config", text, "", 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestProxyCommand(t *testing.T) {
	for command, want := range map[string]string{
		"none": "[]", "ssh -W %h:%p ops@bastion": "[{ops bastion 22 []}]", "ssh -q -W [%h]:%p bastion": "[{ bastion 22 []}]",
		"nc -X connect %h %p": "does not run", "ssh -F other -W %h:%p bastion": "does not run",
		"ssh -W %h:%p -oProxyCommand=x": "does not run",
	} {
		jumps, err := sshHost{proxyCommand: command}.jumps()
		if got := fmt.Sprint(jumps, err); !strings.Contains(got, want) {
			t.Errorf("%s: %s", command, got)
		}
	}
	// A way that is not gone is an error, and no direct dial.
	l := newLab(t, simulator.Config{})
	home := t.TempDir()
	t.Setenv("HOME", home)
	if err := os.Mkdir(filepath.Join(home, ".ssh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".ssh", "config"), []byte("Host *\n ProxyCommand nc %h %p\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	l.peer.SSHConfig = true
	if err := l.router().Open(t.Context()); err == nil || !strings.Contains(err.Error(), "ProxyCommand") ||
		l.dialled() != 0 {
		t.Errorf("%v, %d connections", err, l.dialled())
	}
}
