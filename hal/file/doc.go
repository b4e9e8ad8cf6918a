// Package file plays a file as a camera: MP4 (progressive and fragmented), MPEG-TS and Annex B
// (H.264, H.265), in real time or as fast as it is read, once or looped with running time
// stamps. What a file is, its content says and not its name.
//
// A file can be held back, so Live is false in both paces and nothing is ever lost: where the
// reader is slow, or holds all the memory there is, the file waits. The earliest DTS of the
// file is 0; time stamps of all tracks keep their distance, edit lists included.
//
// Memory does not depend on the file: tables and fragments are read through small windows,
// samples straight into the arena. A damaged file gives its good part and then a
// *DamagedError that says where.
package file
