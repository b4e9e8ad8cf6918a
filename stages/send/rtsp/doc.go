// Package rtsp serves channels to RTSP players (one of the ways of sending, beside HLS and
// WebRTC): every mounted channel at rtsp://ADDRESS/NAME, over TCP and UDP. A player that joins
// starts at the last key frame at once; while nobody watches, the branch gets no frames.
//
// gortsplib does the signalling and reads what players report. The media goes past it: an
// access unit is packetised once, into one block of interleaved packets that all players of a
// channel share, and is written to each with one system call that never waits. What a player
// has not taken yet stays in a queue of its own; when that is full it is skipped to the next
// key frame, and one that takes nothing at all for a while is dropped.
package rtsp
