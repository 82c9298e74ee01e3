package diagnose

import (
	"github.com/moncap/moncap/analysis/exchange"
	"github.com/moncap/moncap/analysis/pair"
)

// unfit says what about a message, as it left or as it arrives, keeps its receiver from taking it
// for IKE at all; empty when nothing does.
func (j *judge) unfit(m *pair.Message) string {
	switch {
	case everySight(m, m.From.Other(), unmarked) && !everySight(m, m.From, unmarked) && m.Copy(m.From) != nil:
		return " On UDP 4500 the message arrives without the non-ESP marker that it left with (RFC 3948, Section 2.2): a " +
			"device on the path took it away, and who receives it takes it for ESP."
	case everySight(m, m.From, unmarked) || everySight(m, m.From.Other(), unmarked):
		return " On UDP 4500 the message lacks the non-ESP marker (RFC 3948, Section 2.2): who receives it takes it for ESP."
	case j.spoilt(m):
		return " The message arrives with a wrong UDP checksum, with which it never reaches IKE: a device on the path " +
			"changes it, as a NAT does, and does not correct the checksum."
	}
	return ""
}

// everySight says whether the capture of s has the message, and each sending of it is so.
func everySight(m *pair.Message, s pair.Side, is func(*exchange.Sight) bool) bool {
	some := false
	for _, x := range m.Transmissions() {
		if x.At[s] == nil {
			continue
		}
		if !is(x.At[s]) {
			return false
		}
		some = true
	}
	return some
}

// unmarked says whether a message went on UDP 4500 without the non-ESP marker. What a NAT
// translates between ports 500 and 4500 has none.
func unmarked(x *exchange.Sight) bool {
	return !x.Marker && !x.TCP && x.Src.Port() != 500 && x.Dst.Port() != 500 &&
		(x.Src.Port() == 4500 || x.Dst.Port() == 4500)
}

func wrongChecksum(x *exchange.Sight) bool { return !x.ChecksumOK }

// spoilt says whether a message arrives with a wrong UDP checksum each time, and nothing shows that
// it is not the path's doing: one that is wrong as it leaves, too, or that its receiver takes, was
// captured before the checksum was made.
func (j *judge) spoilt(m *pair.Message) bool {
	to := m.From.Other()
	return everySight(m, to, wrongChecksum) && !everySight(m, m.From, wrongChecksum) &&
		!*j.takesWrong.of(to, j.takesWrongChecksums)
}

// takesWrongChecksums says whether s used a message that its capture shows with a wrong checksum
// alone: it answered it, or went on from it.
func (j *judge) takesWrongChecksums(s pair.Side) bool {
	for _, t := range j.all {
		for _, m := range t.Messages {
			if m.From == s || !everySight(m, s, wrongChecksum) {
				continue
			}
			if m.AnsweredBy() != nil || m.Answers() != nil && t.wentOn(m.Answers()) {
				return true
			}
		}
	}
	return false
}
