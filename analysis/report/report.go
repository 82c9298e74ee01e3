// Package report is the document that moncap produces: what two captures of one tunnel say, judged.
//
// Its JSON form is the contract moncap.report/v1: additive changes only, unknown keys are to be
// ignored by readers. The package is a leaf. Renderers read nothing else, so a stored report
// renders the same later and elsewhere.
package report

import (
	_ "embed" // schema.json
	"encoding/json"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Schema names the JSON contract of a Report.
const Schema = "moncap.report/v1"

// Side is one of the two captured gateways of a tunnel.
type Side string

// The sides of a tunnel.
const (
	A Side = "A"
	B Side = "B"
)

// Other returns the opposite side.
func (s Side) Other() Side {
	if s == A {
		return B
	}
	return A
}

// Direction is the way of a packet between the sides.
type Direction string

// The directions between the sides.
const (
	AtoB Direction = "A->B"
	BtoA Direction = "B->A"
)

// From returns the side that sends in direction d.
func (d Direction) From() Side {
	if d == BtoA {
		return B
	}
	return A
}

// To returns the side that receives in direction d.
func (d Direction) To() Side { return d.From().Other() }

// DirectionFrom returns the direction of what s sends.
func DirectionFrom(s Side) Direction {
	if s == B {
		return BtoA
	}
	return AtoB
}

// Report is the whole document.
type Report struct {
	Schema        string         `json:"schema"`
	Tool          Tool           `json:"tool"`
	Tunnel        string         `json:"tunnel,omitempty"`
	Verdict       Verdict        `json:"verdict"`
	Sides         Sides          `json:"sides"`
	Clock         *Clock         `json:"clock"`
	NAT           []Translation  `json:"nat,omitempty"`
	Findings      []Finding      `json:"findings"`
	Conversations []Conversation `json:"conversations"`
	Flows         []Flow         `json:"esp_flows,omitempty"`
	ICMP          []ICMP         `json:"icmp,omitempty"`
	Pairs         Pairs          `json:"pairs"`
	Omitted       *Omitted       `json:"omitted,omitempty"`
	Notes         []Note         `json:"notes,omitempty"`
	Run           *Run           `json:"run,omitempty"`
}

// Omitted says what a report of very many tunnels leaves out to stay readable; it is nil
// when nothing is left out. What is counted elsewhere in the report, and the verdict,
// count it all the same.
type Omitted struct {
	Findings map[string]int `json:"findings,omitempty"` // further ones, by code
	Messages int            `json:"messages,omitempty"` // of the conversations whose messages are not listed
	Flows    int            `json:"esp_flows,omitempty"`
	// that are in no count but those of the sides: there are too many SPIs
	Packets int `json:"packets,omitempty"`
}

// Note says what became of something that was given, or asked for, beside the captures. No verdict
// and no finding rests on it.
type Note struct {
	Side Side   `json:"side,omitempty"` // empty: of both
	Code string `json:"code"`
	Text string `json:"text"`
}

// The codes of notes. What is unused was given in vain.
const (
	NoteControlPlane = "control-plane"
	NoteBinaryTrace  = "binary-trace"
	NoteDebugUnused  = "debug-unused"
	NoteKeysUnused   = "keys-unused"
	NoteCaught       = "caught"      // the event that ended an armed run
	NoteOneOfSome    = "one-of-some" // tunnels that the captures hold: only this one is told of
	NotePlaces       = "places"      // that one capture holds: only one of them is told of
)

// Unused says whether what the note is about was given in vain, as the wrong file is.
func (n Note) Unused() bool { return n.Code == NoteDebugUnused || n.Code == NoteKeysUnused }

// Tool says which program made the report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Outcome is the verdict in one word.
type Outcome string

// The outcomes of a comparison.
const (
	Established  Outcome = "established"
	Degraded     Outcome = "degraded"
	Failed       Outcome = "failed"
	Inconclusive Outcome = "inconclusive"
	NotRun       Outcome = "not-run" // there is no capture to judge, since the run failed before
)

// Reason says why there is nothing to judge. It is as stable as a finding's code: jobs decide by it
// whether to try again or to wake somebody.
type Reason string

// The reasons of a run that came to nothing.
const (
	Unreachable    Reason = "unreachable"      // no connection to a router, or it was lost
	HostKey        Reason = "host-key"         // a router's key is unknown, changed or revoked
	Credentials    Reason = "credentials"      // refused, or a secret is not to be had
	RefusedByCheck Reason = "refused-by-check" // the run would harm or fail; nothing was changed
	RouterRefused  Reason = "router-refused"   // a router refused a command, or did not do what it said
	Interrupted    Reason = "interrupted"      // by Ctrl-C or another signal
	LocalDisk      Reason = "local-disk"       // nothing can be written here
	LeftOnRouter   Reason = "left-on-router"   // something of the run is, or may be, left on a router
	Usage          Reason = "usage"            // the command or the inventory is wrong
	Busy           Reason = "busy"             // another run has the router or the bundle
)

// Verdict is the conclusion for somebody who reads nothing else.
type Verdict struct {
	Outcome  Outcome `json:"outcome"`
	Reason   Reason  `json:"reason,omitempty"` // of NotRun only
	Headline string  `json:"headline"`
	ExitCode int     `json:"exit_code"`
}

// NewNotRun is the document of a run that came to nothing. It has no sides.
func NewNotRun(tunnel, version string, v Verdict, run *Run) *Report {
	v.Outcome = NotRun
	return &Report{
		Schema: Schema, Tool: Tool{Name: "moncap", Version: version}, Tunnel: tunnel, Verdict: v,
		Findings: []Finding{}, Conversations: []Conversation{}, Run: run,
	}
}

// Sides holds what is known about each capture. A side without a capture is nil.
type Sides struct {
	A *SideInfo `json:"A"`
	B *SideInfo `json:"B"`
}

// Untimed says whether no capture holds times, so that all times of the report are made up from the
// order of the packets.
func (s Sides) Untimed() bool {
	return (s.A != nil || s.B != nil) && (s.A == nil || s.A.Untimed) && (s.B == nil || s.B.Untimed)
}

// Get returns the information about s, or nil.
func (s Sides) Get(side Side) *SideInfo {
	if side == B {
		return s.B
	}
	return s.A
}

// SideInfo describes one side and its capture.
type SideInfo struct {
	Name       string   `json:"name"`
	Addresses  []string `json:"addresses,omitempty"` // the side's own VPN addresses as its own capture shows them
	Translated []string `json:"translated_addresses,omitempty"`
	Interface  string   `json:"interface,omitempty"`
	File       string   `json:"file"`
	SHA256     string   `json:"sha256"`
	Format     string   `json:"format"`    // pcap, pcapng, dump
	LinkType   string   `json:"link_type"` // Ethernet, Raw IP, ...
	Packets    int      `json:"packets"`
	IKE        int      `json:"ike_packets"`
	ESP        int      `json:"esp_packets"`
	ICMP       int      `json:"icmp_packets"`
	Other      int      `json:"other_packets"`
	Truncated  int      `json:"truncated_packets"`
	Duplicates int      `json:"duplicate_packets"`
	Damaged    string   `json:"damaged,omitempty"` // why reading ended early; empty: the file is whole
	// the file holds no times: those of its packets only put them in order
	Untimed bool       `json:"untimed,omitempty"`
	First   *time.Time `json:"first"` // by the side's own clock; nil when the capture is empty
	Last    *time.Time `json:"last"`
}

// Clock is the offset of B's clock against A's: what to subtract from B's times to get A's.
// Times are in milliseconds. Low and High bound the true offset; see RFC 5905, Section 10.
type Clock struct {
	OffsetMS float64  `json:"offset_ms"`
	LowMS    *float64 `json:"low_ms"`  // nil: not bounded on this side
	HighMS   *float64 `json:"high_ms"` // nil: not bounded on this side
	DriftPPM *float64 `json:"drift_ppm"`
	RTTMS    *float64 `json:"rtt_ms,omitempty"` // the smallest round trip seen
	Pairs    int      `json:"pairs"`
	Method   string   `json:"method"`
	Steps    int      `json:"steps,omitempty"` // how many times a clock was stepped in the capture
}

// Translation is one address and port mapping that the pairs prove.
type Translation struct {
	Side         Side   `json:"side"` // whose address is translated
	Original     string `json:"original"`
	OriginalPort uint16 `json:"original_port"`
	Translated   string `json:"translated"`
	Port         uint16 `json:"translated_port"`
	Packets      int    `json:"packets"`
}

// Severity ranks findings.
type Severity string

// The severities of findings.yaml.
const (
	Critical Severity = "critical"
	Warning  Severity = "warning"
	Info     Severity = "info"
)

// Confidence says how far a finding is proven.
type Confidence string

// The levels of confidence.
const (
	Certain  Confidence = "certain"
	Probable Confidence = "probable"
	Possible Confidence = "possible"
)

// Finding is one conclusion with its evidence. Fields are the finding's own of findings.yaml; in
// JSON they stand beside the common ones.
type Finding struct {
	Code         string
	Severity     Severity
	Confidence   Confidence
	Title        string
	Explanation  string
	CausedBy     string   // code of the finding that is this one's root, if any
	Conversation string   // id of the conversation that it is about, if any
	Further      []string // ids of further conversations in which the same happened
	Subject      Subject  // what else it is about; in JSON some of Fields say it
	Evidence     []Evidence
	Actions      []Action
	Fields       map[string]any
}

// Subject is what a finding is about beside its conversations, as far as it is about one side, one
// direction or one device. A report that was read from JSON has none.
type Subject struct {
	Side      Side       // whose doing, or trouble, it is; empty: of no side alone
	Direction Direction  // of the packets that it is about; empty: of no direction alone
	Device    netip.Addr // that refused, or whose address it was
	Apart     bool       // it is about what is no part of the tunnel, so that nothing follows from it
}

// About says whether f is about a conversation.
func (f Finding) About(conversation string) bool {
	return f.Conversation == conversation || slices.Contains(f.Further, conversation)
}

// SameTalk says whether two findings can be about the same conversation: they share one, or one of
// them names none.
func SameTalk(a, b Finding) bool {
	return a.Conversation == "" || b.Conversation == "" || a.About(b.Conversation) ||
		slices.ContainsFunc(b.Further, a.About)
}

// Evidence is one frame that proves something. Frames count from 1, as Wireshark numbers them.
type Evidence struct {
	Side  Side   `json:"side"`
	Frame int    `json:"frame"`
	Note  string `json:"note,omitempty"`
}

// Action is what the operator should do next.
type Action struct {
	Side     Side     `json:"side"`
	Device   string   `json:"device,omitempty"`
	Where    string   `json:"where,omitempty"` // "path": on a device between the sides, before the side that it names
	Mode     string   `json:"mode"`            // exec, config
	Commands []string `json:"commands"`
	Why      string   `json:"why"`
}

type findingJSON struct {
	Code         string     `json:"code"`
	Severity     Severity   `json:"severity"`
	Confidence   Confidence `json:"confidence"`
	Title        string     `json:"title"`
	Explanation  string     `json:"explanation"`
	CausedBy     string     `json:"caused_by,omitempty"`
	Conversation string     `json:"conversation,omitempty"`
	Further      []string   `json:"further_conversations,omitempty"`
	Evidence     []Evidence `json:"evidence"`
	Actions      []Action   `json:"actions"`
}

func (f Finding) common() findingJSON {
	c := findingJSON{f.Code, f.Severity, f.Confidence, f.Title, f.Explanation, f.CausedBy, f.Conversation, f.Further,
		f.Evidence, f.Actions}
	if c.Evidence == nil {
		c.Evidence = []Evidence{}
	}
	if c.Actions == nil {
		c.Actions = []Action{}
	}
	return c
}

// MarshalJSON writes the common fields first and the finding's own after them, sorted by name.
func (f Finding) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(f.common())
	if err != nil || len(f.Fields) == 0 {
		return b, err
	}
	own, err := json.Marshal(f.Fields)
	if err != nil {
		return nil, err
	}
	b[len(b)-1] = ','
	return append(b, own[1:]...), nil
}

