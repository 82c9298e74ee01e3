package main

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const ownPath = "github.com/moncap/moncap/"

// initialization is what the runtime tells of a package's work before main.
type initialization struct {
	of     string
	ms     float64
	allocs int
}

var initLine = regexp.MustCompile(`(?m)^init (\S+) @\S+ ms, (\S+) ms clock, \d+ bytes, (\d+) allocs$`)

// initializations runs a program and returns those of its packages that do anything before main.
func initializations(tb testing.TB, program string, args ...string) (all []initialization) {
	tb.Helper()
	c := exec.CommandContext(tb.Context(), program, args...)
	c.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	var said strings.Builder
	c.Stderr = &said
	if err := c.Run(); err != nil {
		tb.Fatal(err)
	}
	for _, m := range initLine.FindAllStringSubmatch(said.String(), -1) {
		ms, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			tb.Fatal(err)
		}
		allocs, err := strconv.Atoi(m[3])
		if err != nil {
			tb.Fatal(err)
		}
		all = append(all, initialization{m[1], ms, allocs})
	}
	if len(all) == 0 {
		tb.Fatalf("no package does anything before main: %s", said.String())
	}
	return all
}

// Every start pays for what packages do before main, `moncap --version` and one decode after the
// other in a script: a table or an expression that most commands do not need is made when it is
// first used. Compiling one expression allocates more than all that any package may.
func TestOwnPackagesDoLittleBeforeMain(t *testing.T) {
	t.Parallel()
	const most = 64
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	own := 0
	for _, i := range initializations(t, program, "-test.run=^$") {
		if !strings.HasPrefix(i.of, ownPath) || i.of == ownPath+"cmd/moncap" { // this one's tests have their own
			continue
		}
		own++
		if i.allocs > most {
			t.Errorf("%s allocates %d times before main, at most %d were to be", i.of, i.allocs, most)
		}
	}
	if own == 0 {
		t.Error("no own package was seen")
	}
}
