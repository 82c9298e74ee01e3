package facts

// Negotiations counts those that the traffic with a peer is judged by.
func Negotiations(p *Peer) int { return len(p.births) }
