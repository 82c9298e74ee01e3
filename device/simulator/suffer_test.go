package simulator

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// Each fault at each moment: what the client sees, and whether the command was carried out.
func TestFaultMoments(t *testing.T) {
	for _, action := range []Action{DropFIN, DropRST, Silence, NeverAnswer, Restart} {
		for _, when := range []When{Before, During, After} {
			t.Run(fmt.Sprint(action, when), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := start(t, Config{Faults: []Fault{{Match: regexp.MustCompile(`^show clock`), When: when, Action: action}}})
					c := login(t, r)
					c.send("show clock\n")
					got := make(chan string, 1)
					go func() { got <- c.rest() }()
					time.Sleep(time.Hour / 8) // shorter than the idle limit would be long, if the command had ended
					if r.Fired() != 1 {
						t.Fatalf("%d faults", r.Fired())
					}
					ended := action == DropFIN || action == DropRST || action == Restart
					select {
					case text := <-got:
						if !ended {
							t.Errorf("the session ended: %q", text)
						}
						if strings.Contains(text, "\nsite-A#") {
							t.Errorf("a prompt came: %q", text)
						}
					default:
						if ended {
							t.Error("the session goes on")
						}
					}
					if err := r.Close(); err != nil {
						t.Error(err)
					}
					if !ended {
						if text := <-got; strings.Contains(text, "2000\r\n") != (when == After) {
							t.Errorf("seen: %q", text)
						}
					}
				})
			})
		}
	}
}

// Before means: not carried out. After means: carried out.
func TestFaultBeforeAndAfterTheChange(t *testing.T) {
	for when, exists := range map[When]bool{Before: false, During: true, After: true} {
		r := start(t, Config{Faults: []Fault{{Match: regexp.MustCompile(`match any`), When: when, Action: DropFIN}}})
		c := login(t, r)
		c.send("monitor capture c match any\n")
		c.rest()
		if got := len(r.CapturePoints()) == 1; got != exists {
			t.Errorf("when %d: the capture point exists: %v", when, got)
		}
	}
}

func TestFaultNeverAnswerCanBeInterrupted(t *testing.T) {
	r := start(t, Config{Faults: []Fault{{Match: regexp.MustCompile(`clock`), Action: NeverAnswer}}})
	c := login(t, r)
	c.send("show clock\n")
	waitFor(t, func() bool { return r.Fired() == 1 })
	c.send("\x03")
	c.until(prompt)
	if got := c.run("show clock"); !strings.Contains(got, "UTC") {
		t.Errorf("afterwards: %q", got)
	}
}

func TestFaultDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Knobs: Knobs{Latency: time.Second},
			Faults: []Fault{{Match: regexp.MustCompile(`clock`), Action: Delay, Delay: 3 * time.Minute}}})
		c := login(t, r)
		began := time.Now()
		c.run("show clock")
		if d := time.Since(began); d != 3*time.Minute+time.Second {
			t.Errorf("the answer took %s", d)
		}
	})
}

func TestFaultText(t *testing.T) {
	r := start(t, Config{})
	c := login(t, r)
	r.AddFault(Fault{Match: regexp.MustCompile(`start$`), Action: ErrorText, Text: "Unable to activate Capture.", Times: 2,
		Skip: 1})
	for i, want := range []string{"does not exist", "Unable to activate", "Unable to activate", "does not exist"} {
		if got := c.run("monitor capture c start"); !strings.Contains(got, want) {
			t.Errorf("try %d: %q, want %q", i+1, got, want)
		}
	}
	r.AddFault(Fault{Action: ErrorText, Times: -1})
	for range 5 {
		if got := c.run("show clock"); got != "% Internal error\n" {
			t.Errorf("got %q", got)
		}
	}
}

func TestFaultDialog(t *testing.T) {
	r := start(t, Config{Faults: []Fault{{Match: regexp.MustCompile(`clock`), Action: UnknownDialog, Times: 2}}})
	c := login(t, r)
	asked := regexp.MustCompile(`\(yes/no\): $`)
	c.send("show clock\n")
	c.until(asked)
	c.send("\n")
	if got := c.until(asked); !strings.Contains(got, "Please answer") {
		t.Errorf("an empty answer: %q", got)
	}
	c.send("\x03")
	c.until(prompt)
	c.send("show clock\n")
	c.until(asked)
	c.send("yes\n")
	if got := c.until(prompt); !strings.Contains(got, "UTC") {
		t.Errorf("after yes: %q", got)
	}
}

func TestFaultStormAndRename(t *testing.T) {
	r := start(t, Config{})
	c := login(t, r)
	r.AddFault(Fault{Match: regexp.MustCompile(`version`), When: During, Action: SyslogStorm})
	got := c.run("show version")
	if n := strings.Count(got, "%LINEPROTO-5-UPDOWN"); n != 300 || !strings.Contains(got, "Configuration register") {
		t.Errorf("%d log lines in %q", n, got)
	}
	r.AddFault(Fault{Action: PromptChange, When: After, Text: "elsewhere"})
	c.send("show clock\n")
	if got := c.until(prompt); !strings.HasSuffix(got, "\nelsewhere#") {
		t.Errorf("prompt %q", got)
	}
}

func TestFaultsOfSpace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := start(t, Config{Packets: steady{frames(10, 4), time.Second}})
		c := login(t, r)
		c.run("monitor capture c match any interface gi1 both")
		c.run("monitor capture c start")
		time.Sleep(5500 * time.Millisecond)
		r.AddFault(Fault{Action: BufferFull})
		if got := c.run("show monitor capture c buffer"); !strings.Contains(got, "packets in buf   : 5") {
			t.Errorf("before: %s", got)
		}
		time.Sleep(time.Minute)
		if got := c.run("show monitor capture c buffer"); !strings.Contains(got,
			"packets in buf   : 5\n packets dropped  : 5") || !strings.Contains(got, "used (KB) : 10240") {
			t.Errorf("after: %s", got)
		}
		c.run("monitor capture c stop")
		r.AddFault(Fault{Match: regexp.MustCompile(`export`), Action: FlashFull})
		if got := c.run("monitor capture c export bootflash:x"); !strings.Contains(got, "No space left on device") {
			t.Errorf("export: %s", got)
		}
		if got := c.run("monitor capture c export bootflash:x"); got != "Exported Successfully\n" {
			t.Errorf("export again: %s", got)
		}
	})
}

// A muted connection swallows what is written to it and delivers nothing.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := Pipe()
		w := &wire{Conn: far}
		w.mute()
		if _, err := w.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		_, _ = near.Write([]byte("y"))
		done := make(chan error)
		go func() {
			_, err := w.Read(make([]byte, 1))
			done <- err
		}()
		synctest.Wait()
		select {
		case err := <-done:
			t.Errorf("it read: %v", err)
		default:
		}
		near.Close()
		if err := <-done; err != io.EOF {
			t.Errorf("read: %v", err)
		}
	})
}
