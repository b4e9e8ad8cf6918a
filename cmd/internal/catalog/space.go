package catalog

// Reclaim implements record.Space.
func (c *Catalog) Reclaim(string, int64) error { return nil }
