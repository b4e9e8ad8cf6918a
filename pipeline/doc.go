// Package pipeline is the engine: bounded queues, stages with one worker each, the tee where
// branches join, channels with their commands, and the supervision of it all. It knows no
// hardware, no HTTP and no files.
package pipeline
