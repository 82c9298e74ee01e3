package simulator

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// lab is a router with the addresses of the incidents.
func lab(c Config) Config {
	c.Hostname = or(c.Hostname, "site-A")
	if len(c.Interfaces) == 0 {
		c.Interfaces = []Interface{
			{Name: "GigabitEthernet1", Address: netip.MustParseAddr("192.168.1.1")},
			{Name: "GigabitEthernet2"},
		}
	}
	return c
}

func start(t *testing.T, c Config) *Router {
	t.Helper()
	r, err := New(lab(c))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

func clientConfig(r *Router) *ssh.ClientConfig {
	return &ssh.ClientConfig{User: "moncap", Auth: []ssh.AuthMethod{ssh.Password("moncap")},
		HostKeyCallback: ssh.FixedHostKey(r.HostKey())}
}

// connect opens an SSH connection in memory.
func connect(t *testing.T, r *Router, config *ssh.ClientConfig) (*ssh.Client, error) {
	t.Helper()
	near, far := Pipe()
	r.Serve(far)
	return connectOn(t, near, config)
}

func connectOn(t *testing.T, conn net.Conn, config *ssh.ClientConfig) (*ssh.Client, error) {
	t.Helper()
	c, channels, requests, err := ssh.NewClientConn(conn, "pipe", config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	client := ssh.NewClient(c, channels, requests)
	t.Cleanup(func() { client.Close() })
	return client, nil
}

// console is a person at a terminal.
type console struct {
	t    *testing.T
	in   io.Writer
	out  io.Reader
	seen []byte
}

// channel opens a session channel on a connection of its own.
func channel(t *testing.T, r *Router) *ssh.Session {
	t.Helper()
	client, err := connect(t, r, clientConfig(r))
	if err != nil {
		t.Fatal(err)
	}
	s, err := client.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func open(t *testing.T, r *Router, columns, rows int) *console {
	t.Helper()
	s := channel(t, r)
	err := s.RequestPty("vt100", rows, columns, ssh.TerminalModes{})
	if err != nil {
		t.Fatal(err)
	}
	c := &console{t: t}
	if c.in, err = s.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if c.out, err = s.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	return c
}

// login is a console behind its first prompt, without paging.
func login(t *testing.T, r *Router) *console {
	t.Helper()
	c := open(t, r, 0, 0)
	c.until(prompt)
	c.run("terminal width 512")
	return c
}

var prompt = regexp.MustCompile(`(?:^|\n)[A-Za-z][\w.-]*(\([\w-]+\))?[#>]$`)

// until reads to the end of a match and returns everything up to there.
func (c *console) until(end *regexp.Regexp) string {
	c.t.Helper()
	buffer := make([]byte, 4096)
	for {
		tail := c.seen[max(0, len(c.seen)-400):]
		if end.Match(tail) {
			text := string(c.seen)
			c.seen = nil
			return text
		}
		n, err := c.out.Read(buffer)
		c.seen = append(c.seen, buffer[:n]...)
		if err != nil && n == 0 {
			c.t.Fatalf("waiting for %s: %v after %q", end, err, c.seen)
		}
	}
}

func (c *console) send(s string) {
	c.t.Helper()
	if _, err := io.WriteString(c.in, s); err != nil {
		c.t.Fatalf("sending %q: %v", s, err)
	}
}

// run sends a command and returns its output, without echo and prompt, with plain newlines.
func (c *console) run(command string) string {
	c.t.Helper()
	c.send(command + "\n")
	return body(c.until(prompt))
}

func body(text string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	_, text, _ = strings.Cut(text, "\n")
	if i := strings.LastIndexByte(text, '\n'); i >= 0 {
		return text[:i+1]
	}
	return ""
}

// rest reads until the other side closes.
func (c *console) rest() string {
	data, _ := io.ReadAll(c.out)
	return string(c.seen) + string(data)
}

// shared finds a file of the recorded outputs, or skips.
func shared(t *testing.T, elements ...string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	path := filepath.Join(append([]string{filepath.Dir(dir), "shared"}, elements...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no recorded outputs here: %v", err)
	}
	return path
}

func sample(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(shared(t, "ios-samples", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(data), "\r\n", "\n")
}

func incident(t *testing.T, name string) (a, b []byte) {
	t.Helper()
	var files [2][]byte
	for i, f := range []string{"a.pcap", "b.pcap"} {
		data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "incidents", name, f))
		if err != nil {
			t.Fatal(err)
		}
		files[i] = data
	}
	return files[0], files[1]
}

// steady is a source that sends frames one after the other, a step apart.
type steady struct {
	frames [][]byte
	step   time.Duration
}

func (s steady) Open(now time.Time, _ func()) Stream { return &steadyStream{steady: s, begin: now} }

type steadyStream struct {
	steady
	begin time.Time
	next  int
}

func (s *steadyStream) at(i int) time.Time { return s.begin.Add(time.Duration(i+1) * s.step) }

func (s *steadyStream) Due(now time.Time) (due []Packet) {
	for ; s.next < len(s.frames) && !s.at(s.next).After(now); s.next++ {
		due = append(due, Packet{s.at(s.next), s.at(s.next), s.frames[s.next], len(s.frames[s.next])})
	}
	return due
}

func (s *steadyStream) Next() (time.Time, bool) { return s.at(s.next), s.next < len(s.frames) }
func (s *steadyStream) Close()                  {}

// udp is an Ethernet frame with a UDP packet.
func udp(src, dst string, sport, dport uint16, size int) []byte {
	payload := make([]byte, 8+size)
	payload[0], payload[1], payload[2], payload[3] = byte(sport>>8), byte(sport), byte(dport>>8), byte(dport)
	return ipFrame(src, dst, 17, 0, payload)
}

func ipFrame(src, dst string, protocol byte, fragment uint16, payload []byte) []byte {
	a, b := netip.MustParseAddr(src), netip.MustParseAddr(dst)
	f := make([]byte, 12, 64+len(payload))
	if a.Is6() {
		f = append(f, 0x86, 0xdd, 0x60, 0, 0, 0, byte(len(payload)>>8), byte(len(payload)), protocol, 64)
	} else {
		n := 20 + len(payload)
		f = append(f, 0x08, 0x00, 0x45, 0xc0, byte(n>>8), byte(n), 0, 0, byte(fragment>>8), byte(fragment), 255, protocol, 0,
			0)
	}
	f = append(append(f, a.AsSlice()...), b.AsSlice()...)
	return append(f, payload...)
}

func discard(r io.Reader) { _, _ = io.Copy(io.Discard, r) }

// newKey makes a user's key, and the file that OpenSSH keeps it in.
func newKey(t *testing.T) (ssh.Signer, []byte) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	return signer, pem.EncodeToMemory(block)
}
