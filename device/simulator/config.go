// Package simulator is a CSR1000V that exists only as text: an SSH server with the IOS XE command
// line, capture points that collect replayed packets, a bootflash and a legacy SCP server. Two of
// them make the demo, the practice pair and the tests of everything that talks to routers. It
// shares no code with the client side, so that the two can disagree; its own tests hold its text to
// recorded outputs.
package simulator

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// Config says what kind of router to simulate. The zero value is a CSR1000V with IOS XE 16.12, one
// interface that is up, SCP on, a synchronised clock, and a user moncap with the password moncap at
// privilege level 15.
type Config struct {
	Hostname string // default: Router
	Serial   string // number of the processor board; default: one made from Hostname
	Version  string // as in "16.12.6" (the default) or "17.9.4"; from 17 on the router calls itself C8000V
	Username string // default: moncap
	Password string // default: moncap
	// Enable is the enable secret. Without one `enable` works unasked only for users
	// at level 15 already.
	Enable         string
	AuthorizedKeys []ssh.PublicKey // keys that log the user in
	Privilege      int             // the user's level at login, 1 to 15; 0 stands for 15
	HostKeys       []ssh.Signer    // default: a fresh Ed25519 key

	Interfaces []Interface       // default: GigabitEthernet1, 192.0.2.1/24, up
	WAN        string            // the interface that Packets pass; default: the first one
	VRFs       []string          // the VRFs that exist
	ACLs       []ACL             // access lists of the startup configuration
	VTYs       int               // terminal lines; a connection takes one; default: 5
	Flash      map[string][]byte // the files in bootflash:, by name
	FlashFree  int64             // bytes free beside Flash; default: 1 GiB, negative: none

	ClockOffset time.Duration    // what the router's clock is ahead of Now
	ClockDrift  float64          // how much faster it runs, in parts per million
	Zone        *time.Location   // default: UTC
	NoNTP       bool             // the clock is not synchronised, so its times carry an asterisk
	NTPLost     bool             // NTP has lost its servers, so its times carry a full stop
	Now         func() time.Time // default: time.Now

	Packets Source // what passes the WAN interface; default: nothing
	Drops   []Drop // what the router counts of packets that it drops
	// Show overrides or adds the output of a show command, by its full spelling: "show crypto
	// ikev2 sa detailed".
	Show map[string]string
	// DebugLog is what `debug crypto ikev2` writes to the logging buffer when it is turned on, one
	// line each, without the time stamps; the packets that pass then are written in any case.
	DebugLog []string

	// Authorize, when set, is asked before every command, as a TACACS+ server is. It sees the command
	// spelled out.
	Authorize func(command string) bool
	// View, when set, is the parser view that the user is put into: the beginnings of the only
	// commands there are. It takes the place of Privilege.
	View []string
	// Logged is given each log line, as it would go to a log server (`logging host`), without waiting;
	// nil: there is none.
	Logged func(line []byte)
	Faults []Fault
	Knobs  Knobs
}

// Knobs are the ways in which real routers differ from each other, or from what a tool expects. The
// zero value is the router of the tech note.
type Knobs struct {
	NoSCP bool // `ip scp server enable` is not configured
	// the only path form that SCP takes: "slash" (bootflash:/x), "plain" (bootflash:x) or "bare" (x)
	SCPPath               string
	NoPassword            bool       // refuses SSH password authentication
	NoKeyboardInteractive bool       // refuses SSH keyboard-interactive authentication
	OTP                   string     // keyboard-interactive asks a second time, for this
	AuthTries             int        // refused credentials before the connection is dropped; default: 3
	MultipleChannels      bool       // IOS refuses a second session channel on a connection; this router does not
	KeepConnection        bool       // IOS drops the connection when its channel ends; this router does not
	NoExitStatus          bool       // the channel closes without an exit status
	SSH                   ssh.Config // the algorithms on offer; default: those of x/crypto/ssh
	ServerVersion         string     // default: SSH-2.0-Cisco-1.25

	SCPRefusal   string        // what the SCP server says instead of serving, byte for byte
	SCPWrongPath string        // with SCPPath: what it says to the other forms; default: that there is no such file
	OneSession   bool          // a second login of a user is refused as a wrong password is
	LoginDelay   time.Duration // what the AAA server takes to answer a login
	AfterLogin   string        // said after a good login, instead of a prompt or a transfer, before the router hangs up
	// a router without a free line lets in, says this and hangs up; otherwise it resets the connection
	BusyText string

	Banner string // shown before authentication
	MOTD   string // shown at login
	// Prompt is the command `prompt`: what stands before the cursor in EXEC mode, with %h for the
	// hostname and %p for the mark. It changes no configuration mode's prompt.
	Prompt    string
	NULPrompt bool // a zero byte before each prompt

	ExecPromptTimestamp bool          // load and time before every output
	LoggingSynchronous  bool          // the prompt is drawn again after a syslog line
	TerminalMonitor     bool          // syslog lines go to every new terminal
	SyslogEvery         time.Duration // an unrelated syslog line to monitoring terminals, at this rate
	SecurityWarnings    bool          // the warnings of 17.18 at login
	ExecTimeout         time.Duration // an idle terminal is closed; default: 10 minutes, negative: never
	BootTime            time.Duration // how long connections are refused after a reload
	Latency             time.Duration // before the answer to each command
	// between the end of a line's echo and what follows it, the prompt after an empty line too
	EchoPause    time.Duration
	PromptPause  time.Duration // between an output and the prompt
	ByteDelay    time.Duration // before each byte that goes to a terminal
	Jitter       time.Duration // what goes to a terminal goes in pieces of any size, with pauses up to this
	RunningDelay time.Duration // what building the running configuration takes
	LoseSAAfter  time.Duration // an IKE SA that has been up for so long is lost: its peer does not answer any more
	KeepPager    bool          // `terminal length` is taken and changes nothing

	Controller      bool   // the router is in SD-WAN controller mode: configured by its controller, not from the terminal
	HubSAs          int    // IKEv2 SAs with other peers that are listed beside those of the packets
	BriefRows       int    // rows of IPv6 packets that `buffer brief` lists behind those of the buffer
	NoDates         bool   // files were written before the clock was set
	AskPPS          bool   // the default limit of packets per second counts as set: setting it asks
	StopWhenFull    bool   // a full linear buffer ends the capture; otherwise the packets that follow are dropped
	StopStatistics  bool   // `stop` prints the counters first
	NoEPC           bool   // the platform has no embedded packet capture
	RefuseExport    bool   // no export while the capture is active
	PcapNanoseconds bool   // exports have nanosecond stamps
	OddConditions   bool   // platform conditions are listed in a form that nobody knows
	PcapRaw         bool   // exports hold IP packets without their Ethernet headers
	DeleteActive    bool   // `no monitor capture` takes an active capture too
	Timestamps      string // of log lines: "" (datetime msec), "none", or "zone" (with sequence numbers, too)
	CPU             int    // per cent, of five seconds, one and five minutes
	MemoryFree      int    // per cent of the processor pool; default: 80
}

