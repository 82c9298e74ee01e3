// Command moncap captures an IPsec tunnel's negotiation on both VPN gateways at once and says who
// dropped, refused or changed what, on which side, in which direction.
package main

import (
	"context"
	"os"
	"runtime/debug"

	"golang.org/x/term"
)

func main() {
	os.Exit(run(context.Background(), environment{
		args:      os.Args[1:],
		stdin:     os.Stdin,
		stdout:    os.Stdout,
		stderr:    os.Stderr,
		getenv:    os.Getenv,
		signals:   notifySignals,
		exit:      os.Exit,
		memory:    func(bytes int64) { debug.SetMemoryLimit(bytes) },
		stdoutTTY: term.IsTerminal(int(os.Stdout.Fd())),
		stderrTTY: term.IsTerminal(int(os.Stderr.Fd())),
		width: func() int {
			w, _, err := term.GetSize(int(os.Stdout.Fd()))
			if err != nil {
				return 0
			}
			return w
		},
	}))
}
