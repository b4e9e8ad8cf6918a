// Package nal takes coded video apart into its units, NAL units of H.264 and H.265 and OBUs of
// AV1, and says what each is for. Nothing is copied and, but for reading a sequence parameter
// set, nothing allocated; what makes no sense is said to, and never read beyond. Numbers and
// tables are those of Rec. ITU-T H.264 and H.265 and of the AV1 bitstream specification.
package nal
