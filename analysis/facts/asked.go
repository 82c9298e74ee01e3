package facts

import (
	"strings"
	"sync"

	"github.com/moncap/moncap/device/iosxe"
)

// showNames are the shows without a parameter that a run may ask for, by their words.
var showNames = sync.OnceValue(func() map[string]string {
	names := map[string]string{}
	for _, d := range iosxe.AllCommands() {
		if d.Mode == iosxe.Exec && len(d.Syntax) == 1 && strings.HasPrefix(d.Syntax[0], "show ") &&
			!strings.ContainsAny(d.Syntax[0], "<[{") {
			names[d.Syntax[0]] = d.Name
		}
	}
	return names
})

// Asked returns what a router answered to a show command when the run asked it, and the name under
// which a bundle keeps that.
func (c Config) Asked(command string) (name, answer string, asked bool) {
	name, known := showNames()[command]
	if !known {
		return "", "", false
	}
	for _, key := range append([]string{name}, otherNames[name]...) {
		if answer, asked = c[key]; asked {
			return key, answer, true
		}
	}
	return "", "", false
}
