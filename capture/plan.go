package capture

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/moncap/moncap/capture/bundle"
	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// Plan is everything that a run will do on the two routers, validated, before
// anything is connected to.
type Plan struct {
	Tunnel   string
	RunID    string
	Settings Settings
	A, B     SidePlan
}

// SidePlan is one router's part of a plan.
type SidePlan struct {
	Side      Side
	Endpoint  Endpoint
	Remote    netip.Addr // the other side's VPN address as this side sees it
	Name      iosxe.Name // of the capture point
	ACL       iosxe.Name // empty: the filter is inside the capture point
	File      iosxe.File // empty: no file is written in bootflash
	Upload    string     // URL that the router pushes the capture to; empty with File empty: the packets are read by dump
	Interface iosxe.Interface
	Also      []iosxe.Interface // further ones by which the tunnel's packets may pass
	Trigger   *iosxe.Trigger    // nil: not on this side

	bound     bool // Name is the run's own, and nobody's choice
	settings  Settings
	export    iosxe.Command // the one that pushes to Upload
	defineACL iosxe.Command
	point     iosxe.CapturePoint
	define    []iosxe.Command
	debugOn   []iosxe.Command
	debugOff  []iosxe.Command
	tracing   *tracePlan   // nil: no packet trace
	control   *controlPlan // nil: no capture at the control plane
	fvrf      iosxe.VRF    // in which the peer is reached
}

// Step is one command of the plan.
type Step struct {
	Phase   Phase
	Command iosxe.Command
	Undo    []iosxe.Command // what takes it back; empty: it changes nothing, or another step's undo covers it
	Note    string          // when it is not sent exactly once
}

// Get returns the plan of s.
func (p *Plan) Get(s Side) *SidePlan {
	if s == B {
		return &p.B
	}
	return &p.A
}

func (s Settings) withDefaults() Settings {
	if s.BufferMB == 0 {
		s.BufferMB = 10
	}
	if s.Duration == 0 {
		s.Duration = time.Minute
	}
	if s.Packets == 0 {
		s.Packets = 20000
	}
	if s.PPS == 0 {
		s.PPS = 1000 // IOS XE's own default; said aloud, for whoever reads the plan or the router
	}
	if s.MaxClockSkew == 0 {
		s.MaxClockSkew = time.Hour
	}
	return s
}

// NewPlan validates two endpoints and the settings, and makes every command that a run of them will
// send. runID is the run's; the default names are made of its last six letters and digits.
func NewPlan(tunnel string, a, b Endpoint, s Settings, runID string) (*Plan, error) {
	p := &Plan{Tunnel: tunnel, RunID: runID, Settings: s.withDefaults()}
	fail := func(err error) (*Plan, error) { return nil, fmt.Errorf("tunnel %s: %w", tunnel, err) }
	if s.ZeroConfig && s.ViaExport != "" {
		return fail(fmt.Errorf("--zero-config reads the packets by dump, --via-export has them pushed: ask for one of them"))
	}
	if s.ZeroConfig && (s.Debug || s.PacketTrace != 0) {
		return fail(fmt.Errorf("debug and packet trace need an account that may do more than --zero-config is for: ask for " +
			"one of them; --packet-trace 0 leaves out the inventory's"))
	}
	if err := s.Armed.check(s); err != nil {
		return fail(err)
	}
	own, err := ownName(runID)
	name := own
	if s.Name != "" {
		name, err = iosxe.ParseName(s.Name)
	}
	if err != nil {
		return fail(err)
	}
	for _, n := range []string{tunnel, a.Name, b.Name} {
		if strings.ContainsFunc(n, func(r rune) bool { return !unicode.IsPrint(r) }) {
			return nil, fmt.Errorf("a name has characters that cannot be printed: %q", n)
		}
	}
	if a.Name == b.Name {
		return fail(fmt.Errorf("peer %q is on both sides", a.Name))
	}
	for _, side := range []struct {
		side         Side
		here, remote Endpoint
	}{{A, a, b}, {B, b, a}} {
		sp, err := newSidePlan(side.side, side.here, side.remote, name, p.Settings)
		if err != nil {
			return fail(fmt.Errorf("peer %s: %w", side.here.Name, err))
		}
		sp.bound = name == own
		*p.Get(side.side) = sp
	}
	if err := p.planTrigger(); err != nil {
		return fail(err)
	}
	return p, nil
}

