package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/capture"
	"github.com/moncap/moncap/device"
)

// version is set by release builds; other builds take it from the build information.
var version string

// environment is all that a run of moncap takes from outside, so that tests can run it in
// their own process.
type environment struct {
	args                 []string
	stdin                io.Reader
	stdout, stderr       io.Writer
	getenv               func(string) string
	stdoutTTY, stderrTTY bool
	width                func() int
	// who the operator is, as the history names them; empty: the system's account and machine
	operator string
	// signals begins to take the signals that end what is under way; nil: nothing does but the context
	signals func() <-chan os.Signal
	exit    func(code int)    // ends the program at once
	memory  func(bytes int64) // bounds the heap; nil: nothing does
	// tune shortens waits in tests; nil in the program.
	tune func(*device.Options, *capture.Options)
}

// The exit codes, one meaning each.
const (
	exitOK           = 0
	exitWarnings     = 1
	exitCritical     = 2
	exitInconclusive = 3
	exitFailed       = 4
	exitDirty        = 5
	exitUsage        = 64
)

const exitStatusHelp = `
EXIT STATUS
  0   the tunnel is established, no warning
  1   established with warnings: DEGRADED, or ESTABLISHED where they are about the captures alone
  2   a critical finding: FAILED, or DEGRADED where the tunnel came up all the same
  3   inconclusive: what the captures hold does not tell whether the tunnel works
  4   the run failed, the routers are clean
  5   the run failed and something is left on a router; what, where, and the command that removes it are printed
  64  wrong usage, inventory or input file`

// stepStatusHelp is for what goes one step on a router.
const stepStatusHelp = `
EXIT STATUS
  0   done
  4   it failed, or a router cannot be reached; nothing more is on the routers than before
  5   something is, or may be, left on a router; what, where, and the command that removes it are printed
  64  wrong usage or inventory, or no such run`

// plainStatusHelp is for what changes nothing on a router.
const plainStatusHelp = `
EXIT STATUS
  0   done
  4   it failed; the reason is printed
  64  wrong usage, inventory or input file`

// exitError ends the program with a code. Without a cause nothing more is printed: the output has
// said it all.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(err error) error { return &exitError{exitUsage, err} }

// app is what all commands share.
type app struct {
	environment
	given     *cobra.Command // the command that runs, with its flags; nil: none yet
	inventory string
	piped     *pipedInventory // nil: not read yet
	quiet     bool
	verbose   bool
	all       bool
	logFormat string
	logLevel  slog.Level // of what is logged unless more is wanted
	color     string
	noInput   bool

	// of a command that reads or writes the fleet's history where there is one; nil: it does not
	database       *databaseFlags
	ends           []func() error // what the end of the program removes
	uploadPassword secretFlag
	patience       patienceFlag
	heap           *heap
	lineWait       time.Duration // for a terminal line of a router
	lineWaitFor    []string      // the peers whose lines other runs may have; nil: all
	interrupts     *interrupts
	over           chan struct{} // closed at the end of the program
	screen         *screen
	view           func() progressView       // of one run of several; nil: a view of its own
	live           func(capture.LivePackets) // gets the packets while a run captures; nil: nobody looks
	done           *unsaid                   // what was done, should the answer not be writable; nil: nothing of weight
	wrongHelp      error                     // help was asked of what is no command
	facts          map[string]any            // what a command found out, for --format json; nil: it is not wanted
}

func newApp(ctx context.Context, e environment) *app {
	return &app{environment: e, logLevel: slog.LevelWarn, interrupts: newInterrupts(ctx, e.exit),
		over: make(chan struct{}), screen: &screen{}, heap: newHeap(e.memory)}
}

func run(ctx context.Context, e environment) int {
	stdout := &notedWriter{Writer: e.stdout}
	e.stdout = stdout
	a := newApp(ctx, e)
	defer a.interrupts.cancel(nil)
	defer close(a.over)
	defer a.end()
	root := a.commandFor(e.args)
	root.SetArgs(e.args)
	root.SetIn(e.stdin)
	root.SetOut(e.stdout)
	root.SetErr(e.stderr)
	cmd, err := root.ExecuteContextC(a.interrupts.ctx)
	if err == nil {
		err = a.wrongHelp
	}
	if a.done != nil && stdout.failed != nil {
		err = a.done.tell(err, stdout.failed)
	}
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if stdout.closed { // who closed the pipe has what was wanted
		if err = withoutUnread(err); err == nil {
			return code
		}
	}
	a.printError(err)
	if _, ok := errors.AsType[*exitError](err); !ok && code == exitUsage {
		a.printUsage(cmd)
	}
	if code == exitUsage && !stdout.wrote {
		return a.documentUsage(cmd, err)
	}
	return code
}

// atEnd has something done when the program ends.
func (a *app) atEnd(f func() error) { a.ends = append(a.ends, f) }

func (a *app) end() {
	for _, f := range a.ends {
		if err := f(); err != nil {
			a.warn("%v", err)
		}
	}
}

// commandFor is command, with no more below the root than args need: scripts that decode one small
// file after the other, or ask for the version, would spend a tenth of their time on all the
// others' flags.
func (a *app) commandFor(args []string) *cobra.Command {
	switch {
	case len(args) == 1 && args[0] == "--version":
		return a.root()
	case len(args) > 0 && args[0] == "decode":
		root, c := a.root(), a.decodeCommand()
		c.GroupID = filesGroup
		root.AddCommand(c)
		sayHowItExits(c)
		return root
	}
	return a.command()
}

