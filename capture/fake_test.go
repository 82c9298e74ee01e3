package capture

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
)

// fakeCapture is a capture point of a fakeRouter.
type fakeCapture struct {
	filter, iface    string
	active, started  bool
	mb, packets, sec int
	until            time.Time // when the router stops it by itself
}

// fakeRouter answers the playbook's commands from a state of its own.
type fakeRouter struct {
	mu *sync.Mutex // a transfer is prepared, and its server asked, beside the commands

	host      string
	serial    string // empty: it does not say
	software  string // as show version has it
	address   string
	acls      map[string][]string
	captures  map[string]*fakeCapture
	files     map[string][]byte
	debugs    map[string]bool
	condition string // the peer of debug-condition
	frames    [][]byte
	offset    time.Duration // of its clock
	scpOff    bool
	scpSays   string // the SCP server's refusal
	privilege int
	free      int64
	cpu       int
	ifState   string
	sa        string // what `show crypto ikev2 sa detailed` prints once a capture runs
	calls     []string
	// what it shows of IKEv1 when its capture has run for so long: the SAs and the crypto sessions
	ikev1      func(running time.Duration) (sas, sessions string)
	fault      func(n int, c iosxe.Command) *fault // for the n-th command, from 0
	fetchFault func(n int, data []byte) ([]byte, error)
	wrote      func([]byte) []byte // what comes of the file that the export writes
	fetches    int
	probes     int
	prepared   int
	dead       bool
	odd        map[string]string // what it answers to a command that it does not carry out
}

// fault is what happens to one command.
type fault struct {
	before, after error // instead of doing it; after having done it
	half          bool  // do the first line only, then after
	hang          bool
	dead          bool   // nothing answers from then on
	done          bool   // with dead: the command itself was still carried out
	say           string // the answer instead of the usual one
	idle          bool   // with say: it is not done
}

type lostError struct{}

func (lostError) Error() string     { return "connection reset by peer" }
func (lostError) SessionLost() bool { return true }

var errOdd = errors.New("an unknown dialog: overwrite?")

func newFake(host, address string) *fakeRouter {
	return &fakeRouter{
		mu:   &sync.Mutex{},
		host: host, software: "16.12.06", address: address, free: 1 << 30, privilege: 15, cpu: 3,
		ifState:  "up                    up",
		acls:     map[string][]string{"KEEP": {"permit ip any any"}},
		captures: map[string]*fakeCapture{"other": {filter: "Capture all packets", iface: "GigabitEthernet2", mb: 10}},
		files:    map[string][]byte{"keep.bin": []byte("keep")},
		debugs:   map[string]bool{},
		frames:   [][]byte{[]byte("a frame of forty-two bytes, more or less.."), []byte("another one")},
	}
}

// state is everything that a run must leave as it was.
func (f *fakeRouter) state() string {
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(f.acls)) {
		fmt.Fprintf(&b, "acl %s %q\n", n, f.acls[n])
	}
	for _, n := range slices.Sorted(maps.Keys(f.captures)) {
		fmt.Fprintf(&b, "capture %s %+v\n", n, *f.captures[n])
	}
	for _, n := range slices.Sorted(maps.Keys(f.files)) {
		fmt.Fprintf(&b, "file %s %x\n", n, f.files[n])
	}
	fmt.Fprintf(&b, "debugs %v\n", slices.Sorted(maps.Keys(f.debugs)))
	return b.String()
}

const latency = 10 * time.Millisecond

func (f *fakeRouter) Exec(ctx context.Context, cmd iosxe.Command) (string, error) {
	if !iosxe.Allowed(cmd) {
		return "", fmt.Errorf("not on the allow-list: %q", cmd.Lines)
	}
	now := f.next(cmd)
	if now.hang {
		<-ctx.Done()
		return "", context.Cause(ctx)
	}
	if err := sleep(ctx, latency); err != nil {
		return "", err
	}
	if now.before != nil {
		return "", now.before
	}
	lines := cmd.Lines
	if now.half {
		lines = lines[:1]
	}
	if now.idle {
		return now.say, now.after
	}
	f.mu.Lock()
	out, err := f.do(cmd, lines)
	f.mu.Unlock()
	if now.after != nil {
		return "", now.after
	}
	if now.say != "" {
		out = now.say
	}
	return out, err
}

// next counts a command, and says what goes wrong with it.
func (f *fakeRouter) next(cmd iosxe.Command) fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := len(f.calls)
	f.calls = append(f.calls, cmd.Name)
	var now fault
	if f.fault != nil {
		if p := f.fault(n, cmd); p != nil {
			now = *p
		}
	}
	if f.dead || now.dead && !now.done {
		now = fault{dead: true, before: lostError{}}
	}
	if f.dead = f.dead || now.dead; now.done {
		now.after = lostError{}
	}
	return now
}

