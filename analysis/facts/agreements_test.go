package facts_test

import (
	"slices"
	"testing"
	"time"

	"github.com/moncap/moncap/analysis/facts"
	"github.com/moncap/moncap/analysis/ike"
	"github.com/moncap/moncap/analysis/pair"
	"github.com/moncap/moncap/analysis/scene"
)

// inParts sends a message of three fragments, each with its fate (RFC 7383).
func inParts(a *scene.SA, x ike.ExchangeType, from int, id uint32, response bool, first ike.PayloadType,
	fates ...scene.Fate) {
	for n := range uint16(3) {
		fate := scene.Fate{}
		if int(n) < len(fates) {
			fate = fates[n]
		}
		a.S.IKE(from, 500, a.SealedPart(x, from, id, response, first, 400, n+1, 3), fate)
	}
}

// An exchange makes child SAs once, however many messages it takes, and an authentication of
// several rounds with its last one: all that asks what was agreed on asks so.
func TestAgreementsAreCountedOnce(t *testing.T) {
	inFragments := func(a *scene.SA, x ike.ExchangeType, id uint32, fates ...scene.Fate) {
		inParts(a, x, a.From, id, false, ike.PayloadIDi)
		inParts(a, x, 1-a.From, id, true, ike.PayloadIDr, fates...)
		a.ID[a.From] = id + 1
	}
	opened := func(s *scene.Scene) *scene.SA {
		a := s.SA(0)
		a.Open()
		return a
	}
	for _, tt := range []struct {
		name string
		play func(s *scene.Scene)
		want []ike.ExchangeType
	}{
		{"whole", func(s *scene.Scene) { s.SA(0).Up() }, []ike.ExchangeType{ike.IKEAuth}},
		{"IKE_AUTH in fragments", func(s *scene.Scene) { inFragments(opened(s), ike.IKEAuth, 1) },
			[]ike.ExchangeType{ike.IKEAuth}},
		{"a fragment of the answer is lost", func(s *scene.Scene) {
			inFragments(opened(s), ike.IKEAuth, 1, scene.Fate{}, scene.Lost)
			s.Wait(10 * time.Second)
			s.SA(0).Open()
		}, nil},
		{"the whole answer is lost, its fragments arrive", func(s *scene.Scene) {
			a := opened(s)
			s.IKE(0, 500, a.Sealed(ike.IKEAuth, 0, 1, false, ike.PayloadIDi, 900))
			s.IKE(1, 500, a.Sealed(ike.IKEAuth, 1, 1, true, ike.PayloadIDr, 1000), scene.Lost)
			s.Wait(time.Second)
			inFragments(a, ike.IKEAuth, 1)
			a.DPD(0)
		}, []ike.ExchangeType{ike.IKEAuth}},
		{"EAP", func(s *scene.Scene) {
			a := opened(s)
			a.Auth(ike.PayloadIDr, 900)
			for range 3 {
				a.Exchange(ike.IKEAuth, 0, ike.PayloadEAP, 40, ike.PayloadEAP, 60)
			}
			a.Exchange(ike.IKEAuth, 0, ike.PayloadAUTH, 40, ike.PayloadAUTH, 150)
		}, []ike.ExchangeType{ike.IKEAuth}},
		{"EAP that ends", func(s *scene.Scene) {
			a := opened(s)
			a.Auth(ike.PayloadIDr, 900)
			a.Exchange(ike.IKEAuth, 0, ike.PayloadEAP, 40, ike.PayloadEAP, 8)
		}, nil},
		{"several authentications", func(s *scene.Scene) {
			a := opened(s)
			a.Auth(ike.PayloadIDr, 300)
			a.Exchange(ike.IKEAuth, 0, ike.PayloadIDi, 200, ike.PayloadAUTH, 150)
		}, []ike.ExchangeType{ike.IKEAuth}},
		{"rekeys in fragments", func(s *scene.Scene) {
			a := s.SA(0).Up()
			for id := range uint32(3) {
				inFragments(a, ike.CreateChildSA, 2+id)
			}
		}, []ike.ExchangeType{ike.IKEAuth, ike.CreateChildSA, ike.CreateChildSA, ike.CreateChildSA}},
		{"a rekey that is refused", func(s *scene.Scene) {
			s.SA(0).Up().Exchange(ike.CreateChildSA, 0, ike.PayloadN, 180, ike.PayloadN, 8)
		}, []ike.ExchangeType{ike.IKEAuth}},
		{"IKEv1, renewed", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			for range 2 {
				a.QuickMode(3)
				a.Quick++
			}
		}, []ike.ExchangeType{ike.V1QuickMode, ike.V1QuickMode}},
		{"IKEv1 in fragments", func(s *scene.Scene) {
			a := s.V1(0).Phase1()
			for n, size := range []int{360, 340, 48} {
				from := n % 2
				a.InFrags(from, uint16(n)+1, a.Sealed(ike.V1QuickMode, from, a.Quick, ike.V1PayloadHASH, size), nil)
			}
		}, []ike.ExchangeType{ike.V1QuickMode}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := scene.New(t)
			tt.play(s)
			s.Stream(1, 5, scene.Arrives) // not of the initiator, which would prove that it has the SA
			c, err := pair.Join(t.Context(), storyOf(t, s, 0), storyOf(t, s, 1), pair.Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []ike.ExchangeType
			for i, a := range c.Agreements() {
				if got = append(got, a.In); a.Again != (i > 0) {
					t.Errorf("%v, number %d: again is %v", a.In, i, a.Again)
				}
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("agreed in %v, want %v", got, tt.want)
			}
			if n := facts.Negotiations(facts.TrafficOf(c).Peers[0]); n != len(tt.want) {
				t.Errorf("its traffic knows %d, want %d", n, len(tt.want))
			}
		})
	}
}
