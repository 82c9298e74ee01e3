package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/render"
)

// notedWriter knows whether anything was written.
type notedWriter struct {
	io.Writer
	wrote bool
}

func (w *notedWriter) Write(b []byte) (int, error) {
	w.wrote = w.wrote || len(b) > 0
	return w.Writer.Write(b)
}

// askedFormat is the --format that a command was given, also when it was called wrongly before that was read. It is empty for a
// command without one.
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

// documentUsage has wrong usage be a document too, for programs that read stdout in the form that they asked for: a report of what
// was not run where the command makes one, else an answer; a monitoring system gets UNKNOWN. It returns the exit code.
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
