package device

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/moncap/moncap/device/iosxe"
)

// want is what ends the reading of an answer.
type want struct {
	line     string   // what was typed; a prompt before its echo is an old one
	ahead    []string // what was typed behind it, without waiting: the echo of the first of them ends the answer
	patient  bool     // another login would be the price of taking an echo that comes late for lost
	timeout  time.Duration
	idle     bool           // the timeout runs from the last byte
	ends     *regexp.Regexp // ends the reading, and a prompt does not
	orPrompt bool           // with ends: a prompt ends it as well
	enters   bool           // a prompt of configuration mode ends it, whatever name stands there
	answers  []iosxe.Answer
	secret   string // answers the first question for a password; "": nothing does
	limit    int    // bytes
	twice    bool   // a prompt counts when it comes again at an empty line
	// takes whole lines as they come, so that they need not be kept; nil: the answer has all
	sink func(text string) error
}

// answer is what a router wrote: all of it, and the part between the echo of the
// line and the prompt.
type answer struct {
	raw, body string
	prompt    string // the line that ended it; empty when no prompt did
	told      bool   // the secret of want went out
}

// How long the router must be quiet before something unusual is believed. Messages of its
// own do not count as talk, and a segment that is lost on the way is sent again within
// the shorter of them.
const (
	// a question, a prompt of another name: output may look like one in the middle of a line
	settle      = 1500 * time.Millisecond
	settleAsked = 5 * time.Second  // a question of a command that may ask: it may not be complete yet
	settleEcho  = 2 * time.Second  // a prompt although the line was not echoed, because it was mangled
	afterBreak  = 5 * time.Second  // what an interrupt may take
	settleBreak = 3 * time.Second  // nothing comes of one
	deaf        = 10 * time.Second // not a byte, and not the echo of what was typed: the connection is dead
)

// mostIdle bounds a command whose timeout runs from the last byte, in timeouts: a router that
// chatters and never answers is not waited for all day.
const mostIdle = 30

// reading is the state of one answer. It does no I/O. Whole lines are judged as they come; what
// stands at the end without a newline (a prompt, a question) is judged when nothing more is there
// to read. So however the bytes are cut into reads, the same is understood.
type reading struct {
	want     want
	prompt   *regexp.Regexp
	named    bool // the prompt is of one router, and not of any
	echoing  bool // the session is known to echo what is typed
	echoed   bool // or an earlier one with the router did
	deadline time.Time
	began    time.Time
	last     time.Time // the deadline does not move beyond it

	out     strings.Builder // what came, but for what went to the sink
	passed  int             // how much that is; what is a place in the output counts from before it
	head    string          // how it begins
	seen    int             // where the line that is not complete yet begins
	scanned int             // where the search for its newline goes on
	tail    []byte          // the last whole lines, without the router's messages, since something was replied or heard
	torn    bool            // the last whole line was a message
	stood   prompts

	heard  bool   // the line that was typed was echoed
	fresh  bool   // nothing but messages came since
	echo   int    // where the answer begins, behind the echo
	piece  string // the beginning of an echo that messages tear apart
	from   int    // where that begins
	strays bool   // before the echo came something else than messages and prompts
	quiet  bool   // no message came
	lines  int    // whole lines that are neither messages nor prompts
	end    int    // with ahead: where the echo of the next line begins; 0: not yet
	mixed  bool   // with ahead: an echo came out of turn

	moved  time.Time // when what is judged at the end last changed
	judged string    // that

	replies int    // dialogs so far
	told    bool   // want.secret went out
	refused bool   // it was asked for again
	asked   string // a question that nothing answers, as it stands at the end
	unheard bool   // a prompt stands at the end, but the echo was not heard
	stalled bool   // a prompt stands at the end, and what was typed ahead is not echoed
	again   int    // with want.twice: where the answer ended when the empty line was typed; 0: it was not yet
	strange string // the name in what would be a prompt, were the router called so
	probed  string // the strange name at whose prompt an empty line was typed
	probe   int    // where the answer ended then
	newName string // the router was renamed
	paged   bool   // the pager was there
	ended   string // the prompt that ended the answer
	done    bool
}

// prompts are the lines at the end that are prompts of one name, with nothing but
// messages between them.
type prompts struct {
	name string // "" with own
	own  bool
	n    int
	at   int // where the last of them begins
	text string
}

