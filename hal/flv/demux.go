package flv

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/millrace-video/millrace/hal/remote"
	"github.com/millrace-video/millrace/pool"
)

const (
	// maxConfig bounds a sequence header.
	maxConfig = 64 << 10
	// maxGarbage bounds what is passed over to find the next tag.
	maxGarbage = 1 << 20
	// maxExtra bounds what a file header may have behind it.
	maxExtra = 4 << 10
	// piece is how much memory is taken before the bytes that belong into it have come. A download
	// takes a frame's at once, because only an empty frame's memory can be waited for.
	piece = 1 << 20
	// largest is the largest tag.
	largest = 1 << 24
)

// demuxer takes FLV apart, step by step: a step that its context ends is gone on with by the next.
type demuxer struct {
	in   *body
	out  taker
	wait func(ctx context.Context, cause error) error // for memory; nil where the stream does not wait
	most int                                          // bytes of memory to take at once

	state state
	head  [32]byte // of what is at hand, have bytes of it
	have  int
	flags byte // of the file header

	tag  tag
	info bodyHead
	rest int    // bytes of the tag's body to come
	lead []byte // what goes before them
	room []byte // memory for the next of them

	build  *pool.Builder
	beside []byte // bodies that cannot go straight into a frame
	lost   int    // bytes passed over to find a tag
}

// taker takes what the demuxer finds.
type taker interface {
	// begin says how a frame's body is to be read: straight into the builder, behind what is to stand
	// before it there, or beside it. Where it is not wanted at all nothing of it is kept.
	begin(t *tag, h *bodyHead) (where placement, before []byte)
	// frame is called when the body of a frame is there; beside is nil where it is in the builder.
	frame(t *tag, h *bodyHead, beside []byte)
	// config takes a sequence header.
	config(t *tag, h *bodyHead, record []byte)
	// broken takes note of what made no sense, of a tag or (nil) between them.
	broken(t *tag, why string)
	// full takes note that there was no memory for a frame.
	full(t *tag)
}

type placement uint8

const (
	nowhere placement = iota
	inBuilder
	besideIt
)

type state uint8

const (
	atFile    state = iota // before the file header
	atTag                  // before the size of the tag before, and a tag's header
	atHead                 // before a tag's body
	inBuild                // within a body that goes into the builder
	inBeside               // within one that does not
	inConfig               // within a sequence header
	inNothing              // within what nobody needs
)

// step reads on. It returns errDone only between two tags.
func (d *demuxer) step(ctx context.Context) error {
	var err error
	switch d.state {
	case atFile:
		err = d.file(ctx)
	case atTag:
		err = d.next(ctx)
	case atHead:
		err = d.open(ctx)
	case inBuild:
		err = d.fill(ctx)
	case inBeside, inConfig:
		err = d.aside(ctx)
	case inNothing:
		err = d.skip(ctx)
	}
	if errors.Is(err, errDone) && (d.state != atTag || d.have > backLength) {
		d.broken("the end is missing")
		d.enter(atTag)
	}
	return err
}

func (d *demuxer) enter(s state) { d.state, d.have, d.room = s, 0, nil }

// collect makes head[:n] complete.
func (d *demuxer) collect(ctx context.Context, n int) error {
	for d.have < n {
		got, err := d.in.read(ctx, d.head[d.have:n])
		d.have += got
		if err != nil {
			return err
		}
	}
	return nil
}

func (d *demuxer) file(ctx context.Context) error {
	if err := d.collect(ctx, fileHeader); err != nil {
		if errors.Is(err, errDone) || errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: the answer (%.60q) ends after %d bytes", errNotFLV, d.in.kind, d.in.taken)
		}
		return err
	}
	p := d.head[:fileHeader]
	extra := int(p[5])<<24 | int(p[6])<<16 | int(p[7])<<8 | int(p[8])
	if string(p[:3]) != "FLV" || p[3] != 1 || extra < fileHeader || extra > maxExtra {
		return fmt.Errorf("%w: the answer (%.60q) begins with %q", errNotFLV, d.in.kind, remote.Printable(string(p)))
	}
	d.flags = p[4]
	d.enter(inNothing)
	d.rest = extra - fileHeader
	return nil
}

// next reads a tag's header, or passes over what is none.
func (d *demuxer) next(ctx context.Context) error {
	const n = backLength + tagHeader
	if err := d.collect(ctx, n); err != nil {
		return err
	}
	t, ok := parseTag(d.head[backLength:n])
	if !ok {
		return d.search()
	}
	if d.lost > 0 {
		d.out.broken(nil, fmt.Sprintf("%d bytes between two tags", d.lost))
		d.lost = 0
	}
	d.tag, d.rest = t, t.size
	if t.kind == tagScript || t.filter || t.size == 0 {
		if t.filter {
			d.broken("it is encrypted")
		}
		d.enter(inNothing)
		return nil
	}
	d.enter(atHead)
	return nil
}

