// Package bench is the measurement harness: whole channels under load, in one process. What
// it measures so far are its tests; programs follow.
package bench
