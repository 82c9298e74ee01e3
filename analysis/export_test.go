package analysis

// The limits of what a report lists, for its tests.
const (
	MaxOfCode   = maxOfCode
	MaxMessages = maxMessages
)
