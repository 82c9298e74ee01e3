package diagnose_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// aloneBeside is what one capture of a scene alone tells, with a tunnel in it of its gateway and
// somebody else that is well, or without; nil where the scene has no such capture.
func aloneBeside(t *testing.T, c findingCase, side int, another bool) *report.Report {
	s := scene.New(t)
	c.play(s)
	if s.Side[0].Open != nil || s.Side[1].Open != nil || len(s.Rows[side]) == 0 || s.Alone {
		return nil
	}
	if another {
		o := scene.New(t)
		o.Addr, o.ID, o.SPI, o.Now = s.Addr, 40000, 0x5000, 50*time.Millisecond
		o.Addr[1-side] = netip.MustParseAddr("203.0.113.211")
		if s.Addr[side].Is6() {
			o.Addr[1-side] = netip.MustParseAddr("2001:db8:77::1")
		}
		o.SA(0).Up()
		o.Dialogue(20, time.Second, scene.Passes)
		s.Rows[side] = append(s.Rows[side], o.Rows[side]...)
	}
	if side == 1 {
		s.OnlyB()
	}
	s.Alone = true
	return s.Compare()
}

// takesPart says whether the gateway whose capture it is, A, did more than refuse: who asks and is
// refused only may be a scanner, beside a tunnel that is well.
func takesPart(r *report.Report) bool {
	return len(r.Conversations) == 0 || slices.ContainsFunc(r.Conversations, func(v report.Conversation) bool {
		return slices.ContainsFunc(v.Messages, func(m report.Message) bool {
			refuses := m.Exchange == "Informational" && !m.Encrypted // of IKEv1
			return m.From == report.A && (m.Kind == "request" && !refuses || m.Encrypted)
		})
	})
}

// What is the matter with one peer is the same in a capture alone that holds a tunnel with somebody
// else as well, and that one is well: whatever came up there says nothing of it.
func TestWhatComesUpWithAnotherPeerSaysNothing(t *testing.T) {
	critical := func(r *report.Report) (all []string) {
		for _, f := range r.Findings {
			if f.Severity == report.Critical && f.CausedBy == "" {
				all = append(all, f.Code+" "+string(f.Confidence))
			}
		}
		return all
	}
	held := 0
	for _, c := range findingCases() {
		codes := []string{"version-mismatch", "esp-one-way", "invalid-spi", "sa-deleted", "error-notify"}
		if !slices.Contains(codes, c.code) {
			continue
		}
		for side := range 2 {
			alone := aloneBeside(t, c, side, false)
			if alone == nil || !takesPart(alone) {
				continue
			}
			held++
			beside := aloneBeside(t, c, side, true)
			for _, x := range critical(alone) {
				if !slices.Contains(critical(beside), x) {
					t.Errorf("%s, %s, capture %d: exit %d, %v; beside a tunnel that is well exit %d, %v", c.code, c.name, side,
						alone.Verdict.ExitCode, critical(alone), beside.Verdict.ExitCode, critical(beside))
				}
			}
			if a, b := alone.Verdict.ExitCode, beside.Verdict.ExitCode; (a == 1 || a == 2) && b != 1 && b != 2 {
				t.Errorf("%s, %s, capture %d: exit %d; beside a tunnel that is well %d", c.code, c.name, side, a, b)
			}
		}
	}
	if held < 20 {
		t.Errorf("%d scenes", held)
	}
}
