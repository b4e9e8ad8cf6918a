// Package pack writes fragmented MP4: what a stream is at the head of a file (Plan), and then
// its frames, a fragment at a time (Fragment). The frames' bytes go from their buffers to the
// file in one vectored write; only the header of a fragment is made here.
package pack