// Interface is one interface of the router.
type Interface struct {
	Name    string // in full: GigabitEthernet1
	Address netip.Addr
	Bits    int // of the prefix; default: 24 or 64
	Down    bool
	VRF     string
}

// ACL is an access list of the startup configuration, its entries as they are typed.
type ACL struct {
	Name    string
	IPv6    bool
	Entries []string
}

var (
	hostnameForm  = lazyregexp.New(`^[A-Za-z][A-Za-z0-9._-]{0,62}$`)
	interfaceForm = lazyregexp.New(`^[A-Za-z-]+[0-9][0-9/.:]*$`)
	versionForm   = lazyregexp.New(`^1[67]\.\d{1,2}\.\d{1,2}[a-z]?$`)
)

// complete fills the defaults in and says what cannot be.
func (c Config) complete() (Config, error) {
	c.Hostname = or(c.Hostname, "Router")
	c.Serial = or(c.Serial, serialOf(c.Hostname))
	c.Version = or(c.Version, "16.12.6")
	c.Username = or(c.Username, "moncap")
	c.Password = or(c.Password, "moncap")
	c.Privilege = or(c.Privilege, 15)
	c.VTYs = or(c.VTYs, 5)
	c.FlashFree = max(or(c.FlashFree, 1<<30), 0)
	c.Zone = or(c.Zone, time.UTC)
	c.Knobs.AuthTries = or(c.Knobs.AuthTries, 3)
	c.Knobs.ServerVersion = or(c.Knobs.ServerVersion, "SSH-2.0-Cisco-1.25")
	c.Knobs.ExecTimeout = or(c.Knobs.ExecTimeout, 10*time.Minute)
	c.Knobs.MemoryFree = or(c.Knobs.MemoryFree, 80)
	if c.Now == nil {
		c.Now = time.Now
	}
	if len(c.Interfaces) == 0 {
		c.Interfaces = []Interface{{Name: "GigabitEthernet1", Address: netip.MustParseAddr("192.0.2.1")}}
	}
	c.WAN = or(c.WAN, c.Interfaces[0].Name)
	if len(c.HostKeys) == 0 {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return c, err
		}
		signer, err := ssh.NewSignerFromKey(key)
		if err != nil {
			return c, err
		}
		c.HostKeys = []ssh.Signer{signer}
	}
	return c, c.check()
}

// serialOf is a serial number in the form of a CSR1000V's, another one for another name.
func serialOf(hostname string) string {
	sum := sha256.Sum256([]byte(hostname))
	return "9" + base32.StdEncoding.EncodeToString(sum[:])[:10]
}

// CheckVersion says whether there can be routers with a version of IOS XE.
func CheckVersion(version string) error {
	if !versionForm.Get().MatchString(version) {
		return fmt.Errorf("%q: want one as 16.12.6 or 17.9.4", version)
	}
	return nil
}

func (c Config) check() error {
	if !hostnameForm.Get().MatchString(c.Hostname) {
		return fmt.Errorf("simulator: hostname %q: want a letter, then letters, digits, dots and dashes", c.Hostname)
	}
	if err := CheckVersion(c.Version); err != nil {
		return fmt.Errorf("simulator %s: version %w", c.Hostname, err)
	}
	if c.Privilege < 1 || c.Privilege > 15 {
		return fmt.Errorf("simulator %s: privilege %d: want 1 to 15", c.Hostname, c.Privilege)
	}
	for _, i := range c.Interfaces {
		if !interfaceForm.Get().MatchString(i.Name) {
			return fmt.Errorf("simulator %s: interface %q: want a full name as GigabitEthernet1", c.Hostname, i.Name)
		}
	}
	switch c.Knobs.Timestamps {
	case "", "none", "zone":
	default:
		return fmt.Errorf("simulator %s: timestamps %q: want none or zone", c.Hostname, c.Knobs.Timestamps)
	}
	switch c.Knobs.SCPPath {
	case "", "slash", "plain", "bare":
	default:
		return fmt.Errorf("simulator %s: SCP path form %q: want slash, plain or bare", c.Hostname, c.Knobs.SCPPath)
	}
	return nil
}

// series is the first number of the version.
func (c Config) series17() bool { return strings.HasPrefix(c.Version, "17.") }

func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
