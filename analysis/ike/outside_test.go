package ike

import "testing"

func gcmSuite(t *testing.T) Suite {
	t.Helper()
	s, ok := SuiteFrom(Proposal{Transforms: []Transform{
		{Type: TransformENCR, ID: 20, Attributes: []Attribute{{Type: 14, Short: true, Value: 256}}},
		{Type: TransformPRF, ID: 5}, {Type: TransformKE, ID: 19}}})
	if !ok {
		t.Fatal("AES-GCM has no sizes")
	}
	return s
}

// Padding is the sender's choice in every message: the largest that was seen bounds the others, and
// one sender's says nothing of the other's.
func TestPaddingIsABound(t *testing.T) {
	const sealing = 8 + 1 + 16 // initialization vector, pad length, integrity check value
	o := NewOutside(gcmSuite(t))
	for _, padding := range []int{15, 0, 40, 3} {
		o.Learn(1, PayloadNone, sealing+padding)
	}
	o.Learn(1, PayloadN, sealing+200) // holds something: nothing to be learnt
	o.Learn(0, PayloadNone, sealing)
	for _, c := range []struct {
		sender int
		first  PayloadType
		body   int
		want   Room
	}{
		{1, PayloadN, sealing + 48, Room{true, 8, 48}},
		{0, PayloadN, sealing + 48, Room{true, 48, 48}},
		{1, PayloadNone, sealing + 40, Room{true, 0, 0}},
		{1, PayloadN, sealing + 8, Room{true, 0, 8}},
		{1, PayloadN, sealing - 1, Room{}},
	} {
		if got := o.Room(c.sender, c.first, c.body); got != c.want {
			t.Errorf("sender %d, body %d: %+v, want %+v", c.sender, c.body, got, c.want)
		}
	}
}

func TestSigns(t *testing.T) {
	room := func(low, high int) Room { return Room{true, low, high} }
	type question = func(Sealed) Sign
	for _, c := range []struct {
		name string
		ask  question
		s    Sealed
		want Sign
	}{
		{"an exact Notify", Sealed.LoneNotify, Sealed{First: PayloadN, Room: room(8, 8)}, Yes},
		{"a block of CBC", Sealed.LoneNotify, Sealed{First: PayloadN, Room: room(0, 15)}, Yes},
		{"padding that hides all", Sealed.LoneNotify, Sealed{First: PayloadN, Room: room(0, 250)}, Maybe},
		{"too large", Sealed.LoneNotify, Sealed{First: PayloadN, Room: room(60, 75)}, No},
		{"another payload", Sealed.LoneNotify, Sealed{First: PayloadD, Room: room(8, 8)}, No},
		{"algorithms that are not known", Sealed.LoneNotify, Sealed{First: PayloadN}, Maybe},

		{"a rekey refused", Sealed.Refused, Sealed{CreateChildSA, true, PayloadN, room(8, 23), 0}, Yes},
		{"a rekey refused with two Notifies", Sealed.Refused, Sealed{CreateChildSA, true, PayloadN, room(40, 55), 0}, Yes},
		{"USE_TRANSPORT_MODE and a new SA", Sealed.Refused, Sealed{CreateChildSA, true, PayloadN, room(140, 155), 0}, No},
		{"either", Sealed.Refused, Sealed{CreateChildSA, true, PayloadN, room(8, 263), 0}, Maybe},
		{"a refusal, algorithms not known", Sealed.Refused, Sealed{CreateChildSA, true, PayloadN, Room{}, 48}, Yes},
		{"as long as a new SA, by such", Sealed.Refused, Sealed{CreateChildSA, true, PayloadN, Room{}, 130}, Maybe},
		{"fragments, by such", Sealed.Refused, Sealed{CreateChildSA, true, PayloadN, Room{}, 0}, Maybe},
		{"a new SA", Sealed.Refused, Sealed{CreateChildSA, true, PayloadSA, room(140, 155), 0}, No},
		{"a request", Sealed.Refused, Sealed{CreateChildSA, false, PayloadN, room(8, 8), 0}, No},
		{"AUTHENTICATION_FAILED", Sealed.Refused, Sealed{IKEAuth, true, PayloadN, room(0, 15), 0}, Yes},
		{"MOBIKE's Notify, then an identity", Sealed.Refused, Sealed{IKEAuth, true, PayloadN, room(150, 165), 0}, No},

		{"EAP-Failure", Sealed.LoneEAP, Sealed{First: PayloadEAP, Room: room(8, 8)}, Yes},
		{"an EAP request", Sealed.LoneEAP, Sealed{First: PayloadEAP, Room: room(20, 20)}, No},

		{"the IKE SA", Sealed.DeletesIKE, Sealed{First: PayloadD, Room: room(8, 8)}, Yes},
		{"a child", Sealed.DeletesIKE, Sealed{First: PayloadD, Room: room(12, 12)}, No},
		{"a Delete in CBC", Sealed.DeletesIKE, Sealed{First: PayloadD, Room: room(0, 15)}, Maybe},

		{"liveness", Sealed.Empty, Sealed{First: PayloadNone}, Yes},
		{"a Delete is not empty", Sealed.Empty, Sealed{First: PayloadD}, No},
		{"a Delete", Sealed.Delete, Sealed{First: PayloadD}, Yes},
	} {
		if got := c.ask(c.s); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

func TestRoomForChild(t *testing.T) {
	for _, c := range []struct {
		first     PayloadType
		low, high int
		auth      int
		want      Sign
	}{
		{PayloadIDr, 48, 63, 32, No},
		{PayloadIDr, 130, 145, 32, Maybe},
		{PayloadIDr, 176, 191, 32, Yes},
		{PayloadN, 176, 191, 32, Maybe}, // of notifications there may be many
		{PayloadIDr, 110, 120, 0, No},
	} {
		s := Sealed{Exchange: IKEAuth, Response: true, First: c.first, Room: Room{true, c.low, c.high}}
		if got := s.RoomForChild(c.auth); got != c.want {
			t.Errorf("%d to %d bytes: %d, want %d", c.low, c.high, got, c.want)
		}
	}
	if (Sealed{First: PayloadIDr}).RoomForChild(32) != Maybe {
		t.Error("a size that is not known says nothing")
	}
}
