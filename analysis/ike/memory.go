package ike

// memory is where the payloads of a message are. What is kept from message to message is used again
// by the next one; the zero value makes everything new.
type memory struct {
	kept bool

	messages []Message
	payloads []Payload
	sas      []SA
	kes      []KE
	nonces   []Nonce
	notifies []Notify
	vendors  []VendorID
	sealed   []Encrypted

	// of all SA payloads
	proposals  []Proposal
	transforms []Transform
	attributes []Attribute
}

// reset gives back all that was taken, and keeps it from now on.
func (m *memory) reset() {
	m.kept = true
	m.messages, m.payloads, m.sas, m.kes, m.nonces = m.messages[:0], m.payloads[:0], m.sas[:0], m.kes[:0], m.nonces[:0]
	m.notifies, m.vendors, m.sealed = m.notifies[:0], m.vendors[:0], m.sealed[:0]
	m.proposals, m.transforms, m.attributes = m.proposals[:0], m.transforms[:0], m.attributes[:0]
}

// take returns a place in all, which is one of m's lists, that holds anything. Places that were
// taken before stay where they are.
func take[T any](m *memory, all *[]T) *T {
	if !m.kept {
		return new(T)
	}
	if len(*all) == cap(*all) {
		*all = make([]T, 0, max(4, 2*len(*all)))
	}
	n := len(*all)
	*all = (*all)[:n+1]
	return &(*all)[n]
}

// since returns what was appended to all behind the first, or nil for nothing.
func since[T any](all []T, first int) []T {
	if len(all) == first {
		return nil
	}
	return all[first:len(all):len(all)]
}
