package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func (a *app) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the man pages into a folder",
		Long:  "Write a man page for moncap and one for each command into a folder, in section 1.",
		Example: `  moncap man ~/.local/share/man/man1
  man moncap-run`,
		Args: wants(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			// #nosec G301 -- man pages are for everybody
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return usageError(fmt.Errorf("man: %w", err))
			}
			return writeManPages(args[0], cmd.Root())
		},
	}
}

func writeManPages(dir string, c *cobra.Command) error {
	name := pageName(c)
	// #nosec G306 -- man pages are for everybody
	if err := os.WriteFile(filepath.Join(dir, name+".1"), []byte(manPage(c)), 0o644); err != nil {
		return usageError(fmt.Errorf("man: %w", err))
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			if err := writeManPages(dir, sub); err != nil {
				return err
			}
		}
	}
	return nil
}

func pageName(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// manPage writes a command's page in the macros of man(7).
func manPage(c *cobra.Command) string {
	var b strings.Builder
	about, status, _ := strings.Cut(c.Long, "EXIT STATUS\n")
	if about == "" {
		about = c.Short + "."
	}
	fmt.Fprintf(&b, ".TH %s 1 %s \"moncap %s\" \"User Commands\"\n", strings.ToUpper(roff(pageName(c))), manDate(),
		roff(versionString()))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n.SH SYNOPSIS\n", roff(pageName(c)), escaped(c.Short))
	synopsis(&b, c)
	b.WriteString(".SH DESCRIPTION\n")
	paragraphs(&b, about)
	if subs := c.Commands(); len(subs) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, s := range subs {
			if s.IsAvailableCommand() {
				fmt.Fprintf(&b, ".TP\n.BR %s (1)\n%s\n", roff(pageName(s)), line(s.Short))
			}
		}
	}
	options(&b, "OPTIONS", c.NonInheritedFlags())
	options(&b, "GLOBAL OPTIONS", c.InheritedFlags())
	if c.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.EX\n%s\n.EE\n", verbatim(c.Example))
	}
	if status != "" {
		b.WriteString(".SH EXIT STATUS\n")
		for l := range strings.Lines(status) {
			code, text, _ := strings.Cut(strings.TrimSpace(l), " ")
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(code), line(strings.TrimSpace(text)))
		}
	}
	surroundings(&b, c)
	return b.String()
}

// manDate is the date of a page: that of the sources of a reproducible build
// (https://reproducible-builds.org/specs/source-date-epoch/), else of today.
func manDate() string {
	now := time.Now()
	var epoch int64
	if _, err := fmt.Sscan(os.Getenv("SOURCE_DATE_EPOCH"), &epoch); err == nil {
		now = time.Unix(epoch, 0)
	}
	return now.UTC().Format("2006-01-02")
}

func synopsis(b *strings.Builder, c *cobra.Command) {
	path, rest := c.CommandPath(), strings.TrimPrefix(c.UseLine(), c.CommandPath())
	fmt.Fprintf(b, ".B %s\n", roff(path))
	if rest = strings.TrimSpace(rest); rest != "" {
		fmt.Fprintf(b, "%s\n", line(rest))
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(b, ".br\n.B %s\n.I command\n.RI [ flags ]\n", roff(path))
	}
}

// paragraphs writes prose; lines that are indented stay as they are.
func paragraphs(b *strings.Builder, text string) {
	for i, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		if strings.HasPrefix(p, " ") {
			fmt.Fprintf(b, ".EX\n%s\n.EE\n", verbatim(p))
			continue
		}
		b.WriteString(line(strings.Join(strings.Fields(p), " ")) + "\n")
	}
}

func options(b *strings.Builder, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		b.WriteString(".TP\n")
		short := ""
		if f.Shorthand != "" {
			short = "\\fB\\-" + roff(f.Shorthand) + "\\fR, "
		}
		kind, usage := pflag.UnquoteUsage(f)
		if kind != "" {
			kind = " \\fI" + roff(kind) + "\\fR"
		}
		if set := f.DefValue; kind != "" && set != "" && set != "0" && set != "0s" && set != "none" &&
			!strings.Contains(usage, "default") {
			usage += " (default: " + set + ")"
		}
		fmt.Fprintf(b, "%s\\fB\\-\\-%s\\fR%s\n%s\n", short, roff(f.Name), kind, line(usage))
	})
}

// surroundings are what a command reads besides its arguments, and the pages beside this one.
func surroundings(b *strings.Builder, c *cobra.Command) {
	b.WriteString(".SH ENVIRONMENT\n")
	for _, v := range [][2]string{
		{"MONCAP_INVENTORY", "The inventory, when --inventory does not name it."},
		{"MONCAP_RUNS", "The folder of bundles; ./runs without it."},
		{"NO_COLOR", "No colour, whatever its value."},
		{"COLUMNS", "How wide text may be; else as wide as the terminal, or 80 columns."},
		{"LC_ALL, LC_CTYPE, LANG", "Lines and arrows are drawn in ASCII unless the locale's character set is UTF-8."},
	} {
		fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(v[0]), line(v[1]))
	}
	b.WriteString(".SH SEE ALSO\n")
	var pages []string
	if c.HasParent() {
		pages = append(pages, pageName(c.Parent()))
		for _, s := range c.Parent().Commands() {
			if s != c && s.IsAvailableCommand() && s.GroupID == c.GroupID {
				pages = append(pages, pageName(s))
			}
		}
	} else {
		for _, s := range c.Commands() {
			if s.IsAvailableCommand() {
				pages = append(pages, pageName(s))
			}
		}
	}
	for i, p := range pages {
		comma := " ,"
		if i == len(pages)-1 {
			comma = ""
		}
		fmt.Fprintf(b, ".BR %s (1)%s\n", roff(p), comma)
	}
}

// roff escapes text for troff: backslashes, and hyphens that are minus signs.
func roff(s string) string {
	return strings.NewReplacer(`\`, `\e`, "-", `\-`, "`", "\\`", `"`, `\(dq`).Replace(s)
}

// line is prose in lines that diffs can show.
func line(s string) string {
	var out []string
	for l := range strings.SplitSeq(wrap(s, 78, ""), "\n") {
		out = append(out, escaped(l))
	}
	return strings.Join(out, "\n")
}

// escaped is roff that does not begin with a control character.
func escaped(s string) string {
	s = roff(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}

func verbatim(s string) string {
	var out []string
	for _, l := range strings.Split(strings.Trim(s, "\n"), "\n") {
		out = append(out, escaped(l))
	}
	return strings.Join(out, "\n")
}
