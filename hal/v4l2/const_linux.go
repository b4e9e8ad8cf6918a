package v4l2

// bufType is enum v4l2_buf_type: whose queue it is.
type bufType uint32

const (
	captureSingle bufType = 1
	outputSingle  bufType = 2
	captureMulti  bufType = 9
	outputMulti   bufType = 10
)

func (t bufType) multiplanar() bool { return t == captureMulti || t == outputMulti }

// memory is enum v4l2_memory: who brings a buffer's memory.
type memory uint32

const (
	memoryMapped memory = 1 // the driver, mapped into this process
	memoryDMABUF memory = 4 // another device
)

// maxPlanes is VIDEO_MAX_PLANES, maxBuffers VIDEO_MAX_FRAME.
const (
	maxPlanes  = 8
	maxBuffers = 32
)

// Capabilities of a node.
const (
	capCapture      = 0x1
	capOutput       = 0x2
	capCaptureMulti = 0x1000
	capOutputMulti  = 0x2000
	capM2MMulti     = 0x4000
	capM2M          = 0x8000
	capStreaming    = 0x4000000
	capDeviceCaps   = 0x80000000
)

// Flags of a buffer.
const (
	bufError         = 0x40
	bufKeyFrame      = 0x8
	bufTimeMask      = 0xe000
	bufTimeMonotonic = 0x2000
	bufTimeCopy      = 0x4000
	bufLast          = 0x100000
)

// Kinds of sizes and intervals.
const (
	kindDiscrete   = 1
	kindContinuous = 2
	kindStepwise   = 3
)

// Events.
const (
	eventEOS          = 2
	eventSourceChange = 5
	changeResolution  = 1
)

// Controls: types, flags and the ones known by number (linux/v4l2-controls.h).
const (
	controlInteger     = 1
	controlBoolean     = 2
	controlMenu        = 3
	controlButton      = 4
	controlInteger64   = 5
	controlBitmask     = 8
	controlIntegerMenu = 9

	controlDisabled  = 0x1
	controlReadOnly  = 0x4
	controlInactive  = 0x10
	controlWriteOnly = 0x40
	controlNext      = 0x80000000

	codecBase            = 0x00990900
	controlHeaderMode    = codecBase + 216
	controlRepeatHeaders = codecBase + 226
	controlForceKey      = codecBase + 229
)

// Others.
const (
	fieldAny       = 0
	fieldNone      = 1
	fieldApart     = 5          // one field after the other in a buffer; 6 is the same
	fieldAlternate = 7          // each in a buffer of its own
	privMagic      = 0xfeedcafe // the extended fields of pixFormat are valid
	timePerFrame   = 0x1000     // S_PARM can set the rate
	encoderStart   = 0
	encoderStop    = 1
	fmtCompressed  = 0x1
)
