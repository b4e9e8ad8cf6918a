// Package pool recycles memory and workers, so that a running pipeline allocates nothing.
//
// A [Buffer] is bytes on loan. [Buffers] lends a fixed set of equal ones (raw pictures),
// [Arena] carves ones of any size from recycled chunks (encoded frames), and a driver lends
// its own memory through a [Slot]. [Workers] is one channel's share of the engine's threads.
package pool
