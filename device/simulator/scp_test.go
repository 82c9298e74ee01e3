package simulator

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"golang.org/x/crypto/ssh"
)

// sink is the receiving side of the protocol, as far as it goes: what it got, and what ended it.
type sink struct {
	header string
	data   []byte
	err    error
}

func receive(t *testing.T, r *Router, command string) sink {
	t.Helper()
	client, err := connect(t, r, clientConfig(r))
	if err != nil {
		return sink{err: err}
	}
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		return sink{err: err}
	}
	in, err := s.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	pipe, err := s.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(command); err != nil {
		return sink{err: err}
	}
	return receiveFrom(in, bufio.NewReader(pipe))
}

func receiveFrom(in io.Writer, out *bufio.Reader) (got sink) {
	fail := func(err error) sink {
		got.err = err
		return got
	}
	_, _ = in.Write([]byte{0})
	header, err := out.ReadString('\n')
	got.header = header
	if err != nil || !strings.HasPrefix(header, "C0644 ") {
		return fail(fmt.Errorf("header %q: %w", header, err))
	}
	var size int64
	if _, err := fmt.Sscanf(header, "C0644 %d", &size); err != nil {
		return fail(err)
	}
	_, _ = in.Write([]byte{0})
	got.data, err = io.ReadAll(io.LimitReader(out, min(size, 1<<20)))
	if err != nil {
		return fail(err)
	}
	if int64(len(got.data)) < size {
		return fail(fmt.Errorf("%d of %d bytes", len(got.data), size))
	}
	end, err := out.ReadByte()
	if err != nil || end != 0 {
		return fail(fmt.Errorf("end %d: %v", end, err))
	}
	_, _ = in.Write([]byte{0})
	return got
}

var content = bytes.Repeat([]byte("packets "), 5000)

func TestSCP(t *testing.T) {
	flash := map[string][]byte{"capture.pcap": content}
	tests := map[string]struct {
		config Config
		path   string
		want   string // "" when the file comes
	}{
		"slash":      {Config{}, "-f bootflash:/capture.pcap", ""},
		"plain":      {Config{}, "-f bootflash:capture.pcap", ""},
		"flash":      {Config{}, "-f flash:/capture.pcap", ""},
		"bare":       {Config{}, "-f capture.pcap", ""},
		"flags":      {Config{}, "-v -f bootflash:capture.pcap", ""},
		"only slash": {Config{Knobs: Knobs{SCPPath: "slash"}}, "-f bootflash:capture.pcap", "No such file"},
		"only plain": {Config{Knobs: Knobs{SCPPath: "plain"}}, "-f bootflash:/capture.pcap", "No such file"},
		"only bare":  {Config{Knobs: Knobs{SCPPath: "bare"}}, "-f capture.pcap", ""},
		"quoted":     {Config{}, "-f 'bootflash:capture.pcap'", "No such file"},
		"missing": {Config{}, "-f bootflash:other.pcap",
			"\x01%Error opening bootflash:other.pcap (No such file or directory)"},
		"off":   {Config{Knobs: Knobs{NoSCP: true}}, "-f bootflash:capture.pcap", "Administratively disabled."},
		"level": {Config{Privilege: 1, Enable: "x"}, "-f bootflash:capture.pcap", "Privilege denied."},
		"unauthorized": {Config{Authorize: func(c string) bool { return !strings.HasPrefix(c, "scp") }},
			"-f bootflash:capture.pcap", "Privilege denied."},
		"upload": {Config{}, "-t bootflash:capture.pcap", "\x01"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			tt.config.Flash = flash
			got := receive(t, start(t, tt.config), "scp "+tt.path)
			if tt.want == "" {
				if got.err != nil || !bytes.Equal(got.data, content) || got.header != "C0644 40000 capture.pcap\n" {
					t.Errorf("header %q, %d bytes, %v", got.header, len(got.data), got.err)
				}
				return
			}
			if got.err == nil || !strings.Contains(got.header, tt.want) {
				t.Errorf("header %q, %v", got.header, got.err)
			}
		})
	}
}

