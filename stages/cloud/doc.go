// Package cloud brings what a camera films into a store of objects that plays by itself (C1–C5,
// C9): a branch of the channel packs the stream as it comes into packages of 4 s, and a Cloud
// uploads those that a service wants, from memory (C3) or from a spool on disk, with playlists
// beside them. docs/cloud.md says what lies where. What it needs of others it names: Store.
package cloud
