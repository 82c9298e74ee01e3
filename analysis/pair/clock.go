package pair

// segment is a stretch of B's clock between steps.
type segment struct {
	from, to int64   // B's clock, [from, to)
	at       int64   // B's clock at which offset holds
	offset   float64 // nanoseconds, B - A
	slope    float64 // nanoseconds a nanosecond
}

// toA returns B's time t on A's clock.
func (c *Clock) toA(t int64) int64 {
	for i := range c.segments {
		s := &c.segments[i]
		if t < s.to || i == len(c.segments)-1 {
			return t - int64(s.offset+s.slope*float64(t-s.at))
		}
	}
	return t - c.Offset
}
