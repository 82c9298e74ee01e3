package simulator

import (
	"fmt"
	"strings"
	"time"
)

// suffer lets faults happen. carry says whether the command goes on.
func (s *session) suffer(hit []Fault) (carry bool, err error) {
	carry = true
	for _, f := range hit {
		goes, err := s.one(f)
		carry = carry && goes
		if err != nil {
			return false, err
		}
	}
	return carry, nil
}

// forever is longer than any test or session.
const forever = 365 * 24 * time.Hour

// one lets one fault happen.
func (s *session) one(f Fault) (carry bool, err error) {
	s.term.flush()
	switch f.Action {
	case DropFIN:
		s.vty.conn.Close()
		return false, errEnded
	case DropRST:
		s.vty.conn.reset()
		return false, errEnded
	case Silence:
		s.vty.conn.mute()
		return false, s.term.pause(forever, s.router.quit)
	case Delay:
		return true, s.term.pause(f.Delay, s.router.quit)
	case NeverAnswer:
		return false, s.term.pause(forever, s.router.quit)
	case ErrorText:
		s.term.print(crlf(strings.TrimSuffix(or(f.Text, "% Internal error"), "\n")) + "\r\n")
		return false, nil
	case UnknownDialog:
		return s.dialog(or(f.Text, "This operation may take a while. Proceed with the migration? (yes/no): "))
	case SyslogStorm:
		s.storm()
	case PromptChange:
		s.router.SetHostname(or(f.Text, "Renamed"))
	case Restart:
		s.router.Reload()
		return false, errEnded
	case FlashFull:
		s.full = true
	case ExportCut:
		s.cut = true
	case BufferFull:
		s.router.fillBuffers()
	}
	return true, nil
}

// dialog asks what no tool expects, and goes on asking until it is interrupted or
// answered as it wants.
func (s *session) dialog(text string) (bool, error) {
	for {
		answer, end, err := s.term.readLine(crlf(text), "", false, s.router.config.Knobs.ExecTimeout)
		if err != nil {
			return false, err
		}
		if end != '\n' {
			return false, nil
		}
		if a := strings.ToLower(strings.TrimSpace(answer)); a == "yes" || a == "no" {
			return a == "yes", nil
		}
		s.term.print("% Please answer 'yes' or 'no'.\r\n")
	}
}

func (s *session) storm() {
	for i := range 300 {
		s.router.mu.Lock()
		line := s.router.stamped(fmt.Sprintf("%%LINEPROTO-5-UPDOWN: Line protocol on Interface Tunnel%d, changed state to %s",
			i%7, []string{"down", "up"}[i%2]))
		s.router.mu.Unlock()
		s.term.notice(line)
	}
}