var notAlphanumeric = lazyregexp.New(`[^a-z0-9]+`)

// ownName is the name that a run gives what it makes, unless another is asked for.
func ownName(runID string) (iosxe.Name, error) {
	id := notAlphanumeric.Get().ReplaceAllString(strings.ToLower(runID), "")
	if len(id) < 6 {
		return iosxe.Name{}, fmt.Errorf("run %q: want six letters or digits at least", runID)
	}
	return iosxe.ParseName("mc" + id[len(id)-6:])
}

// guideName gives the file name of Cisco's guide, too.
const guideName, guideFile = "cap", "capture.pcap"

func newSidePlan(side Side, own, remote Endpoint, name iosxe.Name, s Settings) (SidePlan, error) {
	p := SidePlan{Side: side, Endpoint: own, Remote: remote.seenAs(), Name: name, settings: s}
	var err error
	if p.Interface, err = iosxe.ParseInterface(own.Interface); err != nil {
		return p, err
	}
	for _, name := range own.Also {
		i, err := iosxe.ParseInterface(name)
		if err != nil {
			return p, err
		}
		if i.Is(p.Interface.String()) ||
			slices.ContainsFunc(p.Also, func(o iosxe.Interface) bool { return o.Is(i.String()) }) {
			return p, fmt.Errorf("interface %s is named twice", i)
		}
		p.Also = append(p.Also, i)
	}
	if p.fvrf, err = iosxe.ParseVRF(own.VRF); err != nil {
		return p, err
	}
	local := own.Address.Unmap()
	if !local.IsValid() || !p.Remote.IsValid() {
		return p, fmt.Errorf("both VPN addresses are needed")
	}
	if local == p.Remote {
		return p, fmt.Errorf("address %s is on both sides", local)
	}
	if !s.ZeroConfig {
		if err := p.planFiles(local, s); err != nil {
			return p, err
		}
	}
	p.point = iosxe.CapturePoint{
		Name: name, ACL: p.ACL, Local: local, Remote: p.Remote, Interface: p.Interface, Also: p.Also, BufferMB: s.BufferMB,
		UDPOnly: s.IKEOnly, Circular: s.Circular, Duration: s.Duration, Packets: s.Packets, PacketLen: s.PacketLen,
		PPS: s.PPS,
	}
	p.define, err = iosxe.DefineCapture(p.point)
	if err == nil && s.PacketTrace != 0 {
		err = p.planTrace(s.PacketTrace)
	}
	if err == nil && s.ControlPlane {
		err = p.planControlPlane(local, s)
	}
	if err != nil || !s.Debug {
		return p, err
	}
	return p, p.planDebug()
}

func (p *SidePlan) planFiles(local netip.Addr, s Settings) (err error) {
	p.ACL = p.Name
	entries := aclEntries(local, p.Remote, s)
	if p.defineACL, err = iosxe.ACL(p.ACL, entries); err != nil {
		return err
	}
	file := p.Name.String() + ".pcap"
	if p.Name.String() == guideName {
		file = guideFile
	}
	if p.File, err = iosxe.ParseFile(file); err != nil || s.ViaExport == "" {
		return err
	}
	return p.planUpload(s.ViaExport)
}

// planUpload puts a server in the place of bootflash. Both sides push to one folder,
// so the names differ.
func (p *SidePlan) planUpload(url string) error {
	u, err := iosxe.ParseUpload(url)
	if err != nil {
		return err
	}
	f, err := iosxe.ParseFile(p.Name.String() + "-" + strings.ToLower(string(p.Side)) + ".pcap")
	if err != nil {
		return err
	}
	p.export, p.Upload, p.File = iosxe.ExportUpload(p.Name, u, f), u.URL(f), iosxe.File{}
	return nil
}