func TestSCPFaults(t *testing.T) {
	tests := map[Action]func(sink) bool{
		SCPNeverStarts: func(s sink) bool { return s.err != nil && s.header == "" },
		SCPStops:       func(s sink) bool { return len(s.data) == len(content)/2 },
		SCPStalls:      func(s sink) bool { return len(s.data) == 0 && s.err != nil },
		SCPShort:       func(s sink) bool { return s.header == "C0644 40100 capture.pcap\n" && len(s.data) == 40000 },
		SCPLong:        func(s sink) bool { return s.header == "C0644 39900 capture.pcap\n" && s.err != nil },
		SCPCorrupt:     func(s sink) bool { return len(s.data) == 40000 && s.err == nil && !bytes.Equal(s.data, content) },
		SCPEvilName:    func(s sink) bool { return strings.Contains(s.header, "../") && s.err == nil },
		SCPEndless: func(s sink) bool {
			return strings.HasPrefix(s.header, "C0644 4611686018427387904 ") && len(s.data) == 1<<20
		},
		SCPNoEnd: func(s sink) bool { return bytes.Equal(s.data, content) && s.err != nil },
		SCPError: func(s sink) bool { return s.header == "\x01scp: internal error\n" },
		DropFIN:  func(s sink) bool { return s.err != nil },
		DropRST:  func(s sink) bool { return s.err != nil },
		Restart:  func(s sink) bool { return s.err != nil },
	}
	for action, check := range tests {
		t.Run(fmt.Sprint(action), func(t *testing.T) {
			r := start(t, Config{Flash: map[string][]byte{"capture.pcap": content},
				Faults: []Fault{{Match: regexp.MustCompile(`^scp`), Action: action}}})
			if action == SCPNeverStarts || action == SCPStalls {
				stalled(t, r)
				return
			}
			if got := receive(t, r, "scp -f bootflash:capture.pcap"); !check(got) {
				t.Errorf("header %q, %d bytes, %v", got.header, len(got.data), got.err)
			}
			if got := receive(t, r, "scp -f bootflash:capture.pcap"); got.err != nil || r.Fired() != 1 {
				t.Errorf("the next transfer: %v; %d faults", got.err, r.Fired())
			}
		})
	}
}

// stalled checks that nothing comes any more, and that both sides can end then.
func stalled(t *testing.T, r *Router) {
	client, err := connect(t, r, clientConfig(r))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan sink)
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	out, _ := s.StdoutPipe()
	if err := s.Start("scp -f bootflash:capture.pcap"); err != nil {
		t.Fatal(err)
	}
	go func() { done <- receiveFrom(in, bufio.NewReader(out)) }()
	waitFor(t, func() bool { return r.Fired() == 1 })
	client.Close()
	if got := <-done; got.err == nil {
		t.Errorf("the transfer succeeded: %q", got.header)
	}
}

// The transfer of one file holds no more than a piece of it for the connection.
func TestFileInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		data := make([]byte, 3<<20)
		for i := range data {
			data[i] = byte(rand.IntN(256))
		}
		r := start(t, Config{Flash: map[string][]byte{"big": data}})
		if got := receiveAll(t, r, len(data)); !bytes.Equal(got, data) {
			t.Error("the file is another one")
		}
	})
}

func receiveAll(t *testing.T, r *Router, size int) []byte {
	client, err := connect(t, r, clientConfig(r))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	s.Stdin = bytes.NewReader([]byte{0, 0, 0})
	out, err := s.Output("scp -f big")
	if err != nil {
		t.Fatal(err)
	}
	_, out, _ = bytes.Cut(out, []byte("\n"))
	return out[:min(size, len(out))]
}

// openSSH runs ssh or scp against the router with a key.
func openSSH(t *testing.T, r *Router, key, program string, args ...string) ([]byte, error) {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Skipf("no %s here: %v", program, err)
	}
	_, port, _ := strings.Cut(r.Addr(), ":")
	common := []string{"-F", "none", "-i", key, "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes", "-o",
		"StrictHostKeyChecking=yes",
		"-o", "UserKnownHostsFile=" + filepath.Join(filepath.Dir(key), "known_hosts"), "-o", "Port=" + port}
	return exec.CommandContext(t.Context(), path, append(common, args...)...).CombinedOutput()
}

