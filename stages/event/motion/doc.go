// Package motion finds motion in pictures, simply: the brightness of a coarse grid of cells is
// compared with a background that follows it slowly. It is cheap enough for a few pictures a
// second of every channel, and no more than that: it knows nothing of what moves. A change of the
// light of the whole scene is taken back; a small change of much of it is not motion.
//
// It looks at raw pictures (as a stage of the trunk, which passes them on), and as a branch at JPEGs
// and at the key frames of H.264, H.265 and AV1, as far as there is a decoder for them: such a
// channel is seen once a group of pictures. Where there is none the channel has no motion, and its
// stage says so once.
package motion
