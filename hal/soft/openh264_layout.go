//go:build linux && (386 || amd64 || arm || arm64 || loong64 || riscv64) && !android

package soft

import (
	"runtime"
	"unsafe"
)

// openh264's structs as its headers codec_app_def.h of versions 2.1 to 2.6 lay them out, enum
// being int. All of these systems are little-endian. What we do not set keeps its default.

type sliceArgument struct {
	mode, count    uint32
	macroblocks    [35]uint32
	sizeConstraint uint32
}

type spatialLayer struct {
	width, height       int32
	frameRate           float32
	bitrate, maxBitrate int32
	profile, level, qp  int32
	slice               sliceArgument

	signalPresent               uint8
	videoFormat, fullRange      uint8
	colourPresent               uint8
	primaries, transfer, matrix uint8
	aspectPresent               uint8
	aspect                      int32
	aspectWidth, aspectHeight   uint16
}

// encodeParams is SEncParamExt. It has no pointer and no 64-bit field: one layout everywhere.
type encodeParams struct {
	usage               int32
	width, height       int32
	bitrate, rateMode   int32
	frameRate           float32
	temporal, spatial   int32
	layers              [4]spatialLayer
	complexity          int32
	intraPeriod         uint32
	references          int32
	parameterSetIDs     int32
	prefixNAL, ssei     uint8
	simulcast           uint8
	padding, cabac      int32
	frameSkip           uint8
	maxBitrate          int32
	maxQP, minQP        int32
	maxNAL              uint32
	longTerm            uint8
	longTermCount       int32
	longTermPeriod      uint32
	threads             uint16
	loadBalancing       uint8
	loopFilterOff       int32
	alpha, beta         int32
	denoise, background uint8
	adaptiveQuant       uint8
	cropping            uint8
	sceneChange         uint8
	losslessLink        uint8
	fixOvershoot        uint8
	idrBitrateRatio     int32
	_                   [16]byte // 2.6 added three flags
}

// sourcePicture is SSourcePicture.
type sourcePicture struct {
	format        int32
	stride        [4]int32
	planes        [4]*byte
	width, height int32
	tail          [6]uint32 // a 64-bit time stamp where the ABI aligns it, then what 2.6 added
}

// stampAt is where in tail the time stamp is: only 32-bit ARM aligns it to eight bytes behind
// a field that is not.
func stampAt() int {
	if runtime.GOARCH == "arm" {
		return 1
	}
	return 0
}

func (p *sourcePicture) setStamp(ms int64) {
	at := stampAt()
	p.tail[at], p.tail[at+1] = uint32(ms), uint32(ms>>32) //nolint:gosec // both halves, on purpose
}

// layerInfo is SLayerBSInfo, up to 2.5; 2.6 has three floats behind it.
type layerInfo struct {
	temporal, spatial, quality uint8
	frameType                  int32
	layerType                  uint8
	sequence                   int32
	nals                       int32
	lengths                    *int32
	bytes                      *byte
}

const (
	maxLayers  = 128
	layerSize  = unsafe.Sizeof(layerInfo{})
	layerSize6 = (layerSize + 3*4 + wordSize - 1) &^ (wordSize - 1) // from 2.6 on
	wordSize   = unsafe.Sizeof(uintptr(0))
)

// frameInfo is SFrameBSInfo, of which we know the layers' size only at run time: an int, the
// layers, and as 32-bit words the type, the size and the time stamp.
type frameInfo struct {
	words [(wordSize+maxLayers*layerSize6)/8 + 8]uint64
}

func (f *frameInfo) layers() int {
	return min(int(*(*int32)(unsafe.Pointer(&f.words[0]))), maxLayers)
}

func (f *frameInfo) layer(i int, size uintptr) *layerInfo {
	return (*layerInfo)(unsafe.Add(unsafe.Pointer(&f.words[0]), wordSize+uintptr(i)*size))
}
