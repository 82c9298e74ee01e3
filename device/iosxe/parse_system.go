package iosxe

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Version is what `show version` says about a router.
type Version struct {
	Hostname string
	Model    string // CSR1000V, C8000V, ISR4451-X/K9, ...
	Software string // normalised: 16.12.6, 17.9.4a
	Serial   string
	Uptime   time.Duration // to the minute; 0: not said
	Image    string
	// Mode is the router's mode of operation: Autonomous, or Controller-Managed (SD-WAN). Empty: not
	// said, as in releases before 17.2.
	Mode string
}

// MayBeSDWAN says whether the release has an SD-WAN image that does not tell its mode of operation:
// before 17.2 the two modes were two images.
func (v Version) MayBeSDWAN() bool {
	return strings.HasPrefix(v.Software, "16.") || strings.HasPrefix(v.Software, "17.1.")
}

// Controlled says whether a controller configures the router, so that it takes no
// `configure terminal`.
func (v Version) Controlled() bool { return strings.HasPrefix(strings.ToLower(v.Mode), "controller") }

var (
	versionXE      = lazyregexp.New(`(?m)^Cisco IOS XE Software, Version (\S+)`)
	versionIOS     = lazyregexp.New(`(?m)^Cisco IOS Software.*?, (?:Experimental )?Version ([^\s,]+)`)
	versionChassis = lazyregexp.New(`(?mi)^cisco (\S+) .*processor.* with \d+K`)
	versionUptime  = lazyregexp.New(`(?m)^(\S+) uptime is (.+)$`)
	versionSerial  = lazyregexp.New(`(?m)^Processor board ID (\S+)`)
	versionImage   = lazyregexp.New(`(?m)^System image file is "([^"]*)"`)
	versionMode    = lazyregexp.New(`(?mi)^\s*Router operating mode:\s*(\S+)`)
	uptimePart     = lazyregexp.New(`(\d{1,6}) (year|week|day|hour|minute)s?`)
)

// ParseVersion reads `show version`.
func ParseVersion(out string) (Version, error) {
	out = Clean(out)
	v := Version{
		Model:  firstGroup(versionChassis.Get(), out),
		Serial: firstGroup(versionSerial.Get(), out),
		Image:  firstGroup(versionImage.Get(), out),
		Mode:   firstGroup(versionMode.Get(), out),
	}
	v.Software = normaliseVersion(firstGroup(versionIOS.Get(), out))
	if x := firstGroup(versionXE.Get(), out); x != "" && !strings.HasPrefix(x, "BLD_") {
		v.Software = normaliseVersion(x)
	}
	if m := versionUptime.Get().FindStringSubmatch(out); m != nil {
		v.Hostname, v.Uptime = m[1], parseUptime(m[2])
	}
	if v.Software == "" && v.Model == "" {
		return v, fmt.Errorf("show version: neither software nor model in %s", quoted(out))
	}
	return v, nil
}

