package simulator

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// capturePoint is one `monitor capture NAME`: EXEC state, which a reload forgets.
type capturePoint struct {
	name     string
	targets  []target
	filter   filter
	bufferMB int // 0: not set
	circular bool
	limits   limits

	active  bool
	started time.Time
	stopped time.Time
	stream  Stream
	buffer  buffer
}

type target struct{ iface, direction string }

// filter picks packets: by access list, by an inline rule, or all of them.
type filter struct {
	list   string
	any    bool
	inline rule
	text   string // the inline filter as it was typed, in full
}

func (f filter) set() bool { return f.list != "" || f.text != "" }

// limits are zero where none was set.
type limits struct {
	duration, packets, packetLen, pps, every int
}

const (
	defaultPPS      = 1000
	defaultBufferMB = 10
	controlPlane    = "Control Plane"
)

func (c *capturePoint) detach() {
	if c.stream != nil {
		c.stream.Close()
		c.stream = nil
	}
}

var captureOptions = []string{"access-list", "buffer", "class-map", "clear", "control-plane", "export", "interface",
	"limit", "match", "start", "stop"}

// monitorCapture carries the options of one line out, in their order.
func (s *session) monitorCapture(c *call) {
	if s.router.config.Knobs.NoEPC {
		s.put("Capture is not Supported\n\n")
		return
	}
	name, rest := c.words[2], c.words[3:]
	for len(rest) > 0 && s.abandoned == nil {
		n := 1
		for n < len(rest) && (!slices.Contains(captureOptions, rest[n]) || n == 1 && rest[0] == "access-list") {
			n++
		}
		if !s.captureOption(name, rest[:n]) {
			return
		}
		rest = rest[n:]
	}
}

func (s *session) captureOption(name string, words []string) bool {
	switch words[0] {
	case "start":
		s.startCapture(name)
		return false
	case "stop":
		s.stopCapture(name)
		return false
	case "clear":
		s.clearCapture(name)
		return false
	case "export":
		s.exportCapture(name, words[1])
		return false
	}
	if c, active := s.lookCapture(name); c != nil && active {
		s.put("Capture %s is active\n\nUnable to modify Capture.\n", name)
		return false
	}
	switch words[0] {
	case "access-list":
		return s.attachList(name, words[1])
	case "match":
		return s.attachInline(name, words[1:])
	case "class-map":
		s.put("Class-map %s not found\n\nFailed to attach existing class-map\n", words[1])
		return false
	case "interface":
		return s.attachTarget(name, target{words[1], words[2]})
	case "control-plane":
		return s.attachTarget(name, target{controlPlane, words[1]})
	case "buffer":
		return s.setBuffer(name, number(words[len(words)-1]), words[1] == "circular")
	}
	return s.setLimits(name, words[1:])
}

// lookCapture finds a capture point after bringing it up to date.
func (s *session) lookCapture(name string) (c *capturePoint, active bool) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	if c = r.capture(name); c != nil {
		active = c.active
	}
	return c, active
}

func (r *Router) capture(name string) *capturePoint {
	if i := slices.IndexFunc(r.captures, func(c *capturePoint) bool { return c.name == name }); i >= 0 {
		return r.captures[i]
	}
	return nil
}

// change alters a capture point, which it makes if there is none.
func (s *session) change(name string, f func(*capturePoint)) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.capture(name)
	if c == nil {
		c = &capturePoint{name: name}
		r.captures = append(r.captures, c)
	}
	f(c)
}

// inspect reads a capture point; one that does not exist reads as a fresh one.
func (s *session) inspect(name string) capturePoint {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.capture(name); c != nil {
		return *c
	}
	return capturePoint{name: name}
}

func (s *session) attachList(name, list string) bool {
	s.router.mu.Lock()
	exists := s.router.running.list(list) != nil
	s.router.mu.Unlock()
	if !exists {
		s.put("Non-existent access-list specified\n\nFailed to attach existing ACL\n")
		return false
	}
	return s.attachFilter(name, filter{list: list})
}

func (s *session) attachInline(name string, words []string) bool {
	f := filter{text: strings.Join(words, " "), any: words[0] == "any"}
	if !f.any {
		protocol, rest := "ip", words[1:]
		if rest[0] == "protocol" {
			protocol, rest = rest[1], rest[2:]
		}
		var err error
		if f.inline, err = parseRule(append([]string{"permit", protocol}, rest...)); err != nil {
			s.put("%% Incomplete command.\n\n")
			return false
		}
		f.inline.family = words[0][3] - '0'
	}
	return s.attachFilter(name, f)
}

func (s *session) attachFilter(name string, f filter) bool {
	if s.inspect(name).filter.set() &&
		!s.confirm("A filter is already attached to the capture . Replace with specified filter?") {
		return false
	}
	s.change(name, func(c *capturePoint) { c.filter = f })
	return true
}

