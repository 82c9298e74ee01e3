package main

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// printUsage says how a command is called, after an error of how it was.
func (a *app) printUsage(cmd *cobra.Command) {
	if a.logFormat != "json" {
		fmt.Fprintf(a.stderr, "usage: %s; %s --help says more\n", cmd.UseLine(), cmd.CommandPath())
	}
}

// knownCommand is the error of a word that is no command.
func knownCommand(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return unknownBelow(root, args[:1])
}

// helpIsForWhatThereIs has help of a word that is no command be wrong usage, as the word itself is:
// `help WORD` and `WORD --help`, and below a group of commands, too.
func (a *app) helpIsForWhatThereIs(root *cobra.Command) {
	if help, _, err := root.Find([]string{"help"}); err == nil && help != root {
		help.Run = nil
		help.RunE = func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			switch {
			case err != nil:
				return err
			case len(rest) > 0:
				return unknownBelow(c, rest)
			}
			c.InitDefaultHelpFlag() // as cobra has them in a help that was not asked for by flag
			c.InitDefaultVersionFlag()
			return c.Help()
		}
	}
	show := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		if rest := c.Flags().Args(); len(rest) > 0 && c.HasSubCommands() && !takesWords(c) {
			a.wrongHelp = unknownBelow(c, rest[:1])
			return
		}
		show(c, args)
	})
}

// takesWords says whether a command has arguments of its own beside the commands below it.
func takesWords(c *cobra.Command) bool { return strings.Contains(c.Use, " ") }

// unknownBelow is the error of words behind a command that name none below it.
func unknownBelow(c *cobra.Command, words []string) error {
	var names []string
	for _, below := range c.Commands() {
		if below.IsAvailableCommand() {
			names = append(names, below.Name())
		}
	}
	path, hint := strings.Join(words, " "), c.CommandPath()+" --help says more"
	if c.HasSubCommands() {
		hint = c.CommandPath() + " --help lists the commands"
	}
	if c.HasParent() {
		path = commandName(c) + " " + path
	}
	return usageError(&hinted{fmt.Errorf("unknown command %q%s", path, didYouMean(words[0], names)), hint})
}

// flagError adds the flag that was probably meant.
func flagError(c *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || len(unknown.GetSpecifiedName()) < 2 {
		return err
	}
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return fmt.Errorf("unknown flag --%s%s", unknown.GetSpecifiedName(),
		strings.Replace(didYouMean(unknown.GetSpecifiedName(), names), "mean ", "mean --", 1))
}

// wants takes from least to most arguments, -1 for any number; the error repeats how
// the command is used.
func wants(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		_, use, _ := strings.Cut(c.Use, " ")
		if use == "" {
			return fmt.Errorf("%s takes no argument, and %q was given", commandName(c), args[0])
		}
		return fmt.Errorf("%s: want %s, and %s given", commandName(c), use, wasGiven(len(args)))
	}
}

// commandName is what is typed behind moncap.
func commandName(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}

func wasGiven(n int) string {
	switch n {
	case 0:
		return "nothing was"
	case 1:
		return "one argument was"
	}
	return fmt.Sprintf("%d arguments were", n)
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "The version, for bug reports",
		Example: "  moncap version",
		Args:    wants(0, 0),
		RunE: func(*cobra.Command, []string) error {
			a.fact("version", versionString())
			_, err := fmt.Fprintf(a.stdout, "moncap %s, %s, %s/%s\n", versionString(), runtime.Version(), runtime.GOOS,
				runtime.GOARCH)
			return err
		},
	}
}
