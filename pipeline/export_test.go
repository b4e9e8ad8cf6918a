package pipeline

// Entries returns for how many entries the queue of the first branch has memory.
func (c *Channel) Entries() int {
	q := c.assembly().branches[0].in
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.entries)
}
