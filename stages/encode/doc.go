// Package encode is the stage that turns raw pictures into encoded frames: it crops, scales and
// converts them where asked to (P9), takes the best encoder there is and the next one where that
// fails (H3). Streams whose pictures are encoded already go past it.
//
// Pictures go in by the stage's own worker; what comes out is read by a job of its own, so that
// an encoder may have a delay. Sound travels along in its place between the pictures.
package encode