// root is the command without any below it.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "moncap",
		Short: "Two-sided IPsec captures on IOS XE, and what they say",
		Long: `moncap captures an IPsec tunnel's negotiation on both VPN gateways at once, through IOS XE's
monitor capture over SSH, and says who dropped, refused or changed what, on which side, in which direction.

Try it without a router:  moncap demo
` + exitStatusHelp,
		Version:       versionString(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          knownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		// What a command does begins here. Nothing is under way before, nor where cobra only prints the
		// help or the version: there the system's way with signals will do, which costs no start.
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.given = cmd
			if a.signals != nil {
				go a.interrupts.watch(a.signals(), a.over)
			}
			return a.checkGlobals()
		},
	}
	root.SetFlagErrorFunc(flagError)
	a.helpFits(root)
	f := root.PersistentFlags()
	f.StringVarP(&a.inventory, "inventory", "i", "",
		"inventory file, - for stdin (default $MONCAP_INVENTORY, then ./inventory.yaml)")
	f.BoolVarP(&a.quiet, "quiet", "q", false, "no progress on stderr")
	f.BoolVarP(&a.verbose, "verbose", "v", false,
		"log every line that is sent to a router, and what became of it; secrets never")
	f.BoolVar(&a.all, "payloads", false, "in text, every repetition and every payload of the messages")
	f.StringVar(&a.logFormat, "log-format", "text", "form of the log on stderr: text or json")
	f.StringVar(&a.color, "color", "auto", "colour: auto, always or never (NO_COLOR is honoured)")
	f.BoolVar(&a.noInput, "no-input", false, "never ask on the terminal")
	mustComplete(root, "color", []string{"auto", "always", "never"})
	mustComplete(root, "log-format", []string{"text", "json"})
	root.AddGroup(
		&cobra.Group{ID: "live", Title: "Routers:"},
		&cobra.Group{ID: "fleet", Title: "Fleet:"},
		&cobra.Group{ID: filesGroup, Title: "Files:"},
		&cobra.Group{ID: "help", Title: "Practice and help:"},
	)
	root.SetHelpCommandGroupID("help")
	root.SetCompletionCommandGroupID("help")
	return root
}

const filesGroup = "files"

func (a *app) command() *cobra.Command {
	root := a.root()
	for _, group := range []struct {
		id       string
		commands []*cobra.Command
	}{
		{"live", a.liveCommands()},
		{"fleet", a.fleetCommands()},
		{filesGroup, a.fileCommands()},
		{"help", a.helpCommands()},
	} {
		for _, c := range group.commands {
			c.GroupID = group.id
			root.AddCommand(c)
		}
	}
	root.InitDefaultHelpCmd()
	a.helpIsForWhatThereIs(root)
	root.InitDefaultCompletionCmd()
	exampleFor(root, "  moncap help run", "help")
	a.installsCompletion(root)
	for shell, example := range map[string]string{
		"bash": "  source <(moncap completion bash)                                    # for this shell\n  moncap " +
			"completion bash > /etc/bash_completion.d/moncap             # for good",
		"zsh": "  source <(moncap completion zsh)                                     # for this shell\n  moncap " +
			"completion zsh > \"${fpath[1]}/_moncap\"                       # for good",
		"fish": "  moncap completion fish | source                                     # for this shell\n  moncap " +
			"completion fish > ~/.config/fish/completions/moncap.fish     # for good",
		"powershell": "  moncap completion powershell | Out-String | Invoke-Expression",
	} {
		exampleFor(root, example, "completion", shell)
	}
	for _, c := range root.Commands() {
		sayHowItExits(c)
	}
	return root
}

// sayHowItExits gives the common exit codes to the help of each command that does not name its own.
func sayHowItExits(c *cobra.Command) {
	for _, sub := range c.Commands() {
		sayHowItExits(sub)
	}
	if c.HasSubCommands() || strings.Contains(c.Long, "EXIT STATUS") {
		return
	}
	about := c.Long
	if about == "" {
		about = c.Short + "."
	}
	status := plainStatusHelp
	if slices.Contains([]string{"start", "stop", "clean"}, c.Name()) {
		status = stepStatusHelp
	}
	c.Long = strings.TrimRight(about, "\n") + "\n" + status
}

// exampleFor gives an example to a command that cobra made.
func exampleFor(root *cobra.Command, example string, path ...string) {
	if c, _, err := root.Find(path); err == nil && c != root {
		c.Example = example
	}
}

func (a *app) checkGlobals() error {
	if a.logFormat != "text" && a.logFormat != "json" {
		return usageError(errors.New("--log-format: want text or json, got " + a.logFormat))
	}
	if a.uploadPassword.err != nil {
		return usageError(fmt.Errorf("--via-export-password: %w", a.uploadPassword.err))
	}
	if a.color != "auto" && a.color != "always" && a.color != "never" {
		return usageError(errors.New("--color: want auto, always or never, got " + a.color))
	}
	return nil
}

// versionString is the release, or the commit that was built, marked when its files were changed.
func versionString() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	v := "devel"
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			v += "-" + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			v += "+changed"
		}
	}
	return v
}
