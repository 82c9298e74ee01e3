package bundle

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"time"
)

// Schema names the form of run.json. Additive changes only; readers ignore keys
// that they do not know.
const Schema = "moncap.bundle/v1"

// Side is one of the two routers of a tunnel, by its letter.
type Side string

// The sides of a tunnel.
const (
	A Side = "A"
	B Side = "B"
)

// Sides lists both sides, in the order in which they are shown.
func Sides() []Side { return []Side{A, B} }

// Other returns the opposite side.
func (s Side) Other() Side {
	if s == A {
		return B
	}
	return A
}

// folder is where the side's own files are.
func (s Side) folder() (string, error) {
	switch s {
	case A:
		return "a", nil
	case B:
		return "b", nil
	}
	return "", fmt.Errorf("bundle: side %q: want A or B", string(s))
}

// Run is run.json: what was done, when, and what came of it. Times are this machine's unless they
// say otherwise.
type Run struct {
	Schema  string    `json:"schema"`
	ID      string    `json:"id"`
	Tunnel  string    `json:"tunnel"`
	Tool    string    `json:"tool,omitempty"` // the program and its version
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"` // zero: the run did not end, or was killed
	// what the playbook needs to go on later; only package capture reads it
	Plan json.RawMessage `json:"plan,omitempty"`
	// StartGapMS is the time between the two captures' starts, in milliseconds: between the middles of
	// the two commands' round trips.
	StartGapMS float64  `json:"start_gap_ms"`
	Phases     []Phase  `json:"phases"`
	A          Router   `json:"a"`
	B          Router   `json:"b"`
	Notes      []string `json:"notes,omitempty"`
	Error      string   `json:"error,omitempty"` // why the run failed
	Kept       bool     `json:"kept,omitempty"`  // it was asked to leave things on the routers
	Clean      bool     `json:"clean"`           // nothing of the run is left on either router
	Left       []Left   `json:"left,omitempty"`
	// Proof is the digest of the journal with which Clean was found true, as JournalDigest returns it.
	// A journal that is another one by now proves nothing.
	Proof string `json:"proof,omitempty"`
	// Catch is the event that an armed run was waiting for; nil: none came, or the run was not armed.
	Catch *Catch `json:"catch,omitempty"`
}

// Catch is an event, as an armed run learnt of it.
type Catch struct {
	At   time.Time `json:"at"`
	Kind string    `json:"kind"`           // what happened, in a word that stays: see package capture
	Side Side      `json:"side,omitempty"` // the router that told; empty: neither did
	Text string    `json:"text"`
}

// Router returns the part of s.
func (r *Run) Router(s Side) *Router {
	if s == B {
		return &r.B
	}
	return &r.A
}

// Phase is one phase of the playbook, and how long each side took.
type Phase struct {
	Name   string    `json:"name"`
	Began  time.Time `json:"began"`
	AMS    float64   `json:"a_ms"`
	BMS    float64   `json:"b_ms"`
	Failed string    `json:"failed,omitempty"`
}

// Router is what a run learnt about one router and its capture.
type Router struct {
	Peer       string     `json:"peer"` // its name in the inventory
	Address    netip.Addr `json:"address"`
	NATAddress netip.Addr `json:"nat_address,omitzero"` // what the other side sees instead
	Interface  string     `json:"interface"`
	VRF        string     `json:"vrf,omitempty"`
	Hostname   string     `json:"hostname,omitempty"` // what it calls itself
	Model      string     `json:"model,omitempty"`
	Software   string     `json:"software,omitempty"`
	Serial     string     `json:"serial,omitempty"`
	HostKey    string     `json:"host_key,omitempty"` // its fingerprint, as OpenSSH writes it
	Capture    string     `json:"capture"`            // the capture point's name
	ACL        string     `json:"acl,omitempty"`
	File       string     `json:"file,omitempty"` // on the router
	StartSent  time.Time  `json:"start_sent,omitzero"`
	StartDone  time.Time  `json:"start_done,omitzero"`
	Packets    int        `json:"packets"`       // in the router's buffer when it was stopped
	Dropped    int        `json:"dropped"`       // by the router: the buffer was full, or too many a second
	Bytes      int64      `json:"bytes"`         // of the capture file here
	MD5        string     `json:"md5,omitempty"` // as the router computed it
	SHA256     string     `json:"sha256"`        // of the capture file here
	// TransferHostKeyChanged is what was wrong with the host key that the transfer's connection
	// was shown, while the command line's was the known one: somebody else may have answered
	// it. Empty: nothing.
	TransferHostKeyChanged string `json:"transfer_host_key_changed,omitempty"`
	// ControlPlaneEnded says that the capture at the control plane was not active any more when it was
	// to be stopped: what it lacks proves nothing.
	ControlPlaneEnded bool   `json:"control_plane_ended,omitempty"`
	Source            string `json:"source"` // scp, dump, empty; what the capture file here was made from
	// TimesGoodToMS is by how many milliseconds all times of the capture file may be wrong alike,
	// where they were put together here; 0: they are the router's own.
	TimesGoodToMS float64  `json:"times_good_to_ms,omitempty"`
	ClockMS       *float64 `json:"clock_ms"`       // the router's clock minus ours, in milliseconds
	ClockError    float64  `json:"clock_error_ms"` // half the round trip of that reading
	ClockNote     string   `json:"clock_note,omitempty"`
	Commands      []string `json:"commands,omitempty"` // every line that was sent, in order
	Failed        string   `json:"failed,omitempty"`
	Clean         bool     `json:"clean"`
}

// What a capture file was made from.
const (
	SourceSCP   = "scp"   // the file that the router exported, whole
	SourceDump  = "dump"  // rebuilt from `buffer dump`; times are those of the brief listing
	SourceEmpty = "empty" // the router had captured nothing
)

// Left is one thing that the run left on a router.
type Left struct {
	Side   Side     `json:"side"`
	Peer   string   `json:"peer"`
	What   string   `json:"what"`
	Remove []string `json:"remove"`           // what to type to remove it
	Reason string   `json:"reason,omitempty"` // why it is there, in a word that stays: see package capture
	Why    string   `json:"why,omitempty"`    // the same for people
	Fetch  string   `json:"fetch,omitempty"`  // how to fetch it by hand, where it holds the only copy of the packets
}

func decodeRun(b []byte) (*Run, error) {
	var r Run
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("run.json: %w", err)
	}
	if r.Schema != Schema {
		return nil, fmt.Errorf("run.json: schema %q: this moncap reads %s", r.Schema, Schema)
	}
	return &r, nil
}
