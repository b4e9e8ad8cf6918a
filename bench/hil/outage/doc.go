// Package outage cuts the power of a virtual machine in which Millrace records, at random instants,
// and judges from outside what is left (R3, R6): the disk as the cut left it, what the program makes
// of it at its next start, and what ffmpeg says of every file.
package outage