func firstGroup(re *regexp.Regexp, s string) string {
	if m := re.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

// normaliseVersion takes the padding out of the numbers: 16.12.06 and 16.12.6 are one release.
func normaliseVersion(s string) string {
	parts := strings.Split(s, ".")
	for i, p := range parts {
		if t := strings.TrimLeft(p, "0"); t != "" && t[0] >= '0' && t[0] <= '9' {
			parts[i] = t
		} else if p != "" && p[0] == '0' {
			parts[i] = "0" + t
		}
	}
	return strings.Join(parts, ".")
}

func parseUptime(s string) time.Duration {
	units := map[string]time.Duration{
		"year": 365 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "day": 24 * time.Hour, "hour": time.Hour,
		"minute": time.Minute,
	}
	var d time.Duration
	for _, m := range uptimePart.Get().FindAllStringSubmatch(s, -1) {
		n, _ := strconv.Atoi(m[1])
		if m[2] == "year" {
			n = min(n, 100)
		}
		d += time.Duration(n) * units[m[2]]
	}
	return d
}

var (
	switchModel = lazyregexp.New(`(?i)^(?:(?:WS-)?C(?:9[2-6]\d\d|3[68]50|45\d\d)|IE-3)`)
	routerModel = lazyregexp.New(
		`(?i)^(?:CSR1000V|C8000V|C8[2-5]\d\d|C8\d{3}|ISR[14]\d\d\d|C11\d\d|ASR1\d\d\d|ASR1K|VG\d|IR\d|ISRV|C8K)`)
)

// CaptureSupport says why the platform cannot be used by the playbook, or nil. A platform that is
// not known is taken for a router: what it refuses will say so.
func (v Version) CaptureSupport() error {
	switch {
	case switchModel.Get().MatchString(v.Model):
		return fmt.Errorf("%s is a Catalyst switch: its monitor capture writes by other commands than a router's, and "+
			"moncap speaks the router's", v.Model)
	case v.Software == "":
		return nil
	case v.major() < 3:
		return fmt.Errorf("%s runs %s: monitor capture in this form came with IOS XE 3.7", v.Model, v.Software)
	}
	return nil
}

// wirelessOrVirtual are the interfaces on which monitor capture came later: cellular and dynamic
// tunnel ones.
var wirelessOrVirtual = lazyregexp.New(`(?i)^(?:cellular|ce|virtual-access|vi)\d`)

// InterfaceSupport says why the release has no monitor capture on an interface, or nil: those of
// Cellular and Virtual-Access came with 17.4.1a (Cisco IOS XE Embedded Packet Capture, feature
// history). A release that is not known is taken for good.
func (v Version) InterfaceSupport(i Interface) error {
	if !wirelessOrVirtual.Get().MatchString(i.s) || v.Software == "" || v.atLeast(17, 4) {
		return nil
	}
	return fmt.Errorf("%s with IOS XE %s: monitor capture on such an interface came with 17.4.1a", i, v.Software)
}

// atLeast compares the first two numbers of the software version; one that cannot be read is as new
// as any.
func (v Version) atLeast(major, minor int) bool {
	parts := strings.Split(v.Software, ".")
	if len(parts) < 2 || v.major() != major {
		return v.major() > major
	}
	n, err := strconv.Atoi(leadingNumber.Get().FindString(parts[1]))
	return err != nil || n >= minor
}

// KnownRouter says whether the model is one whose monitor capture is known to be the router's.
func (v Version) KnownRouter() bool { return routerModel.Get().MatchString(v.Model) }

// major returns the first number of the software version, or a large one when there is none.
func (v Version) major() int {
	n, err := strconv.Atoi(leadingNumber.Get().FindString(v.Software))
	if err != nil {
		return 1 << 20
	}
	return n
}

// Clock is a reading of a router's clock.
type Clock struct {
	Time         time.Time // as shown, in Zone; of an unknown zone the offset is taken as 0
	Zone         string
	ZoneKnown    bool   // Time is an instant, not only a reading
	NotSet       bool   // `*`: nobody vouches for the time
	Unsynced     bool   // `.`: it was set, but NTP has lost its servers
	Source       string // NTP, user configuration, hardware calendar; empty: not said
	SourceOfTime bool   // the reading has a source
}

var clockLine = lazyregexp.New(
	`(?m)^\s*([*.]?)(\d{1,2}):(\d\d):(\d\d)\.(\d{1,6}) (\S+) [A-Z][a-z]{2} ([A-Z][a-z]{2}) +(\d{1,2}) (\d{4})\s*$`)

var clockSource = lazyregexp.New(`(?mi)^\s*Time source is ([^,\n]+?)\s*$`)

// ParseClock reads `show clock detail`.
func ParseClock(out string) (Clock, error) {
	out = Clean(out)
	m := clockLine.Get().FindStringSubmatch(out)
	if m == nil {
		return Clock{}, fmt.Errorf("show clock: no time in %s", quoted(out))
	}
	text := fmt.Sprintf("%s %s %s %s:%s:%s.%s", m[9], m[7], m[8], m[2], m[3], m[4], m[5])
	t, err := time.Parse("2006 Jan 2 15:4:5", text)
	if err != nil {
		return Clock{}, fmt.Errorf("show clock: %w", err)
	}
	c := Clock{Zone: m[6], NotSet: m[1] == "*", Unsynced: m[1] == ".", Source: firstGroup(clockSource.Get(), out)}
	c.ZoneKnown = c.Zone == "UTC" || c.Zone == "GMT"
	c.SourceOfTime = c.Source != ""
	c.Time = t.In(time.UTC)
	if !c.ZoneKnown {
		c.Time = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(),
			time.FixedZone(c.Zone, 0))
	}
	return c, nil
}

