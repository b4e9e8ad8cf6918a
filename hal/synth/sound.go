package synth

import (
	_ "embed" // the beep as AAC
	"encoding/binary"
	"math"
	"time"

	"github.com/millrace-video/millrace/hal"
)

// beepAAC is 8 seconds of beeps as AAC-LC, 48 kHz mono: 375 access units of 1024 samples, each
// after its length in 16 bits. It was made by ffmpeg 5.1 of 24 seconds of
//
//	aevalsrc='if(lt(mod(t,1),0.1),0.5*sin(2*PI*1000*t),0)':s=48000 (-c:a aac -b:a 24k -f adts)
//
// of which the middle third was taken without the ADTS headers, from the access unit on that a
// decoder turns into the first sample of second 8 (the one with PTS 8 s where the first has
// −1024 samples). So it loops, and a decoded beep begins where the clock says.
//
//go:embed beep.aac
var beepAAC []byte

const (
	beepHz      = 1000
	pcmPiece    = 20 * time.Millisecond // a whole number of periods; BeepLength is 5 of them
	aacSamples  = 1024
	aacRate     = 48000
	g711Rate    = 8000
	amplitude   = 16384
	aacLCMono48 = 0x1188 // AudioSpecificConfig: AAC-LC, 48 kHz, one channel
)

// sound is the beep track: pieces of equal length.
type sound struct {
	track       hal.Track
	samples     int // in a piece
	beep, quiet []byte
	units       [][]byte // of AAC, one loop
}

func newSound(codec hal.Codec) *sound {
	s := &sound{track: hal.Track{Codec: codec, SampleRate: aacRate, Channels: 1}}
	if codec == hal.AAC {
		s.samples = aacSamples
		s.track.AudioConfig = binary.BigEndian.AppendUint16(nil, aacLCMono48)
		for rest := beepAAC; len(rest) > 0; {
			n := 2 + int(binary.BigEndian.Uint16(rest))
			s.units = append(s.units, rest[2:n])
			rest = rest[n:]
		}
	} else {
		s.uncompressed()
	}
	s.track.TimeScale = uint32(s.track.SampleRate)
	return s
}

func (s *sound) uncompressed() {
	if s.track.Codec == hal.LPCM {
		s.track.BitDepth = 16
		s.pcm(func(b []byte, v int16) []byte { return binary.BigEndian.AppendUint16(b, uint16(v)) })
		return
	}
	s.track.SampleRate = g711Rate
	compress := aLaw
	if s.track.Codec == hal.G711U {
		compress = muLaw
	}
	s.pcm(func(b []byte, v int16) []byte { return append(b, compress(v)) })
}

// pcm makes the two pieces that uncompressed sound consists of.
func (s *sound) pcm(add func([]byte, int16) []byte) {
	s.samples = int(int64(s.track.SampleRate) * int64(pcmPiece) / int64(time.Second))
	for i := range s.samples {
		v := amplitude * math.Sin(2*math.Pi*beepHz*float64(i)/float64(s.track.SampleRate))
		s.beep = add(s.beep, int16(math.Round(v)))
		s.quiet = add(s.quiet, 0)
	}
}

// time returns when piece i begins.
func (s *sound) time(i int) time.Duration {
	return Rate{s.track.SampleRate, s.samples}.Time(i)
}

// piece returns the bytes of piece i.
func (s *sound) piece(i int) []byte {
	switch {
	case s.units != nil:
		return s.units[i%len(s.units)]
	case Beep(s.time(i)):
		return s.beep
	default:
		return s.quiet
	}
}

// aLaw and muLaw compress a sample as Rec. ITU-T G.711 says.
func aLaw(v int16) byte {
	sign := byte(0x80)
	x := int(v) >> 3 // 13 bits
	if x < 0 {
		sign = 0
		x = -x - 1
	}
	exp, mantissa := 0, x>>1
	for mantissa > 31 {
		exp++
		mantissa >>= 1
	}
	if mantissa > 15 {
		exp++
		mantissa &= 15
	}
	return (sign | byte(exp<<4) | byte(mantissa)) ^ 0x55
}

func muLaw(v int16) byte {
	const bias, clip = 0x84, 32635
	sign := byte(0)
	x := int(v)
	if x < 0 {
		sign = 0x80
		x = -x
	}
	x = min(x, clip) + bias
	exp := 7
	for x>>(exp+7) == 0 {
		exp--
	}
	return ^(sign | byte(exp<<4) | byte(x>>(exp+3)&15))
}
