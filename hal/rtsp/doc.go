// Package rtsp opens RTSP cameras (H4): over TCP, UDP, multicast and TLS, with Basic and Digest
// passwords, for H.264, H.265, AV1, MJPEG, AAC, Opus, G.711 and LPCM.
//
// gortsplib does the signalling. Over TCP the worker that calls Read owns the socket from PLAY
// on: it reads large blocks, takes the RTP packets out itself and joins access units straight
// into arena memory; RTSP messages and RTCP go to gortsplib through an in-memory connection.
// While nobody waits for each frame, the socket is read every 200 ms, at times that cameras have in
// common, and SO_RCVLOWAT keeps what comes in between from waking anybody unless it is twice as much;
// no byte waits longer than 250 ms. While somebody waits, each packet wakes the reader; where sixteen cameras
// or more are watched they are looked at every 2 ms instead, in one go, and sound waits there for the picture that it
// is sent on with. The memory that is read into is lent by hal.Options.Reserve
// for as long as there is something in it.
//
// # The URL
//
//	rtsp://USER:PASSWORD@HOST:PORT/PATH?QUERY
//
// Four parameters of the query belong to the driver and are taken out before the camera sees
// the URL; all others reach it byte for byte. They are known by their literal spelling: a camera
// that has a parameter of one of these names gets it with a letter written as %XX.
//
//	transport=tcp|udp|multicast   default tcp; stands above the channel's setting
//	tls=verify|insecure           rtsps: check the certificate (default) or take any
//	tls-ca=FILE                   rtsps: trust the authorities in this PEM file only
//	tls-sha256=FINGERPRINT        rtsps: trust the certificate with this SHA-256 alone
//
// # Time
//
// Presentation times come from the RTP time stamps. Tracks are placed beside each other by RTP-Info
// and, as soon as they come, by sender reports; what those correct is slewed, never jumped.
// Decoding times are derived from the order of the pictures. Zero is the first delivered frame,
// a key frame where there are pictures; sound begins with it. Source.NTP gives the camera's time.
//
// # Loss
//
// An access unit with a hole is dropped, the next frame carries Gap, and the missing packets are
// counted. What makes no sense is counted as malformed. Frames before the first key frame, or
// that the arena has no room for, are counted as dropped.
package rtsp
