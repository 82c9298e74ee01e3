//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// nobody is whom tshark is run as when the tests are root's: as root it takes extcap programs from
// the system's folder alone.
const nobody = 65534

// wireshark is a tshark with a home and an extcap folder of its own, and a moncap that it may run.
type wireshark struct {
	t      *testing.T
	tshark string
	dir    string
	env    []string
}

func newWireshark(t *testing.T, l *testLab) *wireshark {
	bin := tool(t, "tshark")
	dir, err := os.MkdirTemp("", "moncap-extcap-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	w := &wireshark{t: t, tshark: bin, dir: dir}
	// moncap itself, and what it reads, where whoever runs tshark can.
	copyTo := func(name, from string, mode fs.FileMode) {
		b, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, mode)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	copyTo("moncap", os.Args[0], 0o755)
	for _, name := range []string{"password", "known_hosts"} {
		copyTo(name, filepath.Join(filepath.Dir(l.inventory), name), 0o600)
	}
	b, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), filepath.Dir(l.inventory)+"/", dir+"/")
	if err := os.WriteFile(filepath.Join(dir, "inventory.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"extcap", "runs", "state"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w.env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8",
		"WIRESHARK_EXTCAP_DIR=" + filepath.Join(dir, "extcap"),
		"MONCAP_TEST_AS_PROGRAM=1", "MONCAP_RUNS=" + filepath.Join(dir, "runs"),
		"XDG_STATE_HOME=" + filepath.Join(dir, "state")}
	if os.Geteuid() == 0 {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if err == nil {
				err = os.Lchown(path, nobody, nobody)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *wireshark) command(program string, args ...string) *exec.Cmd {
	c := exec.CommandContext(w.t.Context(), program, args...)
	c.Env, c.Dir = w.env, w.dir
	if os.Geteuid() == 0 {
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return c
}

// TestWiresharkCapturesATunnel: tshark lists the tunnel, captures from it while two simulated
// routers do, and shows both sides with what is wrong as comments.
func TestWiresharkCapturesATunnel(t *testing.T) {
	t.Parallel()
	l := newTestLab(t, "blocked-a-to-b")
	w := newWireshark(t, l)
	if out, err := w.command(filepath.Join(w.dir, "moncap"), "extcap", "--install", "-i",
		filepath.Join(w.dir, "inventory.yaml")).CombinedOutput(); err != nil ||
		!strings.Contains(string(out), "1 tunnel in Wireshark") {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := w.command(w.tshark, "-D").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "moncap-demo (IPsec tunnel demo, both ends: site-a and site-b)") {
		t.Fatalf("%v\n%s", err, out)
	}
	file := filepath.Join(w.dir, "both.pcapng")
	c := w.command(w.tshark, "-i", "moncap-demo", "-o", "extcap.moncap_demo.duration:3s", "-w", file)
	out, err = c.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	r := w.command(w.tshark, "-r", file, "-T", "json", "-e", "frame.interface_name", "-e", "frame.comment", "-e",
		"isakmp.exchangetype")
	b, err := r.Output()
	var frames []struct {
		Source struct {
			Layers struct {
				Interface []string `json:"frame.interface_name"`
				Comment   []string `json:"frame.comment"`
				Exchange  []string `json:"isakmp.exchangetype"`
			} `json:"layers"`
		} `json:"_source"`
	}
	if err := json.Unmarshal(b, &frames); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	seen, findings := map[string]int{}, 0
	for _, f := range frames {
		if len(f.Source.Layers.Exchange) > 0 {
			seen[f.Source.Layers.Interface[0]]++
		}
		if strings.Contains(strings.Join(f.Source.Layers.Comment, "\n"), "FINDING path-blocked") {
			findings++
		}
	}
	if err != nil || findings == 0 {
		t.Errorf("%v, %d comments tell the finding; %v\n%s", err, findings, seen, out)
	}
	for _, name := range []string{"site-a GigabitEthernet1 (live)", "site-b GigabitEthernet1 (live)",
		"site-a GigabitEthernet1", "site-b GigabitEthernet1"} {
		if seen[name] == 0 {
			t.Errorf("no IKE from %q: %v", name, seen)
		}
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// Wireshark's Stop is a SIGTERM: the captures end, are kept and shown. A reader that goes away ends
// them, too.
func TestWiresharkStops(t *testing.T) {
	for _, how := range []string{"SIGTERM", "reader gone"} {
		t.Run(how, func(t *testing.T) {
			l := newTestLab(t, "blocked-a-to-b")
			dir := t.TempDir()
			fifo := filepath.Join(dir, "fifo")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), tooLong)
			defer cancel()
			c := exec.CommandContext(ctx, os.Args[0], "extcap", "--capture", "--extcap-interface", "moncap-demo", "--fifo", fifo,
				"--duration", "10m", "-i", l.inventory)
			c.Env = append(os.Environ(), "MONCAP_TEST_AS_PROGRAM=1", "MONCAP_RUNS="+filepath.Join(dir, "runs"))
			var said bytes.Buffer
			c.Stdout, c.Stderr = &said, &said
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			r, err := os.Open(fifo)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			// The interfaces come at once, a packet when the routers capture.
			head := make([]byte, 600)
			if _, err := io.ReadFull(r, head); err != nil {
				t.Fatalf("%v\n%s", err, said.String())
			}
			var rest []byte
			if how == "SIGTERM" {
				if err := c.Process.Signal(syscall.SIGTERM); err != nil {
					t.Fatal(err)
				}
				rest, err = io.ReadAll(r)
			} else {
				err = r.Close()
			}
			if err := c.Wait(); err != nil {
				t.Fatalf("%v\n%s", err, said.String())
			}
			if err != nil || how == "SIGTERM" && !bytes.Contains(rest, []byte("FINDING path-blocked")) {
				t.Errorf("%v: no finding in %d bytes\n%s", err, len(rest), said.String())
			}
			if reports, err := filepath.Glob(filepath.Join(dir, "runs", "*", "report.json")); err != nil || len(reports) != 1 {
				t.Errorf("reports %q, %v", reports, err)
			}
			if dirty := l.dirty(); len(dirty) > 0 {
				t.Errorf("%v is not as it was", dirty)
			}
		})
	}
}

// TestExtcapSaysWhatItIsAsked: what Wireshark reads of an extcap program, and what it must not be
// let do.
func TestExtcapSaysWhatItIsAsked(t *testing.T) {
	l := newTestLab(t, "healthy")
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"--extcap-interfaces", "--extcap-version=4.0"}, exitOK, "interface {value=moncap-demo}"},
		{[]string{"--extcap-dlts", "--extcap-interface", "moncap-demo"}, exitOK, "dlt {number=1}"},
		{[]string{"--extcap-config", "--extcap-interface", "moncap-demo"}, exitOK, "{call=--duration}"},
		{[]string{"--extcap-config", "--extcap-interface", "moncap-other"}, exitUsage, "no tunnel"},
		{[]string{"--extcap-config", "--extcap-interface", "eth0"}, exitUsage, "moncap-TUNNEL"},
		{[]string{"--extcap-interface", "moncap-demo", "--extcap-capture-filter", "udp"}, exitOK,
			"there is no capture filter"},
		{[]string{"--capture", "--fifo", "/nowhere/fifo", "--extcap-interface", "moncap-demo"}, exitUsage, "/nowhere/fifo"},
		{[]string{"--capture"}, exitUsage, "--install"},
	} {
		began := time.Now()
		r := moncap(t, append([]string{"extcap", "-i", l.inventory}, tt.args...)...)
		if r.code != tt.code || !strings.Contains(r.stdout+r.stderr, tt.want) {
			t.Errorf("%q: exit %d after %s\n%s%s", tt.args, r.code, time.Since(began), r.stdout, r.stderr)
		}
	}
}
