package diagnose

import (
	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/pair"
)

// talk is a conversation with what is true of it, for the rules.
type talk struct {
	*facts.Talk
	succeeds bool // it, or one of the attempts that followed it, came up

	// What is worked out when it is first asked for.
	crossed map[*pair.Message]*pair.Message // see overlapping
	renewed map[pair.Side]int64             // when a side last asked for new keys that were made, aligned
}

// establishedTalk returns a conversation that came up, or nil.
func (j *judge) establishedTalk() *talk {
	for _, t := range j.all {
		if t.CameUp() {
			return t
		}
	}
	return nil
}
