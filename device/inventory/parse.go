package inventory

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"github.com/moncap/moncap/internal/lazyregexp"
)

// maxSize bounds the file: yaml.v3 expands aliases in memory.
const maxSize = 4 << 20

// Load reads and validates the file at path. Paths in it count from its folder. Secrets that a
// program fetches are refused when somebody else may have written the file.
func Load(path string) (*Inventory, error) { return load(path, false) }

// LoadFound is Load for a file that was not named but found where moncap was started: then its
// folder has to be ours, too, before programs are run that it names.
func LoadFound(path string) (*Inventory, error) { return load(path, true) }

func load(path string, found bool) (*Inventory, error) {
	p := &parser{}
	doc, err := p.open(path, found, wantInventory)
	if _, ofTheSystem := errors.AsType[*fs.PathError](err); ofTheSystem {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return p.inventoryOf(doc)
}

const wantInventory = "want version, peers and tunnels"

// Parse reads and validates an inventory; file is its name in messages. All that is wrong is
// reported at once, a line each: FILE:LINE: WHERE: what was expected.
func Parse(file string, r io.Reader) (*Inventory, error) {
	p := &parser{file: file, folder: filepath.Dir(file)}
	doc, err := p.read(r, wantInventory)
	if err != nil {
		return nil, err
	}
	return p.inventoryOf(doc)
}

func (p *parser) inventoryOf(doc *yaml.Node) (*Inventory, error) {
	inv := p.inventory(doc)
	inv.Digest = p.digest
	return inv, p.err()
}

// open reads the one document of a file, and finds out whether others may have written it. want
// says what it is when it is empty.
func (p *parser) open(path string, found bool, want string) (*yaml.Node, error) {
	p.file, p.folder = path, filepath.Dir(path)
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !OnlyOurs(info) {
		p.distrust = fmt.Sprintf("%s belongs to, or may be written by, somebody else (mode %04o): chmod go-w it, or own it",
			path, info.Mode().Perm())
	} else if found {
		if folder, err := os.Stat(p.folder); err != nil || !OnlyOurs(folder) {
			p.distrust = fmt.Sprintf("the folder of %s belongs to, or may be written by, somebody else: name the file with -i "+
				"if you mean it", path)
		}
	}
	return p.read(f, want)
}

func (p *parser) read(r io.Reader, want string) (*yaml.Node, error) {
	b, err := io.ReadAll(io.LimitReader(r, maxSize+1))
	if err != nil {
		return nil, fmt.Errorf("inventory: %w", err)
	}
	if len(b) > maxSize {
		return nil, fmt.Errorf("%s: larger than %d bytes", p.file, maxSize)
	}
	sum := sha256.Sum256(b)
	p.digest = hex.EncodeToString(sum[:])
	doc, err := document(b, want)
	if err != nil {
		return nil, fmt.Errorf("%s:%w", p.file, err)
	}
	return doc, nil
}

// document reads the one document of a file. Errors begin with the line.
func document(b []byte, want string) (*yaml.Node, error) {
	if line := unreadable(b); line > 0 {
		return nil, fmt.Errorf("%d: want text in UTF-8 without control characters", line)
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	var doc, second yaml.Node
	err := d.Decode(&doc)
	switch {
	case err == io.EOF || err == nil && len(doc.Content) == 0:
		return nil, fmt.Errorf("1: it is empty; %s", want)
	case err != nil:
		return nil, syntaxError(b, err)
	}
	if err := d.Decode(&second); err == nil {
		return nil, fmt.Errorf("%d: a second document begins; want one in the file", second.Line)
	} else if err != io.EOF {
		return nil, syntaxError(b, err)
	}
	return doc.Content[0], nil
}

var (
	yamlLine    = lazyregexp.New(`^yaml: (?:line (\d+): )?`)
	yamlUnknown = lazyregexp.New(`unknown anchor '(.*)' referenced`)
)

// syntaxError puts the line in front, as in the errors of ours. yaml.v3 counts the lines of what
// its grammar does not expect from 0, and names none for what it finds earlier or later.
func syntaxError(text []byte, err error) error {
	m := yamlLine.Get().FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Errorf("1: want YAML: %w", err)
	}
	what := strings.TrimPrefix(err.Error(), m[0])
	line, _ := strconv.Atoi(m[1])
	if line == 0 || strings.HasPrefix(what, "did not find expected") {
		line++
	}
	if m := yamlUnknown.Get().FindStringSubmatch(what); m != nil {
		before, _, _ := bytes.Cut(text, []byte("*"+m[1]))
		line = 1 + bytes.Count(before, []byte("\n"))
	}
	return fmt.Errorf("%d: want YAML: %s", line, what)
}

// unreadable finds the line of the first byte that no text has, which yaml.v3 does not name; 0:
// there is none.
func unreadable(text []byte) int {
	line := 1
	for rest := text; len(rest) > 0; {
		r, n := utf8.DecodeRune(rest)
		if r == utf8.RuneError && n == 1 || r < ' ' && !unicode.IsSpace(r) || r == 0x7f {
			return line
		}
		if r == '\n' {
			line++
		}
		rest = rest[n:]
	}
	return 0
}

type problem struct {
	line int
	text string
}

// parser walks the nodes and collects what is wrong, so that one reading reports all of it.
type parser struct {
	file     string
	folder   string // that relative paths count from
	digest   string // of the file's bytes
	distrust string // why programs that the file names are not run; "": they are
	problems []problem
}

func (p *parser) fail(n *yaml.Node, where, format string, args ...any) {
	if where != "" {
		where += ": "
	}
	p.problems = append(p.problems, problem{n.Line, where + fmt.Sprintf(format, args...)})
}

func (p *parser) err() error {
	slices.SortStableFunc(p.problems, func(a, b problem) int { return cmp.Compare(a.line, b.line) })
	var errs []error
	for _, pr := range p.problems {
		errs = append(errs, fmt.Errorf("%s:%d: %s", p.file, pr.line, pr.text))
	}
	return errors.Join(errs...)
}

// keys are the legal keys of a mapping and what reads their values.
type keys map[string]func(where string, n *yaml.Node)

// mapping reads a mapping with a closed set of keys.
func (p *parser) mapping(where string, n *yaml.Node, ks keys) {
	p.entries(where, n, func(key, value *yaml.Node) {
		at := join(where, key.Value)
		read, ok := ks[key.Value]
		if !ok {
			p.fail(key, at, "unknown key; want one of %s", strings.Join(sortedKeys(ks), ", "))
			return
		}
		read(at, value)
	})
}

// entries reads a mapping whose keys are names, and refuses a key that comes twice.
func (p *parser) entries(where string, n *yaml.Node, each func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.fail(n, where, "want a mapping of keys and values, written out")
		return
	}
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			p.fail(key, where, "want a plain key")
			continue
		}
		if first, dup := seen[key.Value]; dup {
			p.fail(key, join(where, key.Value), "it stands on line %d already", first)
			continue
		}
		seen[key.Value] = key.Line
		each(key, value)
	}
}

func join(where, key string) string {
	key = shortened(key)
	if where == "" {
		return key
	}
	return where + "." + key
}

func sortedKeys(ks keys) []string {
	var names []string
	for k := range ks {
		names = append(names, k)
	}
	slices.Sort(names)
	return names
}
