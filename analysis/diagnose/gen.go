//go:build ignore

// Gen makes catalogue.go from findings.yaml. It is not part of the package, which needs no YAML.
// With -new CODE it first begins a finding: its entry, its rule, and its three cases, each in the
// place where it belongs.
//
//	go run ./analysis/diagnose/gen.go -new some-code
package main

import (
	"bytes"
	"flag"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"
)

type entry struct {
	WrongIf                                                                string `yaml:"wrong_if"`
	Code, Severity, Title, Certain, Probable, Action, Meaning, Proof, Todo string
	Layer, Explains, Frames                                                string
	Fields, More, Under, Same                                              []string
	SpeaksFor                                                              []string `yaml:"speaks_for"`
	Everywhere, Stops                                                      bool
}

func main() {
	code := flag.String("new", "", "begin a finding of this code")
	dir := flag.String("dir", ".", "folder of package diagnose")
	flag.Parse()
	if _, err := os.Stat(filepath.Join(*dir, "findings.yaml")); err != nil && *dir == "." {
		*dir = filepath.Join("analysis", "diagnose") // called from the root of the module
	}
	err := error(nil)
	if *code != "" {
		err = begin(*dir, *code)
	}
	if err == nil {
		err = generate(*dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// begin puts the beginnings of a finding where they belong. The tests say what each
// of them still lacks.
func begin(dir, code string) error {
	if !regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`).MatchString(code) {
		return fmt.Errorf("%q: a code is two words or more in lower case, with hyphens", code)
	}
	name := camel(code)
	file := strings.ReplaceAll(code, "-", "")
	catalogue := filepath.Join(dir, "findings.yaml")
	b, err := os.ReadFile(catalogue)
	if err != nil {
		return err
	}
	if strings.Contains(string(b), "- code: "+code+"\n") {
		return fmt.Errorf("%s has %s already", catalogue, code)
	}
	for path, text := range map[string]string{
		filepath.Join(dir, file+".go"):      fmt.Sprintf(ruleText, name),
		filepath.Join(dir, file+"_test.go"): fmt.Sprintf(casesText, name, code),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
		fmt.Println("made", path)
	}
	rule := fmt.Sprintf("\t{%q, %s},\n", code, name)
	if err := insert(filepath.Join(dir, "rules.go"), "\t{\"debug-agrees\",", rule); err != nil {
		return err
	}
	fmt.Println("to fill in:", catalogue)
	return os.WriteFile(catalogue, append(b, fmt.Sprintf(entryText, code)...), 0o644)
}

func insert(path, before, text string) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if !strings.Contains(string(b), before) {
		return fmt.Errorf("%s has no %q, before which this belongs: %s", path, before, text)
	}
	fmt.Println("changed", path)
	return os.WriteFile(path, []byte(strings.Replace(string(b), before, text+before, 1)), 0o644)
}

func camel(code string) string {
	words := strings.Split(code, "-")
	for i := range words[1:] {
		words[i+1] = strings.ToUpper(words[i+1][:1]) + words[i+1][1:]
	}
	return strings.Join(words, "")
}

const (
	entryText = `- code: %s
  severity: warning
  title:
  certain: ""
  wrong_if: ""
  near_miss: ""
  fields: []
  layer:
  meaning:
  proof:
  todo:
`
	ruleText = `package diagnose

import "github.com/moncap/moncap/analysis/report"

func %s(j *judge) []report.Finding {
	return nil
}
`
	casesText = `package diagnose_test

import "github.com/moncap/moncap/analysis/scene"

var _ = add(%[1]sCases)

func %[1]sCases() []findingCase {
	return []findingCase{
		{%[2]q, hit, "", scene.Healthy, nil},
		{%[2]q, near, "", scene.Healthy, nil},
		{%[2]q, none, "healthy", scene.Healthy, nil},
	}
}
`
)

func generate(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "findings.yaml"))
	if err != nil {
		return err
	}
	var all []entry
	if err := yaml.Unmarshal(b, &all); err != nil {
		return err
	}
	var src bytes.Buffer
	src.WriteString("// Code generated from findings.yaml by gen.go; DO NOT EDIT.\n\npackage diagnose\n\n")
	src.WriteString("var catalogue = []Entry{\n")
	for _, e := range all {
		write(&src, e)
	}
	src.WriteString("}\n")
	out, err := format.Source(src.Bytes())
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "catalogue.go"), out, 0o644)
}

func write(w *bytes.Buffer, e entry) {
	fmt.Fprintf(w, "{\nCode: %q, Severity: %q,\nTitle: %s,\nCertain: %s,\n", e.Code, e.Severity, quoted(e.Title),
		quoted(e.Certain))
	for _, f := range []struct{ name, text string }{
		{"Probable", e.Probable}, {"WrongIf", e.WrongIf}, {"Action", e.Action}, {"Meaning", e.Meaning}, {"Proof", e.Proof},
		{"Todo", e.Todo},
	} {
		if f.text != "" {
			fmt.Fprintf(w, "%s: %s,\n", f.name, quoted(f.text))
		}
	}
	for _, f := range []struct {
		name string
		list []string
	}{{"Fields", e.Fields}, {"More", e.More}, {"Under", e.Under}, {"Same", e.Same}, {"SpeaksFor", e.SpeaksFor}} {
		if len(f.list) > 0 {
			list := strings.ReplaceAll(fmt.Sprintf("%#v", f.list), `, "`, ",\x00\"")
			fmt.Fprintf(w, "%s: %s,\n", f.name, strings.Join(filled(list, "\x00"), "\n"))
		}
	}
	for _, f := range []struct{ name, text string }{{"Layer", e.Layer}, {"Explains", e.Explains}, {"Frames", e.Frames}} {
		if f.text != "" {
			fmt.Fprintf(w, "%s: %q,\n", f.name, f.text)
		}
	}
	for _, f := range []struct {
		name string
		is   bool
	}{{"Everywhere", e.Everywhere}, {"Stops", e.Stops}} {
		if f.is {
			fmt.Fprintf(w, "%s: true,\n", f.name)
		}
	}
	w.WriteString("},\n")
}

// quoted is a text as a literal, in as many lines as it takes.
func quoted(text string) string {
	return strings.Join(filled(fmt.Sprintf("%q", text), " "), " \" +\n\"")
}

// filled cuts a text at its gaps into parts that leave room for a field's name and the marks of a
// literal in lines of 120 columns.
func filled(text, gap string) []string {
	const columns = 104
	var parts []string
	for _, word := range strings.Split(text, gap) {
		if n := len(parts) - 1; n >= 0 && utf8.RuneCountInString(parts[n])+1+utf8.RuneCountInString(word) <= columns {
			parts[n] += strings.ReplaceAll(gap, "\x00", " ") + word
			continue
		}
		parts = append(parts, word)
	}
	return parts
}
