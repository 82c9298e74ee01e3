package exchange

// Marks tell in a few bits which Notify payloads may stand in clear: in one message, or in any of
// many. Types share bits, so what is marked has to be looked for; what is not marked is not there.
type Marks struct {
	errors, others uint64
}

// firstStatus is the first Notify type that is no error (RFC 7296, Section 3.10.1; RFC 2408,
// Section 3.14.1).
const firstStatus = 1 << 14

// May says whether a Notify of type n may be there.
func (k Marks) May(n uint16) bool {
	if n < firstStatus {
		return k.errors&bitOf(n) != 0
	}
	return k.others&bitOf(n) != 0
}

// Errors says whether an error is there.
func (k Marks) Errors() bool { return k.errors != 0 }

// Join adds the marks of other messages.
func (k *Marks) Join(o Marks) {
	k.errors |= o.errors
	k.others |= o.others
}

func (k *Marks) mark(n uint16) {
	if n < firstStatus {
		k.errors |= bitOf(n)
	} else {
		k.others |= bitOf(n)
	}
}

func bitOf(n uint16) uint64 { return 1 << (n % 64) }
