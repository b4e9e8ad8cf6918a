package catalog

import (
	"encoding/binary"
	"encoding/json"
	"fmt"

	bolt "go.etcd.io/bbolt"

	"github.com/millrace-video/millrace/stages/record"
)

// Pin keeps what was recorded in a stretch of time, an event, longer than the rest.
type Pin struct {
	ID    uint64         `json:"id"` // of its channel
	From  record.Instant `json:"from"`
	To    record.Instant `json:"to"`
	Until int64          `json:"until"` // ns since 1970, UTC: its time is over; 0: never
	Why   string         `json:"why,omitempty"`
	Piece uint32         `json:"-"`
}

// holds says whether the pin covers any of a segment.
func (p *Pin) holds(s *record.Segment) bool {
	return p.From.Wall < s.End().Wall && s.Start.Wall < p.To.Wall
}

// storedPin is a pin with its line's piece.
type storedPin struct {
	Pin

	Piece uint32 `json:"piece"`
}

// pin enters a pin, or takes it off where it covers nothing.
func (f *fold) pin(p *Pin) error {
	key := binary.BigEndian.AppendUint64(nil, p.ID)
	f.state.Pins = max(f.state.Pins, p.ID)
	if old := f.pins.Get(key); old != nil {
		var was storedPin
		if err := json.Unmarshal(old, &was); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		if err := f.live(was.Piece, -1); err != nil {
			return err
		}
	}
	if p.To.Wall <= p.From.Wall {
		return f.pins.Delete(key)
	}
	if err := f.live(f.piece, 1); err != nil {
		return err
	}
	return f.putPin(key, storedPin{*p, f.piece})
}

func (f *fold) putPin(key []byte, p storedPin) error {
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return f.pins.Put(key, text)
}

// relabelPins puts right the labels of pins.
func (f *fold) relabelPins(last uint32) error {
	all, err := readPins(f.pins)
	if err != nil {
		return err
	}
	for _, p := range all {
		was := p.From.Wall
		moved := f.anchors.relabel(&p.From, last)
		if !f.anchors.relabel(&p.To, last) && !moved {
			continue
		}
		if p.Until != 0 {
			p.Until += p.From.Wall - was
		}
		if err := f.putPin(binary.BigEndian.AppendUint64(nil, p.ID), storedPin{p, p.Piece}); err != nil {
			return err
		}
	}
	return nil
}

// readPins returns the pins of a channel.
func readPins(b *bolt.Bucket) ([]Pin, error) {
	var all []Pin
	err := b.ForEach(func(_, v []byte) error {
		var p storedPin
		if err := json.Unmarshal(v, &p); err != nil {
			return fmt.Errorf("%w: %w", errDamaged, err)
		}
		p.Pin.Piece = p.Piece
		all = append(all, p.Pin)
		return nil
	})
	return all, err
}
