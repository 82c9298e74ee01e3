package iosxe

import "testing"

func TestLoginRefused(t *testing.T) {
	for said, want := range map[string]bool{
		"% Authorization failed.":                          true,
		"% Login invalid":                                  true,
		"Your password has expired.":                       true,
		"User account is locked":                           true,
		"Password must be changed":                         true,
		"% All lines are busy":                             false,
		"After three tries your account will be locked.":   false,
		"Unauthorized access to this device is prohibited": false,
		"": false,
	} {
		if got := LoginRefused(said); got != want {
			t.Errorf("%q: %v", said, got)
		}
	}
}

func TestLastWords(t *testing.T) {
	for said, want := range map[string]string{
		"\r\n% Authorization failed.\r\n\r\n":                   "% Authorization failed.",
		"a\nb\nc\nd\n":                                          "b / c / d",
		"no \x1b[2Jword\n%SYS-5-CONFIG_I: Configured by x\n\n ": "no \uFFFD[2Jword",
		"\r\n": "",
	} {
		if got := LastWords(said); got != want {
			t.Errorf("%q: %q", said, got)
		}
	}
}

// The prompts that a router can be given, and what must not be taken for one.
func TestPromptsOfTheCommandPrompt(t *testing.T) {
	for line, want := range map[string]string{
		"R1#": "R1", "R1>": "R1", "R1(config-if)#": "R1", "[prod] R1#": "[prod] R1", "R1[prod]#": "R1[prod]",
		"hq-STP-1234#": "hq-STP-1234",
		" R1#":         "", "not a R1#": "", "#": "", "[prod] #": "", "R1$": "",
	} {
		got := ""
		if m := AnyPrompt.Get().FindStringSubmatch(line); m != nil {
			got = m[1]
		}
		if got != want {
			t.Errorf("%q: %q", line, got)
		}
	}
	own := Prompt("hq-STP", "a-router-with-a-very-long-name")
	for line, want := range map[string]bool{"hq-STP#": true, "hq-STP(config)#": true,
		"a-router-with-a-very(config-ext-nacl)#": true, "a-router-with-a-very-long-name#": false, "hq#": false} {
		if own.MatchString(line) != want {
			t.Errorf("%q: %v", line, !want)
		}
	}
	if !SyslogLine("*Nov 23 2026 10:00:00.000 UTC: %SYS-4-INSECURE _WARNING: Module: SSH") {
		t.Error("a mnemonic with a blank in it")
	}
}
