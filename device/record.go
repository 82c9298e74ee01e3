package device

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/moncap/moncap/device/iosxe"
	"github.com/moncap/moncap/internal/lazyregexp"
)

// recorder writes the dialogue with the router, with everything secret masked.
type recorder struct {
	mu      sync.Mutex
	w       io.Writer
	secrets []string
	budget  int           // bytes of what nobody asked for that are still recorded
	held    *bytes.Buffer // not nil: what is recorded waits here
}

// maxUnasked bounds what a transcript takes of banners and of what a router says of its own accord:
// it could go on for ever.
const maxUnasked = 256 << 10

func newRecorder(w io.Writer) *recorder {
	if w == nil {
		w = io.Discard
	}
	return &recorder{w: w, budget: maxUnasked}
}

// hide has secret masked from now on.
func (r *recorder) hide(secret string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if secret != "" {
		r.secrets = append(r.secrets, secret)
	}
}

// Configuration lines that carry secrets, should a router ever print one.
var secretLine = lazyregexp.New(
	`(?im)\b((?:password|secret|pre-shared-key|key-string|community|psk)(?:[ \t]+(?:local|remote|ascii|hex|address|[0-9]))*[ \t]+)\S.*$`)

// mask replaces the secrets that are known, and what follows a word that announces one.
func (r *recorder) mask(s string) string {
	if s = r.maskAll(s); !mayAnnounce(s) {
		return s
	}
	return secretLine.Get().ReplaceAllString(s, "${1}***")
}

// announcing are the words of secretLine, in small letters. Most outputs hold none of them, and
// looking for these is much the cheaper.
var announcing = []string{"password", "secret", "pre-shared-key", "key-string", "community", "psk"}

// mayAnnounce says whether secretLine can match. It may hold for letters beyond ASCII that the
// expression takes for one of its own.
func mayAnnounce(s string) bool {
	small := strings.ToLower(s)
	return slices.ContainsFunc(announcing, func(w string) bool { return strings.Contains(small, w) }) ||
		strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
}

// maskAll replaces the secrets that are known.
func (r *recorder) maskAll(s string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range r.secrets {
		s = strings.ReplaceAll(s, secret, "***")
	}
	return s
}

// shortest is the length from which a secret is masked in outputs that are parsed, too: what is
// shorter may well be a word of them.
const shortest = 6

// maskKnown replaces the secrets of the session, but for the shortest.
func (r *recorder) maskKnown(s string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, secret := range r.secrets {
		if len(secret) >= shortest {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	return s
}

// typed records what was sent, received what came back. A transcript that cannot be written must
// not fail a run that is about to clean up, so errors are dropped here; the bundle's own files
// report a full disk.
func (r *recorder) typed(line string) { r.write(">", r.mask(line)) }

func (r *recorder) received(text string) { r.write("<", r.mask(iosxe.Printable(normalNewlines(text)))) }

// unasked records what no command asked for, as long as the budget lasts.
func (r *recorder) unasked(text string) { r.within(text, r.received) }

// banner records what a server says before anybody has logged in, as long as the budget lasts. It
// is marked, since it may hold whatever its owner wrote.
func (r *recorder) banner(text string) {
	r.within(text, func(text string) {
		for line := range strings.Lines(r.mask(iosxe.Printable(normalNewlines(text)))) {
			r.write("#", "banner: "+strings.TrimRight(line, "\n"))
		}
	})
}

// within has record take as much of a text as is left of the budget.
func (r *recorder) within(text string, record func(string)) {
	r.mu.Lock()
	left := r.budget
	r.budget = max(0, left-len(text))
	r.mu.Unlock()
	switch {
	case left >= len(text):
		record(text)
	case left > 0:
		record(text[:left])
		r.note("(more that nobody asked for is not recorded)")
	}
}

func (r *recorder) note(text string) { r.write("#", r.mask(text)) }

func (r *recorder) write(mark, text string) {
	stamp := time.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.w
	if r.held != nil {
		w = r.held
	}
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		fmt.Fprintf(w, "%s %s %s\n", stamp, mark, line)
	}
	if r.held != nil && r.held.Len() > maxHeld { // it is more than what is the same every time
		r.release(true)
	}
}

// maxHeld bounds what a recorder holds back.
const maxHeld = 256 << 10

// hold has what is recorded wait until the function that it returns is called, which decides
// whether it is kept.
func (r *recorder) hold() (end func(keep bool)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held = &bytes.Buffer{}
	return func(keep bool) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.release(keep)
	}
}

// release ends a hold. The recorder is locked.
func (r *recorder) release(keep bool) {
	if r.held != nil && keep {
		_, _ = r.w.Write(r.held.Bytes()) // as any other line
	}
	r.held = nil
}

func normalNewlines(s string) string {
	return strings.ReplaceAll(strings.ReplaceAll(s, "\r\n", "\n"), "\r", "\n")
}
