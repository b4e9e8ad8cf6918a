// Package synth is a camera that needs no hardware (H7): a moving test card with a burnt-in
// frame number and clock, raw or as H.264 made without any library, and a beep at each whole
// second, when a field of the card flashes. What it shows at which instant is a function
// ([Card]), and [ReadNumber] reads the number back from a decoded picture, so that a recording
// can be checked for what it should contain.
//
// The URL is synth://?NAME=VALUE&…, with every parameter optional:
//
//	size     640x360     WIDTHxHEIGHT, both even, 160x112 to 4096x4096
//	rate     25          pictures a second, 1 to 240: 25, 12.5, 29.97 or 30000/1001
//	codec    h264        h264 or raw
//	pixel    i420        with codec=raw: i420, yuyv, uyvy, nv12, nv21
//	gop      50          with codec=h264: pictures from one key frame to the next
//	bitrate  none        with codec=h264: 4M, 800k: fills pictures up to this rate
//	seed     1           another card: other colours, another way of the moving box
//	still    moves       always: nothing moves; until:N: nothing before picture N
//	audio    aac         none, aac, lpcm (both 48 kHz mono), pcma, pcmu (8 kHz)
//	frames   endless     how many pictures there are; io.EOF follows
//	pace     live        live, or fast: as fast as it is read
//
// and for trials of what supervises a source, counted in pictures since it was opened:
//
//	fail     none        after:N: Read fails with hal.ErrNoSignal; open: Open fails with hal.ErrNoDevice
//	stall    none        after:N: Read blocks until its context ends or the source is closed
//	panic    none        after:N: Read panics
package synth
