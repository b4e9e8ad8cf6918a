package snapshot

import (
	"fmt"
	"slices"

	"github.com/millrace-video/millrace/hal"
	"github.com/millrace-video/millrace/stages/pack"
)

// movie makes an MP4 of one key frame, the track of which is the stream's only one.
func movie(key hal.Frame) (Snapshot, error) {
	m, err := pack.Plan(key.Stream, key)
	if err != nil {
		return Snapshot{}, fmt.Errorf("MP4 of the key frame: %w", err)
	}
	p := pack.NewPacker(m)
	defer p.Discard()
	if err := p.Add(key.Retain()); err != nil {
		return Snapshot{}, fmt.Errorf("MP4 of the key frame: %w", err)
	}
	file := slices.Clone(m.Head())
	for _, piece := range p.Finish() {
		file = append(file, piece...)
	}
	p.Release()
	t := key.Info()
	return Snapshot{Data: file, ContentType: "video/mp4", Width: t.Width, Height: t.Height}, nil
}
