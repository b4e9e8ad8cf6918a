// Package playback shows what was recorded: from a time line and a range of it to one film, to a
// stream from any instant on, or to a playlist. Nothing is coded anew and no payload is kept in
// memory.
package playback