// UnmarshalJSON reads what MarshalJSON writes: every key that is not a common one goes to Fields.
func (f *Finding) UnmarshalJSON(b []byte) error {
	var c findingJSON
	if err := json.Unmarshal(b, &c); err != nil {
		return err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	maps.DeleteFunc(fields, func(k string, _ any) bool { return commonKeys[k] })
	*f = Finding{Code: c.Code, Severity: c.Severity, Confidence: c.Confidence, Title: c.Title, Explanation: c.Explanation,
		CausedBy: c.CausedBy, Conversation: c.Conversation, Further: c.Further, Evidence: c.Evidence, Actions: c.Actions,
		Fields: fields}
	return nil
}

var commonKeys = map[string]bool{
	"code": true, "severity": true, "confidence": true, "title": true, "explanation": true,
	"caused_by": true, "conversation": true, "further_conversations": true, "evidence": true, "actions": true,
}

// Conversation is all messages of one IKE SA, or of one attempt at one, with its retries.
type Conversation struct {
	ID        string    `json:"id"`
	Version   int       `json:"version"` // 1 or 2
	Initiator Side      `json:"initiator_side"`
	SPIi      string    `json:"spi_i"` // 16 hex digits
	SPIr      string    `json:"spi_r"`
	Outcome   string    `json:"outcome"` // established, refused, unanswered, incomplete, deleted
	Offers    []Offer   `json:"offers,omitempty"`
	Messages  []Message `json:"messages"`
	Omitted   int       `json:"omitted_messages,omitempty"` // how many messages it has that are not listed
}

// Offer is a set of proposals in clear: offered by the initiator, or selected by the responder.
type Offer struct {
	Side      Side       `json:"side"`
	Kind      string     `json:"kind"` // offered, selected
	Frame     int        `json:"frame"`
	Proposals []Proposal `json:"proposals"`
}

// Proposal is one proposal of an SA payload, its transforms by their IANA names.
type Proposal struct {
	Number     int         `json:"number"`
	Protocol   string      `json:"protocol"`
	Transforms []Transform `json:"transforms"`
}

// Transform is one transform of a proposal.
type Transform struct {
	Type string `json:"type"` // ENCR, PRF, INTEG, KE, ESN, ADDKE1, ...
	ID   int    `json:"id"`
	Name string `json:"name"`
	Bits int    `json:"key_bits,omitempty"`
}

// Message is one IKE message and every time that it was sent.
type Message struct {
	Exchange      string         `json:"exchange"`
	MessageID     uint32         `json:"message_id"`
	From          Side           `json:"from"`
	Role          string         `json:"role"` // initiator, responder: of the IKE SA
	Kind          string         `json:"kind"` // request, response
	Payloads      []string       `json:"payloads"`
	Encrypted     bool           `json:"encrypted"`
	FirstInner    string         `json:"first_inner,omitempty"` // SK Next Payload, RFC 7296, Section 3.14
	PlaintextMin  *int           `json:"plaintext_min,omitempty"`
	PlaintextMax  *int           `json:"plaintext_max,omitempty"`
	Notify        []string       `json:"notify,omitempty"`
	Note          string         `json:"note,omitempty"`     // what it most likely is, for encrypted ones
	Detail        []Detail       `json:"detail,omitempty"`   // payload by payload, for a closer look
	DetailB       []Detail       `json:"detail_b,omitempty"` // what B's capture shows, when it differs
	Length        int            `json:"length"`             // of the IKE message, in bytes
	Port          uint16         `json:"port"`
	Altered       bool           `json:"altered,omitempty"` // its bytes differ between the sides
	Transmissions []Transmission `json:"transmissions"`
	Omitted       int            `json:"omitted_transmissions,omitempty"` // how many more there are
}

// Detail is one payload of a message in text.
type Detail struct {
	Name  string   `json:"name"`
	Lines []string `json:"lines,omitempty"`
}

// Fate is what became of one transmission.
type Fate string

// The fates of a transmission. Unknown: the receiving capture does not prove that it would have
// seen it.
const (
	Delivered Fate = "delivered"
	Lost      Fate = "lost"
	Unknown   Fate = "unknown"
)

// Transmission is one sending of a message, as each side saw it.
type Transmission struct {
	A         *Sighting `json:"a"`
	B         *Sighting `json:"b"`
	Fate      Fate      `json:"fate"`
	Duplicate bool      `json:"duplicate,omitempty"` // a further arrival of one sending
}

// Sighting is one packet in one capture.
type Sighting struct {
	Frame     int       `json:"frame"`
	Time      time.Time `json:"time"`       // by that side's own clock
	AlignedNS int64     `json:"aligned_ns"` // nanoseconds since the first packet of both captures, on A's clock
	Src       string    `json:"src"`        // address:port
	Dst       string    `json:"dst"`
	Size      int       `json:"size"` // on the wire, in bytes
	TTL       int       `json:"ttl,omitempty"`
	DSCP      int       `json:"dscp"`
	Fragments []int     `json:"fragments,omitempty"` // the frames of an IP-fragmented datagram
}

// Flow is one ESP SA in one direction.
type Flow struct {
	SPI           string    `json:"spi"`
	Direction     Direction `json:"direction"`
	Encapsulation string    `json:"encapsulation"` // esp, udp, tcp, ah
	// Peer is the address of its other end, where the only capture shows several peers; else empty.
	Peer string    `json:"peer,omitempty"`
	A    *FlowSide `json:"a"`
	B    *FlowSide `json:"b"`
	Lost int       `json:"lost"`
	// LostSequences are the runs of sequence numbers that are proven lost, first and last of each; the
	// first 256 of them.
	LostSequences [][2]uint64 `json:"lost_sequences,omitempty"`
}

// FlowSide is what one capture holds of a flow.
type FlowSide struct {
	Packets int `json:"packets"`
	// Pieces is how many of Packets are a first IP fragment whose others are missing.
	Pieces    int       `json:"first_fragments,omitempty"`
	FirstSeq  uint32    `json:"first_seq"`
	LastSeq   uint32    `json:"last_seq"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	FirstNS   int64     `json:"first_aligned_ns"`
	LastNS    int64     `json:"last_aligned_ns"`
	Frame     int       `json:"first_frame"`
	LastFrame int       `json:"last_frame"`
}

// ICMP is an ICMP error that quotes a packet of the tunnel.
type ICMP struct {
	Side    Side     `json:"side"` // whose capture holds it
	Type    int      `json:"icmp_type"`
	Code    int      `json:"icmp_code"`
	Meaning string   `json:"meaning"`
	From    string   `json:"from"`
	MTU     int      `json:"mtu,omitempty"`
	Seen    Sighting `json:"seen"`
}

// Pairs counts what matched. Lost counts only what is proven lost; Only counts all that one side
// alone holds.
type Pairs struct {
	Matched  int `json:"matched"`
	LostAtoB int `json:"lost_a_to_b"`
	LostBtoA int `json:"lost_b_to_a"`
	OnlyA    int `json:"only_a"`
	OnlyB    int `json:"only_b"`
	// CopiesA and CopiesB are the packets that a capture holds again, IKE and ESP; UnpairedA and
	// UnpairedB are those of OnlyA and OnlyB that are neither lost nor copies.
	CopiesA   int `json:"copies_a,omitempty"`
	CopiesB   int `json:"copies_b,omitempty"`
	UnpairedA int `json:"unpaired_a,omitempty"`
	UnpairedB int `json:"unpaired_b,omitempty"`
}

// Run says how the captures were taken, when moncap took them.
type Run struct {
	ID         string    `json:"id"`
	Started    time.Time `json:"started"`
	DurationMS int64     `json:"duration_ms"`
	StartGapMS float64   `json:"start_gap_ms"` // between the two sides' capture starts, as measured here
	Phases     []Phase   `json:"phases"`
	Routers    []Router  `json:"routers"`
	Notes      []string  `json:"notes,omitempty"`
	Kept       bool      `json:"kept,omitempty"`   // it was asked to leave things on the routers
	Bundle     string    `json:"bundle,omitempty"` // the folder of the run on the machine that made it
	Left       []Left    `json:"left,omitempty"`   // what is, or may be, on a router still
}

// Left is a thing that a run left on a router.
type Left struct {
	Side   Side     `json:"side"`
	Peer   string   `json:"peer"`
	What   string   `json:"what"`
	Remove []string `json:"remove"` // what to type to remove it, line by line
	Why    string   `json:"why,omitempty"`
}

// Phase is one step of the playbook and how long it took.
type Phase struct {
	Name   string  `json:"name"`
	AMS    float64 `json:"a_ms"`
	BMS    float64 `json:"b_ms"`
	Failed string  `json:"failed,omitempty"`
}

// Router is what a run learnt about one router.
type Router struct {
	Side       Side     `json:"side"`
	Peer       string   `json:"peer"`
	Hostname   string   `json:"hostname,omitempty"`
	Platform   string   `json:"platform,omitempty"`
	Version    string   `json:"version,omitempty"`
	Transcript string   `json:"transcript,omitempty"` // file in the bundle
	Commands   []string `json:"commands,omitempty"`   // every line that was sent, secrets masked
	Clean      bool     `json:"clean"`
}

// JSONSchema is the JSON Schema (draft 2020-12) of a Report's JSON form.
//
//go:embed schema.json
var JSONSchema []byte
