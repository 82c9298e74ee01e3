package simulator

import (
	"regexp"
	"time"
)

// Strike is a fault with a name, for tests that go through all of them.
type Strike struct {
	Name  string
	Fault Fault // without Match: it strikes any command
}

// At is the fault at the command of a moment of Struck, when it is for no other command of its own.
func (s Strike) At(moment string) Fault {
	f := s.Fault
	if f.Match == nil {
		f.Match = regexp.MustCompile(Struck()[moment])
	}
	return f
}

// Struck names a command of each moment of a capture, as a router receives it.
func Struck() map[string]string {
	return map[string]string{
		"check":   `^show version`,
		"acl":     `^ip access-list extended`,
		"define":  `^monitor capture \S+ access-list`,
		"start":   `^monitor capture \S+ start`,
		"trigger": `^clear crypto session`,
		"wait":    `^show monitor capture \S+ buffer$`,
		"stop":    `^monitor capture \S+ stop`,
		"observe": `^show crypto ikev2 proposal`,
		"export":  `^monitor capture \S+ export`,
		"fetch":   `^scp -f`,
		"clean":   `^no monitor capture`,
	}
}

// Strikes lists the faults that can strike any command. Answers that come late do
// so slow times later.
func Strikes(slow int) []Strike {
	var all []Strike
	for _, when := range []struct {
		name string
		when When
	}{{"before", Before}, {"during", During}, {"after", After}} {
		for _, a := range []struct {
			name   string
			action Action
		}{{"FIN", DropFIN}, {"RST", DropRST}, {"silence", Silence}, {"reload", Restart}} {
			all = append(all, Strike{a.name + " " + when.name, Fault{Action: a.action, When: when.when}})
		}
	}
	late := time.Duration(slow)
	return append(all,
		Strike{"late answer", Fault{Action: Delay, Delay: late * 150 * time.Millisecond}},
		Strike{"too late answer", Fault{Action: Delay, Delay: late * 900 * time.Millisecond}},
		Strike{"no answer", Fault{Action: NeverAnswer}},
		Strike{"error", Fault{Action: ErrorText, Text: "% Something is wrong with the frobnicator"}},
		Strike{"errors for ever", Fault{Action: ErrorText, Text: "Command authorization failed.", Times: -1}},
		Strike{"unknown dialog", Fault{Action: UnknownDialog, Text: "Launch the missiles? [confirm]"}},
		Strike{"syslog storm", Fault{Action: SyslogStorm}},
		Strike{"renamed", Fault{Action: PromptChange, Text: "other-name"}},
		Strike{"dead for good", Fault{Action: DropRST, Times: -1}},
	)
}

// SpecialStrikes lists, by moment, the faults that strike no other.
func SpecialStrikes() map[string][]Strike {
	scp := func(name string, a Action) Strike { return Strike{name, Fault{Action: a, Text: "no such luck"}} }
	full := []Strike{{"buffer full", Fault{Action: BufferFull}}}
	return map[string][]Strike{
		"check":   {{"flash full", Fault{Action: FlashFull, Match: regexp.MustCompile(`^dir`)}}},
		"trigger": full,
		"wait":    full,
		"stop":    full,
		"export": {
			{"flash full", Fault{Action: FlashFull}}, {"export cut", Fault{Action: ExportCut}},
			{"checksum never comes", Fault{Action: NeverAnswer, Match: regexp.MustCompile(`^verify`)}},
		},
		"fetch": {
			scp("SCP never starts", SCPNeverStarts), scp("SCP stops", SCPStops), scp("SCP stalls", SCPStalls),
			scp("SCP too short", SCPShort),
			scp("SCP too long", SCPLong), scp("SCP corrupt", SCPCorrupt), scp("SCP evil name", SCPEvilName),
			scp("SCP endless", SCPEndless), scp("SCP no end", SCPNoEnd), scp("SCP error", SCPError),
			{"SCP corrupt for ever", Fault{Action: SCPCorrupt, Times: -1}},
		},
	}
}
