package diagnose_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moncap/moncap/analysis/diagnose"
)

// What a rule gives a finding is in the catalogue, also where no scene brings it about.
func TestFieldsOfRulesAreInTheCatalogue(t *testing.T) {
	known := map[string]bool{}
	for _, code := range diagnose.Codes() {
		e, _ := diagnose.Explain(code)
		for _, f := range slices.Concat(e.Fields, e.More) {
			known[f] = true
		}
	}
	given := fieldsOfRules(t)
	for name, at := range given {
		if !known[name] {
			t.Errorf("%s: the field %q is no finding's in findings.yaml", at, name)
		}
	}
	if len(given) < 50 {
		t.Errorf("only %d fields are given", len(given))
	}
}

// fieldsOfRules are the keys of `Fields: map[string]any{...}` and of `f.Fields["..."] = ...`, with
// where one stands.
func fieldsOfRules(t *testing.T) map[string]token.Position {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]token.Position{}
	set := token.NewFileSet()
	add := func(x ast.Expr) {
		if lit, ok := x.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			name, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = set.Position(lit.Pos())
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") || file == "gen.go" {
			continue
		}
		parsed, err := parser.ParseFile(set, file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && key.Name == "Fields" {
					addKeys(n.Value, add)
				}
			case *ast.AssignStmt:
				for _, left := range n.Lhs {
					if x, ok := left.(*ast.IndexExpr); ok {
						if s, ok := x.X.(*ast.SelectorExpr); ok && s.Sel.Name == "Fields" {
							add(x.Index)
						}
					}
				}
			}
			return true
		})
	}
	return all
}

func addKeys(x ast.Expr, add func(ast.Expr)) {
	if m, ok := x.(*ast.CompositeLit); ok {
		for _, e := range m.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok {
				add(kv.Key)
			}
		}
	}
}
