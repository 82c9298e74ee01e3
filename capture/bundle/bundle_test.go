package bundle

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func create(t *testing.T) *Bundle {
	t.Helper()
	b, err := Create(filepath.Join(t.TempDir(), "runs", "one"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func fill(t *testing.T, b *Bundle) {
	t.Helper()
	f, err := b.CreateCapture(A)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := b.AppendTranscript(B)
	if err != nil {
		t.Fatal(err)
	}
	_, writeErr := f.Write([]byte("pcap"))
	_, sayErr := tr.WriteString("R1#show clock\n")
	err = errors.Join(writeErr, sayErr, f.Commit(), tr.Close(), b.SaveRun(&Run{ID: "one", Notes: []string{"n"}}),
		b.SaveShow(A, "show-clock", "12:00"), b.SaveDebug(B, "IKEv2:x"), b.WriteFile(ReportJSON, []byte("{}")),
		b.Record(Entry{Side: A, Peer: "site-a", Kind: "acl", Name: "cap", State: Intent}))
	if err != nil {
		t.Fatal(err)
	}
}

func TestEverythingReadsBack(t *testing.T) {
	b := create(t)
	fill(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := Open(b.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	pathA, pathB := b.Captures()
	transcript, err1 := b.Transcript(B)
	none, err2 := b.Transcript(A)
	show, err3 := b.Show(A)
	debug, err4 := b.Debug(B)
	run, err5 := b.Run()
	journal, err6 := b.Journal()
	report, err7 := b.Report()
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7); err != nil {
		t.Fatal(err)
	}
	got := []string{pathA, pathB, transcript, none, show["show-clock"], debug, run.ID, run.Schema, journal[0].Kind,
		string(report)}
	want := []string{b.Path("a.pcap"), "", "R1#show clock\n", "", "12:00", "IKEv2:x", "one", Schema, "acl", "{}"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFilesArePrivate(t *testing.T) {
	b := create(t)
	fill(t, b)
	n := 0
	err := filepath.WalkDir(b.Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		want := fs.FileMode(0o600)
		if d.IsDir() {
			want = 0o700
		}
		if n++; info.Mode().Perm() != want {
			t.Errorf("%s: %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil || n < 12 {
		t.Errorf("%v, %d files", err, n)
	}
}

func TestNothingLeadsOut(t *testing.T) {
	b := create(t)
	for _, name := range []string{"../evil", "a/../../evil", "UPPER", "", ".", "show\x1b"} {
		if err := b.SaveShow(A, name, "x"); err == nil {
			t.Errorf("show %q was accepted", name)
		}
	}
	for _, name := range []string{"../evil", "/etc/evil", "a/../../evil"} {
		if err := b.WriteFile(name, nil); err == nil {
			t.Errorf("file %q was accepted", name)
		}
	}
	if err := b.SaveShow("../x", "show-clock", "x"); err == nil {
		t.Error("a side that is none was accepted")
	}
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Symlink(outside, b.Path("b.pcap")); err != nil {
		t.Skip(err)
	}
	if _, pathB := b.Captures(); pathB != "" {
		t.Error("a link out of the bundle was taken for a capture")
	}
}

func TestOnlyOneProcessWrites(t *testing.T) {
	b := create(t)
	fill(t, b)
	if _, err := Resume(b.Dir()); !errors.Is(err, ErrLocked) {
		t.Errorf("second writer: %v", err)
	}
	reader, err := Open(b.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := reader.Record(Entry{Side: A, State: Made}); err == nil {
		t.Error("a reader wrote the journal")
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Resume(b.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Record(Entry{Side: A, Kind: "acl", Name: "cap", State: Gone}); err != nil {
		t.Fatal(err)
	}
	entries, err := again.Journal()
	if err != nil || len(entries) != 2 || entries[1].Seq != 2 {
		t.Errorf("%v, %v", err, entries)
	}
}

func TestCreateRefusesAFolderWithThings(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("%v", err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "no bundle") {
		t.Errorf("%v", err)
	}
}

func TestAnAbortedCaptureLeavesNoFile(t *testing.T) {
	b := create(t)
	f, err := b.CreateCapture(A)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("half")); err != nil {
		t.Fatal(err)
	}
	if pathA, _ := b.Captures(); pathA != "" {
		t.Error("a half file has its final name")
	}
	if err := f.Abort(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(b.Dir())
	for _, e := range entries {
		if strings.Contains(e.Name(), "pcap") {
			t.Errorf("%v: left behind", e.Name())
		}
	}
	if err != nil {
		t.Error(err)
	}
}

func TestRestartForgetsWhatWasWritten(t *testing.T) {
	b := create(t)
	f, err := b.CreateCapture(B)
	if err != nil {
		t.Fatal(err)
	}
	_, e1 := f.Write([]byte("a long first attempt"))
	e2 := f.Restart()
	_, e3 := f.Write([]byte("second"))
	if err := errors.Join(e1, e2, e3, f.Commit()); err != nil {
		t.Fatal(err)
	}
	if data, err := os.ReadFile(b.Path("b.pcap")); err != nil || string(data) != "second" {
		t.Errorf("%v, %q", err, data)
	}
}

func TestTornJournal(t *testing.T) {
	b := create(t)
	fill(t, b)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(b.Path(journalFile), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(`{"seq":2,"side":"A","ki`)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	b, err = Resume(b.Dir())
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Record(Entry{Side: B, Kind: "file", Name: "x", State: Made}); err != nil {
		t.Fatal(err)
	}
	entries, err := b.Journal()
	if err == nil || !strings.Contains(err.Error(), "line 2") || len(entries) != 2 || entries[1].Kind != "file" {
		t.Errorf("%v, %+v", err, entries)
	}
}

func TestReadJournalNamesTheLineThatIsWrong(t *testing.T) {
	good := `{"seq":1,"side":"A","kind":"acl","name":"cap","state":"made"}`
	for bad, want := range map[string]string{
		`{"seq":2,"side":"C","state":"made"}`: `line 2: bundle: side "C"`,
		`{"seq":2,"side":"A","state":"done"}`: `state "done"`,
		`hello`:                               "line 2",
	} {
		entries, err := ReadJournal(strings.NewReader(good + "\n" + bad + "\n" + good + "\n"))
		if len(entries) != 2 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %d entries, %v", bad, len(entries), err)
		}
	}
}

func TestOpenChanges(t *testing.T) {
	e := func(side Side, kind string, s State) Entry {
		return Entry{Side: side, Kind: kind, Name: "cap", State: s}
	}
	got := OpenChanges([]Entry{
		e(A, "acl", Intent), e(B, "acl", Intent), e(A, "acl", Made), e(B, "acl", Void), e(A, "capture", Intent),
		e(A, "file", Intent), e(A, "file", Made), e(A, "file", Gone), e(A, "file", Intent),
	})
	want := []Change{
		{Side: A, Kind: "acl", Name: "cap", State: Made},
		{Side: A, Kind: "capture", Name: "cap", State: Intent},
		{Side: A, Kind: "file", Name: "cap", State: Intent},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestWritePCAP(t *testing.T) {
	var b bytes.Buffer
	at := time.Date(2026, 1, 2, 3, 4, 5, 678901234, time.UTC)
	if err := WritePCAP(&b, []Packet{{Time: at, Data: []byte{0xaa, 0xbb}, Length: 60}}); err != nil {
		t.Fatal(err)
	}
	want := "d4c3b2a1" + "02000400" + "00000000" + "00000000" + "ffff0000" + "01000000" +
		"a5355769" + "f55b0a00" + "02000000" + "3c000000" + "aabb"
	if diff := cmp.Diff(want, hex.EncodeToString(b.Bytes())); diff != "" {
		t.Error(diff)
	}
	if err := WritePCAP(&b, []Packet{{Time: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)}}); err == nil {
		t.Error("a time that the format cannot hold was accepted")
	}
}

func FuzzReadJournal(f *testing.F) {
	f.Add([]byte(`{"seq":1,"side":"A","kind":"acl","name":"cap","state":"made"}` + "\n" + `{"seq":2,"si`))
	f.Add([]byte("\n\n{}\nnull\n[]\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, _ := ReadJournal(bytes.NewReader(data))
		for _, c := range OpenChanges(entries) {
			if c.Side != A && c.Side != B || c.State != Intent && c.State != Made {
				t.Errorf("%+v", c)
			}
		}
	})
}

func FuzzRun(f *testing.F) {
	f.Add([]byte(`{"schema":"moncap.bundle/v1","id":"x","a":{"address":"192.0.2.1"}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := decodeRun(data); err == nil && r.Schema != Schema {
			t.Errorf("schema %q", r.Schema)
		}
	})
}

// TestTally cuts a capture file in every place, into pieces of several sizes, in both byte orders.
func TestTally(t *testing.T) {
	var file bytes.Buffer
	packets := []Packet{{Time: time.Unix(1, 0), Data: make([]byte, 60)}, {Time: time.Unix(2, 0)},
		{Time: time.Unix(3, 0), Data: make([]byte, 1500)}}
	if err := WritePCAP(&file, packets); err != nil {
		t.Fatal(err)
	}
	ends := []int{24 + 16 + 60, 24 + 16 + 60 + 16, file.Len()} // of the packets
	for cut := range file.Len() + 1 {
		for _, size := range []int{1, 7, 4096} {
			var c Tally
			for piece := range slices.Chunk(file.Bytes()[:cut], size) {
				_, _ = c.Write(piece)
			}
			want := 0
			for _, end := range ends {
				if cut >= end {
					want++
				}
			}
			if n, ok := c.Whole(); n != want || ok != (cut >= 24) {
				t.Fatalf("%d bytes by %d: %d packets, %v; want %d", cut, size, n, ok, want)
			}
		}
	}
	var c Tally
	_, _ = c.Write(binary.BigEndian.AppendUint32(nil, 0xa1b23c4d))
	_, _ = c.Write(make([]byte, 20))
	_, _ = c.Write([]byte{0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 'a', 'b'})
	if n, ok := c.Whole(); n != 1 || !ok {
		t.Errorf("big endian, nanoseconds: %d packets, %v", n, ok)
	}
}