// byDump says whether the packets are read by `buffer dump` from the first.
func (p *SidePlan) byDump() bool { return p.File.IsZero() && p.Upload == "" }

func (p *SidePlan) planDebug() (err error) {
	if p.debugOn, err = iosxe.DebugOn(p.Remote); err != nil {
		return err
	}
	p.debugOff, err = iosxe.DebugOff(p.Remote)
	return err
}

// aclEntries permit what belongs to the tunnel, either way. UDP goes without ports, because
// fragments have none.
func aclEntries(local, remote netip.Addr, s Settings) []iosxe.Entry {
	var entries []iosxe.Entry
	both := func(protocol iosxe.Protocol) {
		entries = append(entries, iosxe.Entry{Protocol: protocol, From: local, To: remote},
			iosxe.Entry{Protocol: protocol, From: remote, To: local})
	}
	both(iosxe.UDP)
	if !s.IKEOnly {
		both(iosxe.ESP)
	}
	icmp := []iosxe.Protocol{iosxe.ICMPUnreachable}
	if local.Is6() {
		icmp = append(icmp, iosxe.ICMPTooBig)
	}
	for _, protocol := range icmp {
		from := remote
		if s.ICMPFromAnyone {
			from = netip.Addr{}
		}
		entries = append(entries, iosxe.Entry{Protocol: protocol, From: local, To: remote},
			iosxe.Entry{Protocol: protocol, From: from, To: local})
	}
	if !s.IKEOnly {
		both(iosxe.AH)
	}
	return entries
}

// planTrigger refuses a trigger that would tear down another tunnel than the one that is captured.
func (p *Plan) planTrigger() error {
	s := p.Settings
	if s.Trigger == "" {
		return nil
	}
	t, err := iosxe.ParseTrigger(s.Trigger)
	if err != nil {
		return err
	}
	side := s.TriggerSide
	if side == "" {
		side = A
		if t.Clears && t.Target == p.B.Remote {
			side = B
		}
	}
	sp := p.Get(side)
	if t.Clears && t.Target != sp.Remote {
		return fmt.Errorf("trigger %q: side %s knows its peer as %s", s.Trigger, side, sp.Remote)
	}
	if t, err = t.In(sp.fvrf); err != nil {
		return fmt.Errorf("trigger %q: %w", s.Trigger, err)
	}
	if s.ZeroConfig && t.Clears {
		return fmt.Errorf("trigger %q: it is not for --zero-config", s.Trigger)
	}
	sp.Trigger = &t
	return nil
}

// stored is the form of a plan in run.json: what it was made from. Reading makes it anew, so that
// nothing in a bundle can become a command without having been validated.
type stored struct {
	Tunnel   string   `json:"tunnel"`
	RunID    string   `json:"run_id"`
	A        Endpoint `json:"a"`
	B        Endpoint `json:"b"`
	Settings Settings `json:"settings"`
}

// Encode gives what a plan was made from, as run.json holds it, for DecodePlan. There is no secret
// in it.
func (p *Plan) Encode() (json.RawMessage, error) {
	return json.Marshal(stored{p.Tunnel, p.RunID, p.A.Endpoint, p.B.Endpoint, p.Settings})
}

// DecodePlan makes a plan again of what Encode gave. It is validated as a new one is.
func DecodePlan(data []byte) (*Plan, error) {
	var s stored
	if err := json.Unmarshal(data, &s); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	p, err := NewPlan(s.Tunnel, s.A, s.B, s.Settings, s.RunID)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return p, nil
}

// LoadPlan makes the plan of a bundle's run again.
func LoadPlan(b *bundle.Bundle) (*Plan, error) {
	run, err := b.Run()
	if err != nil {
		return nil, err
	}
	p, err := DecodePlan(run.Plan)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: run.json: %w", b.Dir(), err)
	}
	return p, nil
}
