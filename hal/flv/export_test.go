package flv

import "github.com/millrace-video/millrace/hal"

// Held is how many frames a source's arena has on loan.
func Held(s hal.Source) int { return s.(*Source).arena.Stats().Held }

// ArenaBytes is how much memory it has.
func ArenaBytes(s hal.Source) int { return s.(*Source).arena.Stats().Bytes }