// Instant turns the reading into an instant. A zone's abbreviation says nothing about its offset.
// It is the one of offsets, as Directory.Offsets has them, that brings the reading closest to near,
// the time here when it was taken: a router that sets its clock for summer may show two. Without
// any, it is the multiple of a quarter of an hour that does.
func (c Clock) Instant(near time.Time, offsets ...time.Duration) time.Time {
	if c.ZoneKnown {
		return c.Time
	}
	if len(offsets) == 0 {
		const quarter = 15 * time.Minute
		return c.Time.Add(near.Sub(c.Time).Round(quarter)).UTC()
	}
	best := c.Time.Add(-offsets[0])
	for _, o := range offsets[1:] {
		if t := c.Time.Add(-o); t.Sub(near).Abs() < best.Sub(near).Abs() {
			best = t
		}
	}
	return best.UTC()
}

var privilegeLine = lazyregexp.New(`(?mi)^\s*Current privilege level is (\d{1,2})\s*$`)

// ParsePrivilege reads `show privilege`.
func ParsePrivilege(out string) (int, error) {
	n, err := strconv.Atoi(firstGroup(privilegeLine.Get(), Clean(out)))
	if err != nil {
		return 0, fmt.Errorf("show privilege: no level in %s", quoted(out))
	}
	return n, nil
}

// CPU is the load of the control plane, in percent.
type CPU struct{ FiveSeconds, OneMinute, FiveMinutes int }

var cpuLine = lazyregexp.New(
	`(?i)five seconds:\s*(\d{1,3})%(?:/\d{1,3}%)?;\s*one minute:\s*(\d{1,3})%;\s*five minutes:\s*(\d{1,3})%`)

// ParseCPU reads the first line of `show processes cpu`.
func ParseCPU(out string) (CPU, error) {
	m := cpuLine.Get().FindStringSubmatch(normalise(out))
	if m == nil {
		return CPU{}, fmt.Errorf("show processes cpu: no load in %s", quoted(out))
	}
	var c CPU
	c.FiveSeconds, _ = strconv.Atoi(m[1])
	c.OneMinute, _ = strconv.Atoi(m[2])
	c.FiveMinutes, _ = strconv.Atoi(m[3])
	return c, nil
}

// Memory is the router's main memory pool, in bytes.
type Memory struct{ Total, Used, Free int64 }

var memoryLine = lazyregexp.New(`(?mi)^\s*Processor\s+[0-9A-F]+\s+(\d{1,18})\s+(\d{1,18})\s+(\d{1,18})\b`)

// ParseMemory reads `show memory statistics`.
func ParseMemory(out string) (Memory, error) {
	m := memoryLine.Get().FindStringSubmatch(Clean(out))
	if m == nil {
		return Memory{}, fmt.Errorf("show memory statistics: no processor pool in %s", quoted(out))
	}
	var p Memory
	p.Total, _ = strconv.ParseInt(m[1], 10, 64)
	p.Used, _ = strconv.ParseInt(m[2], 10, 64)
	p.Free, _ = strconv.ParseInt(m[3], 10, 64)
	return p, nil
}

// NTP is the state of the router's time service.
type NTP struct {
	Synchronised bool
	Stratum      int
	OffsetMS     float64
}

var (
	ntpState  = lazyregexp.New(`(?mi)^\s*Clock is (synchronized|unsynchronized)(?:, stratum (\d{1,2}))?`)
	ntpOffset = lazyregexp.New(`(?mi)clock offset is (-?\d{1,12}(?:\.\d{1,9})?) msec`)
)

// ParseNTP reads `show ntp status`.
func ParseNTP(out string) (NTP, error) {
	out = Clean(out)
	m := ntpState.Get().FindStringSubmatch(out)
	if m == nil {
		return NTP{}, fmt.Errorf("show ntp status: no state in %s", quoted(out))
	}
	n := NTP{Synchronised: strings.EqualFold(m[1], "synchronized")}
	n.Stratum, _ = strconv.Atoi(m[2])
	n.OffsetMS, _ = strconv.ParseFloat(firstGroup(ntpOffset.Get(), out), 64)
	return n, nil
}
