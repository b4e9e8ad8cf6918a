// Package clip keeps footage from before a trigger and records what events want recorded: a ring
// of the last encoded frames, and the stage that hands them on, from a key frame, when a window
// opens (C7).
package clip
