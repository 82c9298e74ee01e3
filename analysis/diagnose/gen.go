//go:build ignore

// Gen makes catalogue.go from findings.yaml. It is not part of the package, which needs no YAML.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"os"

	"gopkg.in/yaml.v3"
)

type entry struct {
	Code, Severity, Title, Certain, Probable, Action, Meaning, Proof, Todo string
	Layer, Explains, Frames                                                string
	Fields, More, Under, Same                                              []string
	SpeaksFor                                                              []string `yaml:"speaks_for"`
	Everywhere, Stops                                                      bool
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run() error {
	b, err := os.ReadFile("findings.yaml")
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
	return os.WriteFile("catalogue.go", out, 0o644)
}

func write(w *bytes.Buffer, e entry) {
	fmt.Fprintf(w, "{\nCode: %q, Severity: %q,\nTitle: %q,\nCertain: %q,\n", e.Code, e.Severity, e.Title, e.Certain)
	for _, f := range []struct{ name, text string }{
		{"Probable", e.Probable}, {"Action", e.Action}, {"Meaning", e.Meaning}, {"Proof", e.Proof}, {"Todo", e.Todo},
	} {
		if f.text != "" {
			fmt.Fprintf(w, "%s: %q,\n", f.name, f.text)
		}
	}
	for _, f := range []struct {
		name string
		list []string
	}{{"Fields", e.Fields}, {"More", e.More}, {"Under", e.Under}, {"Same", e.Same}, {"SpeaksFor", e.SpeaksFor}} {
		if len(f.list) > 0 {
			fmt.Fprintf(w, "%s: %#v,\n", f.name, f.list)
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