func newReading(w want, prompt *regexp.Regexp, named bool) *reading {
	if w.limit == 0 {
		w.limit = maxOutput
	}
	now := time.Now()
	r := &reading{want: w, prompt: prompt, named: named, heard: w.line == "", quiet: true, moved: now, began: now,
		deadline: now.Add(w.timeout), last: now.Add(mostIdle * w.timeout)}
	if w.twice && w.limit < maxBulk && w.sink == nil {
		r.out.Grow(w.limit) // once, where it is known: to grow takes a copy each time
	}
	return r
}

// take appends what came, and judges the lines that are whole.
func (r *reading) take(b []byte) {
	r.out.Write(b)
	if later := time.Now().Add(r.want.timeout); r.want.idle && r.heard && len(b) > 0 && later.Before(r.last) {
		r.deadline = later
	}
	for r.end == 0 {
		n := strings.IndexByte(r.text(r.scanned), '\n')
		if n < 0 {
			r.scanned = r.size()
			return
		}
		from := r.seen
		r.scanned += n + 1
		r.seen = r.scanned
		l := r.text(from)
		r.line(l[:r.seen-1-from], from)
	}
}

// size is how much came so far, and text what came from there on.
func (r *reading) size() int          { return r.passed + r.out.Len() }
func (r *reading) text(at int) string { return r.out.String()[at-r.passed:] }

// passAt is how much of an answer is kept before it goes to the sink: a refusal is shorter.
const passAt = 256 << 10

// pass hands the whole lines of the answer to the sink, when there are many of
// them, and forgets them.
func (r *reading) pass() error {
	if r.want.sink == nil || !r.heard || r.seen-max(r.passed, r.echo) < passAt {
		return nil
	}
	from := max(r.passed, r.echo)
	text := r.text(from)[:r.seen-from]
	text = text[:strings.LastIndexByte(text, '\n')+1] // the pager's line is not whole, and is taken back
	if len(text) < tailSize {
		return nil
	}
	if r.passed == 0 {
		r.head = strings.Clone(text[:tailSize])
	}
	err := r.want.sink(text)
	rest := strings.Clone(r.text(from + len(text)))
	r.passed = from + len(text)
	r.out.Reset()
	r.out.WriteString(rest)
	return err
}

// line judges a whole line that begins at from.
func (r *reading) line(l string, from int) {
	if r.torn = messageLine(l); r.torn {
		r.quiet = false
		return
	}
	l = overtyped(l)
	before := r.stood
	if strings.TrimSpace(l) != "" {
		if r.stood = r.promptIn(l, from); r.stood.n == 0 {
			r.lines++
			r.strays = r.strays || !r.begins(l)
		}
	}
	switch {
	case !r.heard:
		if _, ok := r.echoes(l, from, r.want.line); ok {
			r.hear()
			return
		}
	case r.fresh && r.ownPrompt(l) && typedIn(l) == r.want.line:
		r.hear() // a message came before the newline, and the line was drawn again
		return
	case len(r.want.ahead) > 0 && (r.piece != "" || before.own || r.ownPrompt(l)):
		at, next := r.echoes(l, from, r.want.ahead[0])
		if next {
			r.end = at
			return
		}
		r.mixed = r.mixed || slices.Contains(r.want.ahead, typedIn(l)) || typedIn(l) == r.want.line
	}
	r.fresh = r.fresh && strings.TrimSpace(l) == ""
	r.tail = append(append(r.tail, l...), '\n')
	if len(r.tail) > 2*tailSize {
		r.tail = append(r.tail[:0], r.tail[len(r.tail)-tailSize:]...)
	}
}

// hear takes the line that was just read for the echo.
func (r *reading) hear() {
	r.heard, r.fresh, r.echo, r.piece, r.stood = true, true, r.seen, "", prompts{}
	r.tail = r.tail[:0]
}

// messageLine says whether the router wrote l of its own accord. Few lines have what such a line
// must have.
func messageLine(l string) bool {
	return (strings.IndexByte(l, '%') >= 0 || strings.Contains(l, " WARNING ")) && iosxe.SyslogLine(l)
}

// overtyped carries out the backspaces with which the pager takes its line back.
func overtyped(l string) string {
	if strings.IndexByte(l, '\b') < 0 {
		return l
	}
	return iosxe.Overtyped(l)
}

