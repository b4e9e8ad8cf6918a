// Package hal is what a camera gives and how to ask for it: frames, streams, stamps and the
// clock; sources, encoders and the drivers that open them. It knows no driver.
package hal
