// Package record writes a channel's stream to disk: fragmented MP4 files, cut before key
// frames, each of which is whole after every fragment.
package record
