package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf16"

	"github.com/spf13/cobra"

	"github.com/moncap/moncap/analysis/diagnose"
	"github.com/moncap/moncap/internal/lazyregexp"
)

func (a *app) explainCommand() *cobra.Command {
	format := "text"
	c := &cobra.Command{
		Use:   "explain [CODE]",
		Short: "What a finding means, what proves it, what to do",
		Example: `  moncap explain                    # all codes
  moncap explain path-blocked`,
		Args: wants(0, 1),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return describedCodes(), cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("--format", format, "text", "json"); err != nil {
				return err
			}
			entries, err := catalogueEntries(args)
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(a.stdout, entries)
			}
			if len(args) == 0 {
				return a.listEntries(entries)
			}
			return explainEntry(a.stdout, entries[0])
		},
	}
	c.Flags().StringVarP(&format, "format", "f", format, "text or json")
	mustComplete(c, "format", []string{"text", "json"})
	return c
}

// describedCodes are all codes with their titles, for a shell that shows them.
func describedCodes() []string {
	var out []string
	for _, code := range diagnose.Codes() {
		e, _ := diagnose.Explain(code)
		out = append(out, code+"\t"+e.Title)
	}
	return out
}

func catalogueEntries(args []string) ([]diagnose.Entry, error) {
	codes := diagnose.Codes()
	if len(args) == 1 {
		if !slices.Contains(codes, args[0]) {
			return nil, usageError(fmt.Errorf("explain: no finding %q; `moncap explain` lists them%s", args[0],
				didYouMean(args[0], codes)))
		}
		codes = args
	}
	var entries []diagnose.Entry
	for _, code := range codes {
		e, _ := diagnose.Explain(code)
		entries = append(entries, e)
	}
	return entries, nil
}

func (a *app) listEntries(entries []diagnose.Entry) error {
	var lines []string
	for _, e := range entries {
		lines = append(lines, fmt.Sprintf("%-34s %-9s %s", e.Code, e.Severity, e.Title))
	}
	return a.writeList(lines, 34+1+9+1)
}

func explainEntry(w io.Writer, e diagnose.Entry) error {
	fmt.Fprintf(w, "%s (%s)\n%s\n", e.Code, e.Severity, e.Title)
	for _, s := range []struct{ head, text string }{
		{"What it means", e.Meaning}, {"What proves it", e.Proof}, {"What would make it wrong", e.WrongIf},
		{"What to do", e.Todo},
	} {
		if s.text != "" {
			fmt.Fprintf(w, "\n%s\n%s\n", s.head, wrap(s.text, 78, "  "))
		}
	}
	for _, s := range []struct {
		head   string
		fields []string
	}{{"Fields in JSON", e.Fields}, {"Further ones that it may have", e.More}} {
		if len(s.fields) > 0 {
			fmt.Fprintf(w, "\n%s\n  %s\n", s.head, strings.Join(s.fields, ", "))
		}
	}
	return nil
}

// wrap breaks text into lines of at most width columns, each behind indent.
func wrap(text string, width int, indent string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		switch {
		case i == 0 || column+1+len(word) > width:
			if i > 0 {
				b.WriteByte('\n')
			}
			b.WriteString(indent + word)
			column = len(indent) + len(word)
		default:
			b.WriteString(" " + word)
			column += 1 + len(word)
		}
	}
	return b.String()
}

// writeJSON writes v. What would steer a terminal is escaped, also where JSON does not ask for it.
func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(steering.Get().ReplaceAllFunc(b.Bytes(), func(m []byte) []byte {
		var escaped []byte
		for _, unit := range utf16.Encode([]rune(string(m))) {
			escaped = fmt.Appendf(escaped, `\u%04x`, unit)
		}
		return escaped
	}))
	return err
}

// steering are the control and format characters that JSON takes as they are.
var steering = lazyregexp.New(`[\x{7f}-\x{9f}\p{Cf}]`)

func oneOf(flag, value string, accepted ...string) error {
	if slices.Contains(accepted, value) {
		return nil
	}
	return usageError(fmt.Errorf("%s: want %s, got %q", flag, strings.Join(accepted, ", "), value))
}

// didYouMean names the accepted word that is closest to what was typed, when one is close.
func didYouMean(typed string, accepted []string) string {
	best, distance := "", min(max(2, len(typed)/3+1), 4)
	for _, word := range accepted {
		if d := editDistance(typed, word); d < distance {
			best, distance = word, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(" (did you mean %s?)", best)
}

// editDistance is how many bytes have to be put in, taken out, replaced, or exchanged with the next
// one to make b of a (optimal string alignment).
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, last, row = last, row, before
		row[0] = i + 1
		for j := range len(b) {
			cost := last[j]
			if a[i] != b[j] {
				cost++
			}
			row[j+1] = min(cost, row[j]+1, last[j+1]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
