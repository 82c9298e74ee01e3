package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/moncap/moncap/device/simulator"
)

// console is moncap as a process of its own on a pseudo terminal, as an operator has it.
type console struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	over   chan struct{} // closed when the program ended
	heard  chan struct{} // closed when all that it said was read

	mu   sync.Mutex
	seen bytes.Buffer
}

// openConsole starts moncap. Its standard input, output and error are the terminal.
func openConsole(t *testing.T, l *testLab, args ...string) *console {
	t.Helper()
	master, slave := openPTY(t)
	c := &console{t: t, master: master, over: make(chan struct{}), heard: make(chan struct{})}
	c.cmd = exec.CommandContext(t.Context(), os.Args[0], args...)
	c.cmd.Env = append(os.Environ(), "MONCAP_TEST_AS_PROGRAM=1", "TERM=xterm", "LANG=C.UTF-8",
		"MONCAP_RUNS="+filepath.Join(l.dir, "runs"))
	c.cmd.Stdin, c.cmd.Stdout, c.cmd.Stderr = slave, slave, slave
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := startHeeding(c.cmd); err != nil {
		t.Fatal(err)
	}
	if err := slave.Close(); err != nil {
		t.Fatal(err)
	}
	go c.listen()
	go func() { _ = c.cmd.Wait(); close(c.over) }()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.over
		_ = c.master.Close()
	})
	return c
}

// startHeeding starts a program that heeds the signals of a terminal, also where the tests do not:
// what a script runs in the background, or nohup, ignores them, and so does all that it starts.
// Those that are taken here are as they are by default there.
func startHeeding(c *exec.Cmd) error {
	taken := make(chan os.Signal, 1)
	signal.Notify(taken, os.Interrupt, syscall.SIGHUP)
	defer signal.Stop(taken)
	return c.Start()
}