func (f *fakeRouter) ExecAll(ctx context.Context, cmds []iosxe.Command, each func(i int, out string, err error)) {
	for i, cmd := range cmds {
		if ctx.Err() != nil {
			each(i, "", context.Cause(ctx))
			continue
		}
		out, err := f.Exec(ctx, cmd)
		each(i, out, err)
	}
}

func (f *fakeRouter) Stream(ctx context.Context, cmd iosxe.Command, w io.Writer) error {
	out, err := f.Exec(ctx, cmd)
	_, _ = io.WriteString(w, out)
	return err
}

func (f *fakeRouter) do(cmd iosxe.Command, lines []string) (string, error) {
	var out strings.Builder
	if text, ok := f.odd[cmd.Name]; ok {
		return text, nil
	}
	if cmd.Mode == iosxe.Config {
		f.configure(lines)
	} else {
		out.WriteString(f.answer(cmd.Name, strings.Fields(lines[0])))
	}
	// All refusals of this router begin like this; looking for them everywhere would take most of the
	// matrix's time.
	if text := out.String(); strings.HasPrefix(text, "%") || strings.HasPrefix(text, "Capture ") {
		return text, fmt.Errorf("%s: %w", f.host, iosxe.Refused(cmd, text))
	}
	return out.String(), nil
}

func (f *fakeRouter) configure(lines []string) {
	words := strings.Fields(lines[0])
	name := words[len(words)-1]
	if words[0] == "no" {
		delete(f.acls, name)
		return
	}
	for _, l := range lines[1:] {
		if !slices.Contains(f.acls[name], l) {
			f.acls[name] = append(f.acls[name], l)
		}
	}
	if f.acls[name] == nil {
		f.acls[name] = []string{}
	}
}

func (f *fakeRouter) answer(name string, w []string) string {
	switch name {
	case "define-capture", "limit-capture", "start-capture", "stop-capture", "export-capture", "remove-capture":
		return f.monitor(name, w)
	case "show-captures", "show-capture", "show-capture-buffer", "show-capture-brief", "show-capture-dump":
		return f.showCapture(name, w)
	case "show-acl":
		return f.showACL(w[len(w)-1])
	case "dir", "dir-file", "delete-file", "verify-md5":
		return f.flash(name, strings.TrimPrefix(w[len(w)-1], "bootflash:"))
	case "debug-condition", "debug-ikev2":
		f.debugs[strings.TrimPrefix(name, "no-")] = true
		if name == "debug-condition" {
			f.condition = w[len(w)-1]
		}
	case "no-debug-condition", "no-debug-ikev2":
		delete(f.debugs, strings.TrimPrefix(name, "no-"))
	}
	return f.system(name)
}

func (f *fakeRouter) system(name string) string {
	switch name {
	case "show-version":
		out := "Cisco IOS XE Software, Version " + f.software + "\n" + f.host + " uptime is 3 days, 1 minute\n" +
			"cisco CSR1000V (VXE) processor (revision VXE) with 2072040K/3075K bytes of memory.\n"
		if f.serial != "" {
			out += "Processor board ID " + f.serial + "\n"
		}
		return out
	case "show-clock":
		return time.Now().UTC().Add(f.offset).Format("15:04:05.000 UTC Mon Jan 2 2006") + "\nTime source is NTP\n"
	case "show-privilege":
		return fmt.Sprintf("Current privilege level is %d\n", f.privilege)
	case "show-interfaces":
		return "Interface              IP-Address      OK? Method Status                Protocol\n" +
			"GigabitEthernet1       " + f.address + "     YES NVRAM  " + f.ifState + "\n"
	case "show-cpu":
		return fmt.Sprintf("CPU utilization for five seconds: 1%%/0%%; one minute: 2%%; five minutes: %d%%\n", f.cpu)
	case "show-memory":
		return "                Head    Total(b)     Used(b)     Free(b)   Lowest(b)  Largest(b)\n" +
			"Processor  7F1C0C0  2000000000   400000000  1600000000  1500000000  1400000000\n"
	case "show-users":
		return "*  2 vty 0     moncap     idle                 00:00:00 10.0.0.1\n"
	case "show-lines":
		return "*     2 VTY  -\n      3 VTY  -\n      4 VTY  -\n"
	case "show-scp-server":
		if !f.scpOff {
			return "ip scp server enable\n"
		}
	case "show-ikev2-sa":
		if slices.ContainsFunc(slices.Collect(maps.Values(f.captures)), func(c *fakeCapture) bool { return c.active }) {
			return f.sa
		}
	case "show-isakmp-sa", "show-crypto-session":
		return f.showIKEv1(name)
	case "show-debug":
		return f.showDebug()
	case "show-log":
		return "Syslog logging: enabled\n*Apr  3 08:17:36.001: IKEv2:(SESSION ID = 7,SA ID = 1):Verify peer's policy\n" +
			"Payload contents:\n*Apr  3 08:17:36.002: %SYS-5-CONFIG_I: Configured from console\n"
	}
	return ""
}

