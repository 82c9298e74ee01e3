package main

import (
	"bytes"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// Lines that fit beside another file are read: code goes to 120 columns, comments to 100. What
// cannot be broken may be longer: a raw string, and what a comment shows rather than tells.
func TestLinesFitBesideAnother(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		files++
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		whole := unbreakable(src)
		for i, line := range strings.Split(string(src), "\n") {
			n, columns := utf8.RuneCountInString(line), 120
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "//"); ok {
				if columns = 100; !strings.HasPrefix(text, " ") {
					continue
				}
			}
			if n > columns && !whole[i+1] {
				t.Errorf("%s:%d: %d columns, of %d", path, i+1, n, columns)
			}
		}
		return nil
	})
	if err != nil || files < 100 {
		t.Errorf("%d files, %v", files, err)
	}
}

// unbreakable are the lines of a file that a raw string, or a part of it, stands in.
func unbreakable(src []byte) map[int]bool {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(src))
	s.Init(file, src, nil, 0)
	lines := map[int]bool{}
	for {
		pos, tok, text := s.Scan()
		if tok == token.EOF {
			return lines
		}
		if tok == token.STRING && text[0] == '`' {
			from := file.Line(pos)
			for i := range 1 + bytes.Count([]byte(text), []byte("\n")) {
				lines[from+i] = true
			}
		}
	}
}