func (s *session) attachTarget(name string, t target) bool {
	for _, have := range s.inspect(name).targets {
		if have == t {
			s.put("Interface %s direction %s is already attached to the capture\n", t.iface, strings.ToUpper(t.direction))
			return true
		}
	}
	s.change(name, func(c *capturePoint) {
		c.targets = slices.DeleteFunc(c.targets, func(have target) bool { return have.iface == t.iface })
		c.targets = append(c.targets, t)
	})
	return true
}

func (s *session) setBuffer(name string, size int, circular bool) bool {
	if s.inspect(name).bufferMB != 0 && !s.confirm("Buffer size was  already specified, replace?") {
		return false
	}
	s.change(name, func(c *capturePoint) { c.bufferMB, c.circular = size, circular })
	return true
}

func (s *session) setLimits(name string, words []string) bool {
	for ; len(words) >= 2; words = words[2:] {
		have := s.inspect(name).limits
		value, what := have.field(words[0])
		asks := *value != 0 || words[0] == "pps" && s.router.config.Knobs.AskPPS
		if asks && !s.confirm(what+" limit is already set, replace?") {
			return false
		}
		s.change(name, func(c *capturePoint) {
			value, _ := c.limits.field(words[0])
			*value = number(words[1])
		})
	}
	return true
}

// field is one limit, and what the router calls it when it is set again.
func (l *limits) field(name string) (*int, string) {
	switch name {
	case "duration":
		return &l.duration, "Duration"
	case "packets":
		return &l.packets, "Packet count"
	case "packet-len":
		return &l.packetLen, "Packet Size"
	case "pps":
		return &l.pps, "Packets per second"
	}
	return &l.every, "Packet sampling"
}

func (s *session) startCapture(name string) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	c := r.capture(name)
	switch {
	case c == nil:
		s.put("Capture point does not exist : %s\n", name)
		return
	case c.active:
		s.put("Capture %s is already active\n\nUnable to activate Capture.\n", name)
		return
	case len(c.targets) == 0:
		s.put("No interface attached to capture %s\n\nUnable to activate Capture.\n", name)
		return
	case !c.filter.set():
		s.put("No filter attached to capture %s\n\nUnable to activate Capture.\n", name)
		return
	}
	now := r.config.Now()
	c.active, c.started = true, now
	if !r.captured {
		r.captured, r.capturedAt = true, now
	}
	c.buffer = buffer{}
	if r.config.Packets != nil && slices.ContainsFunc(c.targets, func(t target) bool { return t.iface == r.config.WAN }) {
		c.stream = r.config.Packets.Open(now, r.poke)
	}
	r.poke()
	s.put("Started capture point : %s\n", name)
	r.log(fmt.Sprintf("%%BUFCAP-6-ENABLE: Capture Point %s enabled.", name))
}

func (s *session) stopCapture(name string) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	c := r.capture(name)
	if c == nil {
		s.put("Capture point does not exist : %s\n", name)
		return
	}
	if !c.active {
		s.put("Capture %s is not active\n\nUnable to deactivate Capture.\n", name)
		return
	}
	r.halt(c, r.config.Now())
	if r.config.Knobs.StopStatistics {
		s.put("Capture statistics collected at software:\n\tCapture duration - %d seconds\n\tPackets received - %d\n"+
			"\tPackets dropped - %d\n\tPackets oversized - 0\n\nBytes dropped in asic - 0\n\n",
			int(c.stopped.Sub(c.started).Seconds()), len(c.buffer.packets)+c.buffer.dropped, c.buffer.dropped)
	}
	s.put("Stopped capture point : %s\n", name)
}

// halt makes a capture inactive, for whatever reason.
func (r *Router) halt(c *capturePoint, at time.Time) {
	c.active, c.stopped = false, at
	c.detach()
	r.log(fmt.Sprintf("%%BUFCAP-6-DISABLE: Capture Point %s disabled.", c.name))
}

func (s *session) clearCapture(name string) {
	if c, _ := s.lookCapture(name); c == nil {
		s.put("Capture point does not exist : %s\n", name)
		return
	}
	if !s.confirm("Captured data will be deleted [clear]?") {
		return
	}
	s.change(name, func(c *capturePoint) { c.buffer = buffer{} })
	s.put("cleared buffer : %s\n", name)
}

func (s *session) noCapture(c *call) {
	r := s.router
	r.mu.Lock()
	defer r.mu.Unlock()
	r.advance()
	name := c.words[3]
	switch p := r.capture(name); {
	case p == nil:
		s.put("Capture does not exist\n")
	case p.active && !r.config.Knobs.DeleteActive:
		s.put("Capture %s is active\n\nUnable to delete Capture.\n", name)
	default:
		if p.active {
			r.halt(p, r.config.Now())
		}
		r.captures = slices.DeleteFunc(r.captures, func(x *capturePoint) bool { return x == p })
		if len(r.captures) == 0 {
			r.ikeSAs = nil // the packets come anew, with the same SPIs, for the next capture
		}
	}
}
