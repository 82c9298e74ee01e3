package analysis_test

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moncap/moncap/analysis"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/scene"
	"github.com/moncap/moncap/testdata"
)

// reading is a capture that counts how often it was opened. Each time it is another of the files,
// the last one from then on.
type reading struct {
	files  [][]byte
	opened int
}

func (r *reading) side(once bool) analysis.Side {
	return analysis.Side{Once: once, Open: func() (io.ReadCloser, error) {
		b := r.files[min(r.opened, len(r.files)-1)]
		r.opened++
		return io.NopCloser(bytes.NewReader(b)), nil
	}}
}

// compared is the report in JSON.
func compared(t *testing.T, a, b *reading, once bool) string {
	t.Helper()
	other := b.side(once)
	r, err := analysis.Compare(t.Context(), a.side(once), &other, analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// alteredAuth is B's capture of the healthy incident whose last IKE_AUTH message, which is sealed,
// has another last byte.
func alteredAuth(t *testing.T) []byte {
	t.Helper()
	const header, exchangeType, ikeAuth = 14 + 20 + 8, 18, 35 // Ethernet, IPv4 and UDP
	all := readRecords(t, incident("healthy", "b.pcap"))
	for _, r := range slices.Backward(all) {
		message := r.Data[header:]
		if bytes.HasPrefix(message, make([]byte, 4)) { // the non-ESP marker
			message = message[4:]
		}
		if message[exchangeType] == ikeAuth {
			message[len(message)-1] ^= 1
			return scene.Pcap(all)
		}
	}
	t.Fatal("no IKE_AUTH")
	return nil
}

// Whether the bytes of sealed messages are kept from the start or not until they are asked for, the
// report is the same; what can be opened but once is.
func TestSealedBytesChangeNoReport(t *testing.T) {
	all, err := testdata.List()
	if err != nil {
		t.Fatal(err)
	}
	healthy, err := testdata.Load("healthy")
	if err != nil {
		t.Fatal(err)
	}
	altered := healthy
	altered.Name, altered.B = "altered-auth", alteredAuth(t)
	again := map[string]int{}
	for _, i := range append(all, altered) {
		var sides [2][2]reading
		var reports [2]string
		for n, once := range []bool{false, true} {
			s := &sides[n]
			s[0].files, s[1].files = [][]byte{i.A}, [][]byte{i.B}
			reports[n] = compared(t, &s[0], &s[1], once)
		}
		if diff := cmp.Diff(reports[1], reports[0]); diff != "" {
			t.Errorf("%s: %s", i.Name, diff)
		}
		if n := sides[1][0].opened + sides[1][1].opened; n != 2 {
			t.Errorf("%s: what can be opened once was opened %d times", i.Name, n)
		}
		again[i.Name] = sides[0][0].opened - 1
	}
	if again["healthy"] != 0 {
		t.Error("nothing of healthy captures needs the sealed bytes, and they were read again")
	}
	if again["altered-auth"] != 1 {
		t.Errorf("captures with an altered sealed message were read again %d times, want once", again["altered-auth"])
	}
}

// A capture that has changed when it is read again is judged by what it holds then.
func TestCaptureChangesBeforeItIsReadAgain(t *testing.T) {
	i, err := testdata.Load("healthy")
	if err != nil {
		t.Fatal(err)
	}
	want := compared(t, &reading{files: [][]byte{i.A}}, &reading{files: [][]byte{i.B}}, false)
	b := &reading{files: [][]byte{alteredAuth(t), i.B}}
	got := compared(t, &reading{files: [][]byte{i.A}}, b, false)
	if b.opened != 2 {
		t.Fatalf("opened %d times, want 2", b.opened)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// What came to a router's control plane is told by the headers: for it nothing is read again.
func TestControlPlaneNeedsNoSealedBytes(t *testing.T) {
	s := scene.New(t)
	sa := s.SA(0)
	sa.Open()
	s.Repeat(5, 0, 500, sa.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, scene.SizeAuth), scene.Fate{})
	s.Wait(30 * time.Second)
	s.Noise(1)
	s.AtControlPlane(1, func(int) bool { return true })
	sides, opened := s.Sides(), 0
	open := sides[0].Open
	sides[0].Open = func() (io.ReadCloser, error) {
		opened++
		return open()
	}
	r, err := analysis.Compare(t.Context(), sides[0], &sides[1], analysis.Options{})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r.Findings)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "control plane") {
		t.Fatalf("nothing is said of the control plane: %s", text)
	}
	if opened != 1 {
		t.Errorf("read %d times", opened)
	}
}
