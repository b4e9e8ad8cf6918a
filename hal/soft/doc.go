// Package soft encodes in software: H.264 by openh264, JPEG by turbojpeg, both found at run time
// and never needed to build, and JPEG by Go's own image/jpeg where the library is missing.
//
// openh264 and Go's encoder do their work inside Write; JPEG can work on several pictures at
// once, as jobs on the caller's workers. None of them has a delay: a picture that was written
// can be read without another one following it.
//
// It also decodes: a lone key frame (DecodeKey, what a snapshot needs), and all pictures of a stream
// (OpenDecoder), by openh264 and by an ffmpeg process.
package soft