func (f *fakeRouter) showIKEv1(name string) string {
	for _, c := range f.captures {
		if c.active && f.ikev1 != nil {
			sas, sessions := f.ikev1(time.Duration(c.sec)*time.Second - time.Until(c.until))
			if name == "show-isakmp-sa" {
				return sas
			}
			return sessions
		}
	}
	return ""
}

func (f *fakeRouter) showDebug() string {
	out := ""
	if f.debugs["debug-ikev2"] {
		out += "IKEV2:\n  IKEv2 default debugging is on\n"
	}
	if f.debugs["debug-condition"] {
		out += "\nCondition 1: peer ipv4 " + f.condition + " (0 flags triggered)\n"
	}
	return out
}

func (f *fakeRouter) Fetch(ctx context.Context, file string, w io.Writer,
	progress func(done, total int64)) (int64, error) {
	f.fetches++
	if err := sleep(ctx, latency); err != nil {
		return 0, err
	}
	data, ok := f.files[strings.TrimPrefix(file, "bootflash:")]
	if f.dead || f.scpOff {
		return 0, errors.New("scp: connection refused")
	}
	if !ok {
		return 0, errors.New("scp: no such file")
	}
	var failure error
	if f.fetchFault != nil {
		data, failure = f.fetchFault(f.fetches, data)
	}
	n, err := w.Write(data)
	if progress != nil {
		progress(int64(n), int64(len(data)))
	}
	return int64(n), errors.Join(failure, err)
}

func (f *fakeRouter) ProbeFile(ctx context.Context, file string, _ bool) error {
	if err := sleep(ctx, latency); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.probes++
	refused := func(text string) error {
		return fmt.Errorf("%s: %w", f.host, iosxe.RefusedTransfer("scp -f "+file, text))
	}
	switch _, there := f.files[strings.TrimPrefix(file, "bootflash:")]; {
	case f.dead:
		return lostError{}
	case f.scpSays != "":
		return refused(f.scpSays)
	case f.scpOff:
		return refused("Administratively disabled.")
	case there:
		return fmt.Errorf("%s: %w", f.host, &iosxe.Refusal{Command: "scp -f " + file, Text: "it is there",
			Kind: iosxe.AlreadyThere})
	}
	return nil
}

func (f *fakeRouter) Prepare(context.Context) error {
	f.prepared++
	return nil
}

func endpoints() (a, b Endpoint) {
	a = Endpoint{Name: "site-a", Address: netip.MustParseAddr("192.168.1.1"), Interface: "GigabitEthernet1"}
	b = Endpoint{Name: "site-b", Address: netip.MustParseAddr("192.168.2.1"), Interface: "Gi1"}
	return a, b
}

// scratch is a folder in memory where there is one: the matrix syncs thousands of journals.
func scratch(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "capture-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// lab is two fake routers, a plan for them and a bundle.
type lab struct {
	a, b   *fakeRouter
	plan   *Plan
	bundle *bundle.Bundle
	opts   Options
}

func newLab(t *testing.T, s Settings) *lab {
	t.Helper()
	if s.Duration == 0 {
		s.Duration = 5 * time.Second
	}
	ea, eb := endpoints()
	p, err := NewPlan("hq-branch", ea, eb, s, "20260102-abc123")
	if err != nil {
		t.Fatal(err)
	}
	bun, err := bundle.Create(filepath.Join(scratch(t), "run"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = bun.Close() })
	// No look falls on the very end of the wait, so that every run sends the same.
	return &lab{a: newFake("R1", "192.168.1.1"), b: newFake("R2", "192.168.2.1"), plan: p, bundle: bun,
		opts: Options{Poll: 900 * time.Millisecond}}
}

func (l *lab) hosts() Hosts { return Hosts{l.a, l.b} }

func (l *lab) state() string { return "A\n" + l.a.state() + "B\n" + l.b.state() }
