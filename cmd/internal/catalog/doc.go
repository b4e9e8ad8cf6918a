// Package catalog is the account of what was recorded: segments, gaps with their cause, and
// what is pinned. What recorders enter goes as lines into an append-only journal beside a
// channel's files, and from there into a database; the database is never more than what the
// journals say, and can be made anew from them. The package also keeps the disk budget: it
// knows what is oldest.
package catalog
