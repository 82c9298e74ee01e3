package analysis_test

import (
	"slices"
	"testing"

	"github.com/moncap/moncap/analysis/report"
	"github.com/moncap/moncap/analysis/scene"
)

// What was captured or read beside the captures is told where no finding rests on it, and nothing
// is where nothing was.
func TestBesideIsTold(t *testing.T) {
	const event = "2025/06/09 18:56:14.446143266 {iosrp_R0-0}{255}: [ikev2] [4711]: (ERR): IKEv2: a line\n"
	show := func(name, text string) func(*scene.Scene) {
		return func(s *scene.Scene) {
			scene.Healthy(s)
			s.Side[1].Config = map[string]string{name: text}
		}
	}
	for name, c := range map[string]struct {
		play func(*scene.Scene)
		want []report.Note
	}{
		"nothing": {scene.Healthy, nil},
		"a capture at the control plane": {func(s *scene.Scene) {
			scene.Healthy(s)
			s.AtControlPlane(1, func(int) bool { return true })
		}, []report.Note{{Side: report.B, Code: report.NoteControlPlane,
			Text: "control plane captured as well: 8 packets"}}},
		"of which the router's count is not known": {show("control-plane-show-capture-dump", ""),
			[]report.Note{{Side: report.B, Code: report.NoteControlPlane,
				Text: "control plane captured as well: 0 packets, and it may lack some"}}},
		"a trace without a line": {show("show-binary-trace", ""), []report.Note{{Side: report.B,
			Code: report.NoteBinaryTrace,
			Text: "binary trace read: no line about IKE, IPsec, certificates or this peer"}}},
		"a trace with an error": {show("show-binary-trace", event), []report.Note{{Side: report.B,
			Code: report.NoteBinaryTrace,
			Text: "binary trace read: one line about IKE, IPsec, certificates or this peer, an error"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			c.play(s)
			r := s.Compare()
			scene.Sound(t, r)
			if !slices.Equal(r.Notes, c.want) {
				t.Errorf("%+v, want %+v", r.Notes, c.want)
			}
		})
	}
}
