package diagnose_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
)

// What the run has asked a router is not advised again: the finding says that it was asked, and
// what came.
func TestWhatTheRunAskedIsNotAdvised(t *testing.T) {
	const asked = "show crypto ikev2 diagnose error"
	for name, c := range map[string]struct {
		config map[string]string
		stays  bool
		says   string
	}{
		"not asked":       {nil, true, ""},
		"asked elsewhere": {map[string]string{"show-ikev2-stats": "x\n"}, true, ""},
		"it was silent": {map[string]string{"show-ikev2-diagnose": " \r\n"}, false, "The run has asked site-b: `" + asked +
			"` shows nothing."},
		"it answered": {map[string]string{"show-ikev2-diagnose": "Exit Path Table\nError(1): Auth exchange failed\n"}, false,
			"`" + asked + "` shows 2 lines, in the bundle as b/show/show-ikev2-diagnose.txt"},
		"it has no error": {map[string]string{"show-ikev2-diagnose": "Exit Path Table - status: enable, current entry 0, " +
			"deleted 0, max allow 50\n\n"}, false, "`" + asked + "` has no error."},
		"it has one line": {map[string]string{"show-ikev2-diagnose": "Exit Path Table - status: enable, current entry 7\n"},
			false, "`" + asked + "` says \"Exit Path Table - status: enable, current entry 7\" and no more."},
		"it has a long line": {map[string]string{"show-ikev2-diagnose": strings.Repeat("x", 200)}, false,
			"`" + asked + "` shows 1 line, in the bundle as b/show/show-ikev2-diagnose.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			s := scene.New(t)
			s.Side[1].Config = c.config
			answered(ike.PayloadN, 8)(s)
			r := s.Compare()
			scene.Sound(t, r)
			f := r.Findings[0]
			stays := false
			for _, a := range f.Actions {
				stays = stays || a.Side == "B" && slices.Contains(a.Commands, asked)
			}
			if f.Code != "auth-failed" || stays != c.stays || !strings.Contains(f.Explanation, c.says) ||
				c.says == "" && strings.Contains(f.Explanation, "has asked") {
				t.Errorf("%s: advised %v: %s", f.Code, stays, f.Explanation)
			}
		})
	}
}
