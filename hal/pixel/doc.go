// Package pixel looks at raw pictures where they lie and converts them: to I420 or NV12, to
// JPEG's range of values, cropped, and to another size. It is plain Go, eight samples at a time
// in a 64-bit word, allocates nothing per picture, and no driver and no library is behind it.
package pixel
