package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
)

// notedWriter knows whether anything was written.
type notedWriter struct {
	io.Writer
	wrote  bool
	closed bool  // nobody reads any more: the pipe's other end is closed, as head does
	failed error // of the first write that did not come through; nil: all did
}

func (w *notedWriter) Write(b []byte) (int, error) {
	w.wrote = w.wrote || len(b) > 0
	n, err := w.Writer.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		w.closed, err = true, &unreadError{err}
	}
	if err != nil && w.failed == nil {
		w.failed = err
	}
	return n, err
}

// unreadError is that of a write to a pipe which nobody reads any more.
type unreadError struct{ err error }

func (e *unreadError) Error() string { return e.err.Error() }
func (e *unreadError) Unwrap() error { return e.err }

// unsaid is what a command has done when it answers. Should the answer not be writable, whoever
// asked would not know of it, or do it again.
type unsaid struct {
	code int    // with which the program ends then: 5 where something is on a router, or will be
	what string // was done
	hint string // what to do about it
}

// tell makes an error of it. err is what the command ended with, unwritten that of the write.
func (u *unsaid) tell(err, unwritten error) error {
	if err == nil {
		err = unwritten
	}
	return &exitError{worst([]int{u.code, exitCode(err)}), errors.Join(err,
		&hinted{errors.New("the answer could not be written, but " + u.what), u.hint})}
}

// withoutUnread leaves out of an error that nobody reads stdout any more; nil when that is all.
// Whatever else went wrong, and what is left on a router, has to be told.
func withoutUnread(err error) error {
	if _, is := errors.AsType[*unreadError](err); !is {
		return err
	}
	switch e := err.(type) {
	case *unreadError:
		return nil
	case interface{ Unwrap() []error }:
		var rest []error
		for _, one := range e.Unwrap() {
			rest = append(rest, withoutUnread(one))
		}
		return errors.Join(rest...)
	case *exitError:
		if rest := withoutUnread(e.err); rest != nil {
			return &exitError{e.code, rest}
		}
	case interface{ Unwrap() error }:
		if withoutUnread(e.Unwrap()) != nil {
			return err
		}
	}
	return nil
}

// askedFormat is the --format that a command was given, also when it was called wrongly before that
// was read. It is empty for a command without one.
func askedFormat(c *cobra.Command, args []string) string {
	flag := c.Flags().Lookup("format")
	if flag == nil {
		return ""
	}
	if flag.Changed {
		return flag.Value.String()
	}
	for i, arg := range args {
		for _, name := range []string{"--format", "-f"} {
			if arg == name && i+1 < len(args) {
				return args[i+1]
			}
			if value, ok := strings.CutPrefix(arg, name); ok && value != "" {
				return strings.TrimPrefix(value, "=")
			}
		}
	}
	return ""
}

// documentUsage has wrong usage be a document too, for programs that read stdout in the form that
// they asked for: a report of what was not run where the command makes one, else an answer; a
// monitoring system gets UNKNOWN. It returns the exit code.
func (a *app) documentUsage(c *cobra.Command, err error) int {
	if _, known := errors.AsType[*exitError](err); !known { // cobra's own
		err = usageError(err)
	}
	to := "-"
	if flag := c.Flags().Lookup("output"); flag != nil && flag.Value.String() != "" {
		to = flag.Value.String()
	}
	format := askedFormat(c, a.args)
	_, reports := c.Annotations[makesReports]
	var failed error
	switch {
	case format == "nagios":
		text := strings.ReplaceAll(printable(strings.Join(strings.Fields(sentence(err)), " ")), "|", "/")
		_, failed = fmt.Fprintf(a.stdout, "MONCAP %s - %s\n", pluginWords[pluginUnknown], text)
		if failed == nil {
			return pluginUnknown
		}
	case to != "-": // a file is left as it is
	case format == "json" && reports:
		failed = render.JSON(a.stdout, a.notRun("", "", err).report)
	case format == "junit" && reports:
		failed = render.JUnit(a.stdout, a.notRun("", "", err).report)
	case format == "json":
		failed = writeJSON(a.stdout, a.answer(c.Name(), "", err))
	}
	if failed != nil {
		a.printError(failed)
	}
	return exitUsage
}
