// Package file plays a file as a camera: MP4 (progressive and fragmented), MPEG-TS and Annex B
// (H.264, H.265), in real time or as fast as it is read, once or looped with running time
// stamps. What a file is, its content says and not its name.
//
// A file can be held back, so Live is false in both paces and nothing is ever lost: where the
// reader is slow, or holds all the memory there is, the file waits. The earliest DTS of the
// file is 0; time stamps of all tracks keep their distance, edit lists included.
//
// Annex B has no time stamps: frames come at a constant rate, B-frames are told from the picture
// order counts. Interlaced H.264 and pic_order_cnt_type 1 are stamped in decoding order, PTS
// equal to DTS. Of an MP4 edit list the delay and the start are respected, further edits are not.
// Of a transport stream the first program is played, of MP4 every track with a codec that
// package hal knows; what is left out is logged once.
//
// MPEG-TS is taken apart here and not by mediacommon's reader, which keeps all it reads until it
// has found a program, allocates for every packet and cannot say where a file is damaged.
//
// Memory does not depend on the file: tables and fragments are read through small windows,
// samples straight into the arena. A damaged file gives its good part and then a
// *DamagedError that says where.
package file
