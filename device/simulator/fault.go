package simulator

import (
	"regexp"
	"sync"
	"time"
)

// When says at which moment of a command a fault strikes.
type When int

// The moments. A command that was struck Before is not carried out; During it was carried out and
// half of its output is sent; After, all of the output is sent but not the prompt.
const (
	Before When = iota
	During
	After
)

// Action is what a fault does.
type Action int

// What can happen at a command.
const (
	DropFIN       Action = iota // the connection is closed
	DropRST                     // the connection is reset
	Silence                     // the connection stays open and carries nothing any more
	Delay                       // the answer comes after Fault.Delay
	NeverAnswer                 // this command gets no answer; interrupting it brings the prompt back
	ErrorText                   // Fault.Text is printed instead of what the command does
	OtherWords                  // Fault.Text is printed instead of what the command says; it is carried out
	UnknownDialog               // Fault.Text is asked (default: a question nobody knows), until the answer is yes or no
	SyslogStorm                 // hundreds of syslog lines in the middle of the output
	PromptChange                // the hostname becomes Fault.Text (default: Renamed)
	Restart                     // the router reloads
	FlashFull                   // the flash has no byte left, for this command
	BufferFull                  // the buffers of all capture points are full from now on
	ExportCut                   // the exported file lacks its last bytes
)

// What can happen to an SCP transfer. The "command" of a transfer is `scp -f PATH`.
const (
	SCPNeverStarts Action = iota + 100 // no file header comes
	SCPStops                           // the connection is closed after half of the file
	SCPStalls                          // nothing comes after half of the file
	SCPTrickles                        // a byte a second comes after half of the file
	SCPShort                           // the header names more bytes than come
	SCPLong                            // the header names fewer bytes than come
	SCPCorrupt                         // one byte is another
	SCPEvilName                        // the header's file name leads elsewhere
	SCPEndless                         // the header names 2^62 bytes and they keep coming
	SCPNoEnd                           // the channel closes without the final zero byte
	SCPError                           // Fault.Text, as an error of the protocol
)

// Fault is something that goes wrong at a command.
type Fault struct {
	Match  *regexp.Regexp // the commands, as they are received; nil: every one
	When   When
	Action Action
	Times  int // how often it strikes; 0 stands for once, negative for always
	Skip   int // so many matching commands pass unharmed first
	Delay  time.Duration
	Text   string
}

// faults is what is still to go wrong.
type faults struct {
	mu    sync.Mutex
	armed []Fault
	fired int
}

func (f *faults) add(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fault.Times = or(fault.Times, 1)
	f.armed = append(f.armed, fault)
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = nil
}

// strike returns the faults that hit this command, in the order in which they were added, and
// counts them off.
func (f *faults) strike(line string) []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	var hit []Fault
	for i := range f.armed {
		a := &f.armed[i]
		if a.Times == 0 || a.Match != nil && !a.Match.MatchString(line) {
			continue
		}
		if a.Skip > 0 {
			a.Skip--
			continue
		}
		a.Times--
		f.fired++
		hit = append(hit, *a)
	}
	return hit
}

func at(hit []Fault, when When) []Fault {
	var now []Fault
	for _, f := range hit {
		if f.When == when {
			now = append(now, f)
		}
	}
	return now
}