// search moves on by a byte.
func (d *demuxer) search() error {
	if d.lost++; d.lost > maxGarbage {
		return fmt.Errorf("%w: no tag begins in the %d bytes before byte %d", errNotFLV, d.lost, d.in.taken)
	}
	d.have = copy(d.head[:], d.head[1:d.have])
	return nil
}

// open reads how a tag's body begins, and decides where the rest of it goes.
func (d *demuxer) open(ctx context.Context) error {
	for {
		n := headLen(d.tag.kind, d.head[:d.have])
		if n > d.tag.size {
			d.broken("it is too short")
			d.pass()
			return nil
		}
		if n == d.have {
			break
		}
		if err := d.collect(ctx, n); err != nil {
			return err
		}
	}
	d.info = parseHead(d.tag.kind, d.head[:d.have])
	d.rest = d.tag.size - d.have
	switch d.info.use {
	case useConfig:
		d.beside = d.beside[:0]
		if d.rest <= maxConfig {
			d.enter(inConfig)
			return nil
		}
		d.broken("a sequence header that is too large")
	case useFrame:
		d.begin()
		return nil
	case useBroken:
		d.broken("a kind of packet that nobody knows")
	case useUnknown, useNothing:
		d.out.begin(&d.tag, &d.info)
	}
	d.enter(inNothing)
	return nil
}

// pass passes over the rest of a tag.
func (d *demuxer) pass() {
	d.rest = d.tag.size - d.have
	d.enter(inNothing)
}

// begin decides where a frame goes.
func (d *demuxer) begin() {
	d.build.Discard()
	d.beside = d.beside[:0]
	where, lead := d.out.begin(&d.tag, &d.info)
	d.lead = lead
	switch where {
	case inBuilder:
		d.enter(inBuild)
	case besideIt:
		d.enter(inBeside)
	case nowhere:
		d.enter(inNothing)
	}
}

// fill reads a frame straight into the arena. Memory is taken as the bytes come, so that a size that
// is a lie costs no more than a piece.
func (d *demuxer) fill(ctx context.Context) error {
	for d.rest > 0 {
		if len(d.room) == 0 {
			space, err := d.grow(ctx, len(d.lead)+min(d.rest, d.most))
			if err != nil {
				return d.noRoom(err)
			}
			d.room, d.lead = space[copy(space, d.lead):], nil
		}
		n, err := d.in.read(ctx, d.room)
		d.room, d.rest = d.room[n:], d.rest-n
		if err != nil {
			return err
		}
	}
	d.enter(atTag)
	d.out.frame(&d.tag, &d.info, nil)
	return nil
}

// grow makes the open frame n bytes longer, and waits for memory where the stream can wait.
func (d *demuxer) grow(ctx context.Context, n int) ([]byte, error) {
	for {
		space, err := d.build.Grow(n)
		if err == nil || d.wait == nil {
			return space, err
		}
		if err = d.wait(ctx, err); err != nil {
			return nil, err
		}
	}
}

// noRoom lets a frame go that there is no memory for.
func (d *demuxer) noRoom(err error) error {
	if !errors.Is(err, pool.ErrArenaFull) {
		return err
	}
	d.out.full(&d.tag)
	d.build.Discard()
	d.enter(inNothing)
	return nil
}

// aside reads a body that does not go straight into a frame.
func (d *demuxer) aside(ctx context.Context) error {
	for d.rest > 0 {
		at := len(d.beside)
		d.beside = slices.Grow(d.beside, min(d.rest, piece))
		n, err := d.in.read(ctx, d.beside[at:min(at+d.rest, cap(d.beside))])
		d.beside, d.rest = d.beside[:at+n], d.rest-n
		if err != nil {
			return err
		}
	}
	config := d.state == inConfig
	d.enter(atTag)
	if config {
		d.out.config(&d.tag, &d.info, d.beside)
	} else {
		d.out.frame(&d.tag, &d.info, d.beside)
	}
	return nil
}

func (d *demuxer) skip(ctx context.Context) error {
	for d.rest > 0 {
		n, err := d.in.read(ctx, d.head[:min(d.rest, len(d.head))])
		d.rest -= n
		if err != nil {
			return err
		}
	}
	d.enter(atTag)
	return nil
}

func (d *demuxer) broken(why string) { d.out.broken(&d.tag, why) }