// cutPrompt splits a line into what would be its prompt and what was typed there. No line of ours
// has either sign.
func cutPrompt(l string) (prompt, typed string) {
	at := strings.LastIndexAny(l, "#>") + 1
	return l[:at], strings.TrimLeft(l[at:], " ")
}

func typedIn(l string) string {
	_, typed := cutPrompt(l)
	return strings.TrimRight(typed, " \t\a")
}

// ownPrompt says whether l begins with the router's prompt.
func (r *reading) ownPrompt(l string) bool {
	prompt, _ := cutPrompt(l)
	return prompt != "" && r.prompt.MatchString(prompt)
}

// begins says whether l may be a piece of the echo that is waited for.
func (r *reading) begins(l string) bool {
	_, typed := cutPrompt(l)
	return strings.HasPrefix(r.want.line, typed) || r.piece != ""
}

// echoes says whether l is the echo of line, or ends it: a message tears a line apart, and the
// router may or may not draw again what it had of it. With something typed ahead the prompt must
// stand before it. at is where the echo begins.
func (r *reading) echoes(l string, from int, line string) (at int, ok bool) {
	strict := r.heard
	whole := func(s string) bool {
		prompt, typed := cutPrompt(s)
		return strings.TrimRight(typed, " \t\a") == line && (!strict || r.ownPrompt(prompt))
	}
	if r.piece != "" && whole(r.piece+l) {
		return r.from, true
	}
	if whole(l) {
		if r.piece == "" {
			r.from = from
		}
		return r.from, true
	}
	if strings.TrimSpace(l) == "" {
		return 0, false
	}
	for _, s := range []string{r.piece + l, l} {
		prompt, typed := cutPrompt(s)
		if strings.HasPrefix(line, typed) && (!strict || r.ownPrompt(prompt)) {
			if r.piece == "" {
				r.from = from
			}
			r.piece = s
			return 0, false
		}
	}
	r.piece = ""
	return 0, false
}

// promptIn says which prompt the line l is, if any, counting those directly before it.
func (r *reading) promptIn(l string, from int) prompts {
	l = strings.TrimRight(l, " \t\a")
	if l == "" || !strings.ContainsRune("#>", rune(l[len(l)-1])) {
		return prompts{}
	}
	p := prompts{n: 1, at: from, text: l, own: r.prompt.MatchString(l)}
	if !p.own {
		m := iosxe.AnyPrompt.Get().FindStringSubmatch(l)
		if m == nil {
			return prompts{}
		}
		p.name = m[1]
	}
	if p.own == r.stood.own && p.name == r.stood.name {
		p.n += r.stood.n
	}
	return p
}

// standing are the prompts at the very end.
func (r *reading) standing() prompts {
	rest := overtyped(r.text(r.seen))
	if strings.TrimSpace(rest) == "" {
		return r.stood
	}
	return r.promptIn(rest, r.seen)
}

// ending is the end of what the router wrote, as questions are looked for in it.
func (r *reading) ending() string {
	rest := r.text(r.seen)
	rest = rest[max(0, len(rest)-tailSize):]
	if rest == "" && r.torn {
		return strings.TrimRight(string(r.tail), "\n") // a message came behind it
	}
	return string(r.tail) + rest
}

// isDeaf says whether nothing at all came since something was typed at a router that echoes what
// is. What is slow by its nature may keep the router from its terminal as well.
func (r *reading) isDeaf() bool {
	return (r.echoing || r.echoed) && !r.want.idle && !r.heard && r.size() == 0
}

// patience says until when to wait for more.
func (r *reading) patience() time.Time {
	soon := r.deadline
	switch {
	case r.isDeaf():
		soon = r.began.Add(deaf)
	case r.refused:
		soon = time.Now()
	case r.asked != "" && len(r.want.answers) > 0:
		soon = r.moved.Add(settleAsked)
	case r.asked != "" || r.strange != "":
		soon = r.moved.Add(settle)
	case r.stalled && r.want.patient:
		soon = r.deadline
	case r.unheard && r.want.patient:
		soon = r.moved.Add(settleAsked)
	case r.unheard || r.stalled:
		soon = r.moved.Add(settleEcho)
	}
	if soon.Before(r.deadline) {
		return soon
	}
	return r.deadline
}