func openPTY(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo terminal is to be had: %v", err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(master.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 100})
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

func (c *console) listen() {
	defer close(c.heard)
	b := make([]byte, 4096)
	for {
		n, err := c.master.Read(b)
		c.mu.Lock()
		c.seen.Write(b[:n])
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen.String()
}

// expect waits until the terminal was sent some text.
func (c *console) expect(what string) {
	c.t.Helper()
	for deadline := time.Now().Add(tooLong); !strings.Contains(c.text(), what); {
		if time.Now().After(deadline) {
			c.t.Fatalf("%q does not come:\n%q", what, c.text())
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *console) typed(keys string) {
	c.t.Helper()
	if _, err := io.WriteString(c.master, keys); err != nil {
		c.t.Fatal(err)
	}
}

// ends returns the exit code of a program that ends soon.
func (c *console) ends() int {
	c.t.Helper()
	select {
	case <-c.over:
		<-c.heard // what it said last was still on its way
		return c.cmd.ProcessState.ExitCode()
	case <-time.After(tooLong):
		c.t.Fatalf("it does not end:\n%q", c.text())
		return 0
	}
}

func (c *console) echoes() bool {
	c.t.Helper()
	state, err := unix.IoctlGetTermios(int(c.master.Fd()), unix.TCGETS)
	if err != nil {
		c.t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// askForPassword has the inventory's password be typed.
func (l *testLab) askForPassword(t *testing.T) {
	t.Helper()
	b, err := os.ReadFile(l.inventory)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	at := strings.Index(text, `"file:`)
	end := at + 1 + strings.Index(text[at+1:], `"`) + 1
	if at < 0 {
		t.Fatalf("no password in\n%s", text)
	}
	if err := os.WriteFile(l.inventory, []byte(text[:at]+"ask"+text[end:]), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestQuestionsAreSeen is about a password that is typed: the question stays on the screen until it
// is answered, and one answer does for all routers that take it from the inventory's defaults.
func TestQuestionsAreSeen(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.askForPassword(t)
	c := openConsole(t, l, "check", "demo", "-i", l.inventory)
	c.expect("Password for ")
	time.Sleep(300 * time.Millisecond) // several frames of a bar
	if seen := c.text(); !strings.HasSuffix(seen, ": ") || c.echoes() {
		t.Errorf("the question is not the last on the screen, or the answer will be: %q", seen)
	}
	c.typed(labPassword + "\n")
	if code := c.ends(); code != exitOK || strings.Count(c.text(), "Password for ") != 1 ||
		strings.Contains(c.text(), labPassword) {
		t.Errorf("exit %d, and on the screen\n%s", code, c.text())
	}
	if !c.echoes() {
		t.Error("the terminal does not echo any more")
	}
}

func TestInterruptEndsAQuestion(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.askForPassword(t)
	c := openConsole(t, l, "run", "demo", "-i", l.inventory)
	c.expect("Password for ")
	c.typed("\x03")
	if code := c.ends(); code != exitFailed || !strings.Contains(c.text(), "interrupted") ||
		strings.Count(c.text(), "Password for ") != 1 {
		t.Errorf("exit %d, and on the screen\n%s", code, c.text())
	}
	if !c.echoes() {
		t.Error("the terminal does not echo any more")
	}
}

// TestFirstInterruptKeepsTheCapture is about Ctrl-C while a capture waits: it ends the capture, as
// it does in tcpdump.
func TestFirstInterruptKeepsTheCapture(t *testing.T) {
	l := newTestLab(t, "healthy")
	c := openConsole(t, l, "run", "demo", "-i", l.inventory, "--duration", "10m")
	c.expect("wait: ")
	c.typed("\x03")
	if code := c.ends(); code != exitOK {
		t.Errorf("exit %d, and on the screen\n%s", code, c.text())
	}
	c.expect("ESTABLISHED")
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// TestSecondInterruptGivesUp is about Ctrl-C while what was captured is being fetched.
func TestSecondInterruptGivesUp(t *testing.T) {
	l := newTestLab(t, "healthy")
	c := openConsole(t, l, "run", "demo", "-i", l.inventory, "--duration", "10m")
	c.expect("wait: ")
	c.typed("\x03\x03")
	if code := c.ends(); code != exitFailed && code != exitOK {
		t.Errorf("exit %d, and on the screen\n%s", code, c.text())
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// TestHangUp is about a terminal that goes away in the middle of a run.
func TestHangUp(t *testing.T) {
	l := newTestLab(t, "healthy")
	c := openConsole(t, l, "run", "demo", "-i", l.inventory, "--duration", "10m")
	c.expect("wait: ")
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if code := c.ends(); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
	c = openConsole(t, l, "run", "demo", "-i", l.inventory, "--duration", "10m")
	c.expect("wait: ")
	if err := c.master.Close(); err != nil { // which the kernel tells with SIGHUP, and with errors from then on
		t.Fatal(err)
	}
	if code := c.ends(); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	if dirty := l.dirty(); len(dirty) > 0 {
		t.Errorf("%v is not as it was", dirty)
	}
}

// TestSeveralOnATerminal wants a line that moves for each run under way, and a line that stays of
// each that ended.
func TestSeveralOnATerminal(t *testing.T) {
	l := newTestLab(t, "healthy")
	l.hub(t, 2, 2)
	c := openConsole(t, l, "run", "t0", "t1", "--parallel", "2", "-i", l.inventory)
	c.expect("t0  wait: ")
	c.expect("t1  wait: ")
	c.expect(" s of 3 s, A 4 packets, B 4 packets")
	if code := c.ends(); code != exitOK {
		t.Errorf("exit %d, and on the screen\n%s", code, c.text())
	}
	c.expect("t0: established: ")
	c.expect("t1: established: ")
}

// TestErrorsStandOnce: why a run came to nothing is said in one line, whatever the progress shows.
func TestErrorsStandOnce(t *testing.T) {
	l := newLabWith(t, "healthy", func(c *simulator.Config) { c.Flash = map[string][]byte{"taken.pcap": []byte("x")} })
	args := []string{"run", "demo", "-i", l.inventory, "--name", "taken"}
	c := openConsole(t, l, args...)
	if code := c.ends(); code != exitFailed {
		t.Errorf("exit %d", code)
	}
	c.expect("moncap: site-b")
	for how, said := range map[string]string{"a terminal": c.text(),
		"lines": l.inRuns(t, args[:len(args):len(args)]...).stderr} {
		if n := strings.Count(said, "moncap: site-a"); n != 1 {
			t.Errorf("%s: %d errors of side A\n%s", how, n, said)
		}
		if how == "lines" && strings.Count(said, "taken.pcap") > 2 {
			t.Errorf("each side's error stands once in\n%s", said)
		}
	}
}

// TestGivenUpRunSaysWhatIsLeft is about a clean-up that is interrupted in its turn.
func TestGivenUpRunSaysWhatIsLeft(t *testing.T) {
	l := newTestLab(t, "healthy")
	var stderr lockedBuffer
	signals, exited := make(chan os.Signal, 4), make(chan int, 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	a := newApp(ctx, environment{stderr: &stderr, exit: func(code int) { exited <- code }})
	a.given = a.command() // registers its flags, with their defaults
	a.inventory = l.inventory
	out := filepath.Join(l.dir, "bundle")
	if r := moncap(t, "start", "demo", "-i", l.inventory, "--out", out, "--duration", "60s"); r.code != exitOK {
		t.Fatal(r.stderr)
	}
	defer a.interrupts.leaving(func() { a.sayLeft(out) })()
	over := make(chan struct{})
	defer close(over)
	go a.interrupts.watch(signals, over)
	signals <- os.Interrupt
	<-a.interrupts.given()
	signals <- os.Interrupt
	if code := <-exited; code != exitDirty {
		t.Errorf("exit %d, want %d", code, exitDirty)
	}
	for _, want := range []string{"site-a: left on it: access list mc", "site-b: left on it: capture point mc",
		"moncap -i " + l.inventory + " clean " + out} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("%q is not in\n%s", want, stderr.String())
		}
	}
	if _, ok := errors.AsType[*interrupted](a.interrupts.cause()); !ok {
		t.Errorf("the cause is %v", a.interrupts.cause())
	}
	if r := moncap(t, "clean", out, "-i", l.inventory); r.code != exitOK {
		t.Error(r.stderr)
	}
}