// openSSHRouter is a router on a TCP port, and the file of a key that it knows.
func openSSHRouter(t *testing.T, c Config) (*Router, string) {
	t.Helper()
	signer, pem := newKey(t)
	c.AuthorizedKeys = []ssh.PublicKey{signer.PublicKey()}
	r := start(t, c)
	if err := r.Listen(t.Context(), "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	_, port, _ := strings.Cut(r.Addr(), ":")
	known := fmt.Sprintf("[127.0.0.1]:%s %s", port, ssh.MarshalAuthorizedKey(r.HostKey()))
	for name, data := range map[string][]byte{"key": pem, "known_hosts": []byte(known)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return r, filepath.Join(dir, "key")
}

func TestOpenSSH(t *testing.T) {
	r, key := openSSHRouter(t, Config{Flash: map[string][]byte{"capture.pcap": content}})
	out, err := openSSH(t, r, key, "ssh", "moncap@127.0.0.1", "show version")
	if err != nil || !strings.Contains(string(out), "Cisco IOS XE Software, Version 16.12.06\r\n") {
		t.Errorf("ssh: %v: %s", err, out)
	}
	// scp compares the name that comes with what follows the last slash of what it asked for; -T turns
	// that off.
	for path, check := range map[string]string{"bootflash:/capture.pcap": "-q", "bootflash:capture.pcap": "-T",
		"capture.pcap": "-q"} {
		to := filepath.Join(t.TempDir(), "got.pcap")
		if out, err = openSSH(t, r, key, "scp", "-O", check, "moncap@127.0.0.1:"+path, to); err != nil {
			t.Fatalf("scp %s: %v: %s", path, err, out)
		}
		if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, content) {
			t.Errorf("scp %s: %d bytes, %v", path, len(got), err)
		}
	}
	if out, err = openSSH(t, r, key, "scp", "-O", "moncap@127.0.0.1:bootflash:/none", t.TempDir()); err == nil ||
		!strings.Contains(string(out), "No such file") {
		t.Errorf("a missing file: %v: %s", err, out)
	}
	if out, err = openSSH(t, r, key, "scp", "-s", "moncap@127.0.0.1:capture.pcap", t.TempDir()); err == nil {
		t.Errorf("there is no SFTP server, but: %s", out)
	}
}

// A whole dialogue through OpenSSH's own terminal.
func TestOpenSSHTerminal(t *testing.T) {
	r, key := openSSHRouter(t, Config{})
	path, err := exec.LookPath("ssh")
	if err != nil {
		t.Skipf("no ssh here: %v", err)
	}
	_, port, _ := strings.Cut(r.Addr(), ":")
	cmd := exec.CommandContext(t.Context(), path, "-F", "none", "-tt", "-i", key, "-o", "IdentitiesOnly=yes", "-o",
		"BatchMode=yes",
		"-o", "UserKnownHostsFile="+filepath.Join(filepath.Dir(key), "known_hosts"), "-p", port, "moncap@127.0.0.1")
	cmd.Stdin = strings.NewReader("terminal length 0\nshow privilege\nconf t\nhostname changed\nend\nexit\n")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Current privilege level is 15\r\n") ||
		!strings.Contains(string(out), "changed#exit") {
		t.Errorf("%v: %s", err, out)
	}
}

func BenchmarkSCP100MB(b *testing.B) {
	r, err := New(Config{Flash: map[string][]byte{"big": make([]byte, 100<<20)}})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	b.SetBytes(100 << 20)
	for b.Loop() {
		near, far := Pipe()
		r.Serve(far)
		c, channels, requests, err := ssh.NewClientConn(near, "pipe", clientConfig(r))
		if err != nil {
			b.Fatal(err)
		}
		client := ssh.NewClient(c, channels, requests)
		s, err := client.NewSession()
		if err != nil {
			b.Fatal(err)
		}
		s.Stdin, s.Stdout = bytes.NewReader([]byte{0, 0, 0}), io.Discard
		if err := s.Run("scp -f big"); err != nil {
			b.Fatal(err)
		}
		client.Close()
	}
}