// look decides what the end of the answer so far is, and what to type at it. known says that the
// reply belongs to a dialog that the command expects.
func (r *reading) look() (reply []byte, known bool) {
	r.asked, r.strange, r.unheard, r.stalled = "", "", false, false
	if r.end > 0 {
		r.done = true
		return nil, false
	}
	reply, known = r.judge()
	if reply == nil && (r.unheard || r.stalled || r.asked != "" || r.strange != "") {
		state := fmt.Sprint(r.lines, r.asked, r.strange)
		if r.want.patient {
			state += fmt.Sprint(" ", r.size())
		}
		if state != r.judged {
			r.judged, r.moved = state, time.Now()
		}
	}
	return reply, known
}

func (r *reading) judge() (reply []byte, known bool) {
	stands := r.standing()
	if !r.heard {
		// A message has the prompt drawn again. Only with something else before it may it be the
		// answer's; or when the router echoes nothing.
		r.unheard = stands.own && (r.strays || r.quiet && !r.echoing)
		return nil, false
	}
	end := r.ending()
	for _, a := range r.want.answers {
		if a.Prompt.MatchString(end) {
			if len(r.want.ahead) > 0 { // what was typed ahead was, or will be, the answer
				r.stalled = true
				return nil, false
			}
			r.replied()
			return []byte(a.Send + "\n"), true
		}
	}
	asks := r.want.secret != "" && iosxe.PasswordPrompt.Get().MatchString(end)
	if asks && !r.told {
		r.replied()
		r.told = true
		return []byte(r.want.secret + "\n"), true // it is masked where it is recorded
	}
	switch {
	case asks:
		r.asked, r.refused = lastLine(end), true
	case r.want.ends != nil && r.want.ends.MatchString(end):
		r.done = true
	case r.want.enters && iosxe.ConfigPrompt.Get().MatchString(end):
		r.done, r.ended = true, lastLine(end)
	case stands.own && (r.want.ends == nil || r.want.orPrompt):
		return r.complete(stands), false
	case iosxe.Pager.Get().MatchString(end):
		r.replied()
		r.paged = true
		return []byte(" "), false
	case iosxe.Dialog.Get().MatchString(end) || r.want.ends == nil && iosxe.PasswordPrompt.Get().MatchString(end):
		r.asked = lastLine(end)
	case r.named && stands.n > 0:
		r.otherName(stands)
	}
	return nil, false
}

// replied begins a new tail: what stands there was replied to.
func (r *reading) replied() {
	r.tail, r.seen, r.stood = r.tail[:0], r.size(), prompts{}
	r.scanned = r.seen
}

// complete takes a prompt for the end; of bulk output only when an empty line brings it again,
// because the output is made of bytes that anybody may have sent. One empty line is enough,
// whenever it is typed: it brings one prompt more than there would be, directly behind the last.
func (r *reading) complete(stands prompts) (reply []byte) {
	switch {
	case len(r.want.ahead) > 0:
		r.stalled = true // until the next line is echoed
	case r.want.twice && r.again == 0:
		r.again = r.size()
		return []byte("\n")
	case !r.want.twice || stands.n > 1 && stands.at >= r.again:
		r.done, r.ended = true, stands.text
	}
	return nil
}

// otherName notices a prompt that would be one, were the router called something else. That it is
// one shows when an empty line brings it again, directly behind.
func (r *reading) otherName(stands prompts) {
	switch {
	case stands.name != r.probed:
		r.strange = stands.name
	case stands.n > 1 && stands.at >= r.probe:
		r.newName, r.ended = stands.name, stands.text
	}
}

// answer is what was read, with the echo and the prompts taken off the body.
func (r *reading) answer(prompt *regexp.Regexp) answer {
	a := answer{raw: r.out.String(), told: r.told, prompt: r.ended}
	if r.end > 0 {
		next, _, _ := strings.Cut(r.text(r.end), "\n")
		a.prompt, _ = cutPrompt(next)
		a.raw = a.raw[:r.end-r.passed]
	}
	a.body = a.raw[max(r.echo-r.passed, 0):]
	if r.ended != "" {
		if head, ok := strings.CutSuffix(strings.TrimRight(a.body, " \t\a\n"), r.ended); ok {
			a.body = head
		}
	}
	// What follows the prompt is the router talking to itself.
	for at := promptLine(prompt, a.body); at >= 0; at = promptLine(prompt, a.body) {
		a.body = a.body[:at]
	}
	return a
}

// rest is what came behind the answer, when something was typed ahead.
func (r *reading) rest() string {
	if r.end == 0 {
		return ""
	}
	return r.text(r.end)
}
