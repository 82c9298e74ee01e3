package simulator

import (
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"
)

// Router is one simulated router. All its methods may be called at any time, from any goroutine.
type Router struct {
	config  Config
	faults  faults
	grammar grammar
	wg      sync.WaitGroup

	mu         sync.Mutex
	hostname   string
	born       time.Time // when the clocks of the simulation began to differ
	booted     time.Time
	switched   time.Time // when the standby processor took over last; zero: never
	readyAt    time.Time // connections are refused before
	running    settings
	startup    settings
	flash      map[string]file
	flashFree  int64
	captures   []*capturePoint
	captured   bool               // a capture has been started
	capturedAt time.Time          // the first one
	lostInside uint64             // packets for the control plane that were dropped on the way
	ikeCounts  map[byte]*ikeCount // by exchange
	ikeSAs     []*ikeSA
	logging    []string
	logged     int // lines since the beginning
	debugs     map[string]bool
	trace      packetTrace
	commands   []string
	logins     int // passwords that were presented, good or bad
	lines      map[int]*vty
	listeners  []net.Listener
	kick       chan struct{} // tells the pump that its next moment may be another
	quit       chan struct{} // closed by Close
	chatter    time.Time     // when an unrelated log line appeared last
	closed     bool
}

// New makes a router; Listen or Serve puts it on a network, Close ends it. The error says what in c
// cannot be.
func New(c Config) (*Router, error) {
	c, err := c.complete()
	if err != nil {
		return nil, err
	}
	now := c.Now()
	r := &Router{config: c, grammar: newGrammar(c.Show), hostname: c.Hostname, born: now, booted: now.Add(-26 * time.Hour),
		chatter: now, flashFree: c.FlashFree,
		flash: map[string]file{}, debugs: map[string]bool{}, lines: map[int]*vty{},
		kick: make(chan struct{}, 1), quit: make(chan struct{})}
	if r.running, err = newSettings(c); err != nil {
		return nil, err
	}
	r.startup = r.running.clone()
	for name, data := range c.Flash {
		r.flash[name] = file{slices.Clone(data), r.clock()}
	}
	for _, f := range c.Faults {
		r.faults.add(f)
	}
	r.wg.Go(r.pump)
	return r, nil
}

// AddFault arms a fault.
func (r *Router) AddFault(f Fault) { r.faults.add(f) }

// ClearFaults disarms all faults.
func (r *Router) ClearFaults() { r.faults.clear() }

// Fired counts the faults that struck.
func (r *Router) Fired() int {
	r.faults.mu.Lock()
	defer r.faults.mu.Unlock()
	return r.faults.fired
}

// HostKey is the router's (first) public host key.
func (r *Router) HostKey() ssh.PublicKey { return r.config.HostKeys[0].PublicKey() }

// RunningConfig is the running configuration, without the lines that name a time.
func (r *Router) RunningConfig() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.runningText()
}

// FlashFiles returns a copy of every file in bootflash:, by name.
func (r *Router) FlashFiles() map[string][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string][]byte{}
	for name, f := range r.flash {
		all[name] = slices.Clone(f.data)
	}
	return all
}

// Commands returns every line that was received, in order, over all sessions: SCP requests too,
// answers to questions and passwords not.
func (r *Router) Commands() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.commands)
}

// CapturePoints names the capture points that exist.
func (r *Router) CapturePoints() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := []string{}
	for _, c := range r.captures {
		names = append(names, c.name)
	}
	return names
}

// SetHostname changes the hostname, as somebody at another terminal would.
func (r *Router) SetHostname(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hostname = name
}

// Sessions counts the terminal lines in use.
func (r *Router) Sessions() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.lines)
}

// Logins counts the passwords that were presented, good or bad.
func (r *Router) Logins() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.logins
}

// Reload restarts the router: connections end, capture points, debugs and unsaved
// configuration are gone.
func (r *Router) Reload() {
	r.mu.Lock()
	lines := slices.Collect(maps.Values(r.lines))
	r.reboot()
	r.mu.Unlock()
	for _, l := range lines {
		l.conn.reset()
	}
}

// Switchover has the standby route processor take over: what is EXEC state is gone as after a
// reload, and the router stays up.
func (r *Router) Switchover() {
	r.mu.Lock()
	booted, running, hostname := r.booted, r.running, r.hostname
	lines := slices.Collect(maps.Values(r.lines))
	r.reboot()
	r.booted, r.readyAt, r.switched, r.running, r.hostname = booted, time.Time{}, r.config.Now(), running, hostname
	r.mu.Unlock()
	for _, l := range lines {
		l.conn.reset()
	}
}

func (r *Router) reboot() {
	for _, c := range r.captures {
		c.detach()
	}
	r.captures, r.logging, r.ikeSAs = nil, nil, nil
	clear(r.debugs)
	r.trace = packetTrace{}
	r.running = r.startup.clone()
	r.hostname = r.config.Hostname
	r.booted, r.switched = r.config.Now(), time.Time{}
	r.readyAt = r.booted.Add(r.config.Knobs.BootTime)
}

// clock is the router's own time.
func (r *Router) clock() time.Time { return r.own(r.config.Now()) }

// own is what the router's clock shows at a time.
func (r *Router) own(t time.Time) time.Time {
	drift := time.Duration(float64(t.Sub(r.born)) * r.config.ClockDrift / 1e6)
	return t.Add(r.config.ClockOffset + drift).In(r.config.Zone)
}

// Type enters lines as somebody at the console would, at level 15, and returns what the router
// printed. It is for preparing a router: faults, pauses and Commands do not concern it.
func (r *Router) Type(lines ...string) string {
	near, far := Pipe()
	defer near.Close()
	screen := &screen{Conn: far}
	t := newTerminal(screen, window{})
	s := &session{router: r, vty: &vty{user: "console", conn: &wire{Conn: far}}, term: t, privilege: 15, asked: 15,
		console: true}
	close(t.input)
	for _, line := range lines {
		s.perform(line)
		t.print(s.takeOutput())
	}
	s.endConfig()
	t.flush()
	return screen.text.String()
}

// screen keeps what is written to it.
type screen struct {
	net.Conn
	text strings.Builder
}

func (s *screen) Write(p []byte) (int, error) { return s.text.Write(p) }
