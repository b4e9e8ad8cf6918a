// Package snapshot makes pictures of channels: on demand, and of every channel once an interval
// for a receiver (S1–S3). A picture is the camera's own JPEG, or a JPEG made of the raw frame or
// of the last key frame; where that cannot be decoded it comes from the camera's own snapshot
// page, and else it is the key frame itself in an MP4.
//
// A Service makes pictures, a Camera is a channel's branch that hands key frames to it, a
// Schedule says whose turn it is when, and a Scheduler keeps to it.
package snapshot
