// Package event turns triggers into events: what is recorded around them, one message for each
// kind of trigger, and pictures by urgency (C6–C8). docs/events.md says how it decides what the
// contract leaves open.
//
// A machine without clock, files or goroutines holds what is going on; a Channel guards one and
// carries out what it says; a Service has the one timer and the few workers of all channels.
// What it needs of others it names: Recorder, Messages, Uploader.
package event
